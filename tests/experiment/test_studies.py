"""Studies: several grids in one sweep, what they set counts, scale is one switch."""

import json

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from shiftbench.runs.identity import Identity
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import names
from shiftbench.settings.schema import CONFIG_DIR, check, flatten, is_smoke, register

EXPERIMENTS = sorted(CONFIG_DIR.glob("experiment/*.yaml"))
STUDIES = [path for path in EXPERIMENTS if "study" in OmegaConf.load(path)]
SCALES = ("smoke", "cpu", "gpu")


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        yield lambda *overrides: compose("config", list(overrides))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_what_an_experiment_sets_is_what_its_runs_get(path, composed):
    own = OmegaConf.to_container(OmegaConf.load(path))
    plain = {key: own[key] for key in own.keys() - {"defaults", "hydra", "study"}}
    config = composed(f"experiment={path.stem}")
    for key, value in flatten(plain):
        if not str(value).startswith("${"):
            assert OmegaConf.select(config, key) == value, key


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_its_head_says_how_it_is_run_what_it_takes_and_what_comes_out(path):
    head = path.read_text().partition("defaults:")[0]
    assert f"shiftbench experiment={path.stem}" in head
    assert "two cores" in head
    assert "GPU" in head
    assert "Expect" in head


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_job_of_every_grid_at_every_scale_composes(path, scale, composed):
    config = composed(f"experiment={path.stem}", f"scale={scale}")
    parser = OverridesParser.create()
    for grid in config.study.grids.values():
        swept = parser.parse_overrides([f"{key}={value}" for key, value in grid.items()])
        for end in (0, -1):  # each axis at its first value, then at its last
            job = [f"{one.get_key_element()}={_values(one)[end]}" for one in swept]
            check(composed(f"experiment={path.stem}", f"scale={scale}", *job))


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_scales_that_show_nothing_but_that_commands_work_are_marked(path, scale, composed):
    config = composed(f"experiment={path.stem}", f"scale={scale}")
    assert is_smoke(config) == (scale == "smoke" or path.stem == "smoke")


@pytest.mark.parametrize(
    ("overrides", "smoke"),
    [((), False), (("experiment=pools", "scale=smoke", "study.scales.smoke.smoke=false"), False),
     (("experiment=pools", "scale=cpu", "+study.scales.cpu.smoke=true"), True),
     (("+study.scales.cpu=text",), False), (("+study.scales.gpu={smoke: true}",), False),
     (("+study.scales.cpu={smoke: true}",), True)],
)  # fmt: skip
def test_the_configuration_says_whether_runs_are_smoke_runs(overrides, smoke, composed):
    assert is_smoke(composed(*overrides)) == smoke


def _values(override):
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def test_that_a_run_belongs_to_a_study_is_not_part_of_its_identity(composed):
    choices = {
        "pool": "max", "data": "shapes", "model": "vgg", "head": "gap", "augment": "none",
        "train": "quick",
    }  # fmt: skip

    def identity(*overrides):
        config = composed("head=gap", *overrides)
        return Identity.of(config, names(config, choices, [CONFIG_DIR]))

    plain = identity("padding=circular")
    assert identity("padding=circular", "scale=gpu", "figures=false") == plain
    assert identity("padding=circular", "+study.grids.more={seed: 1}").run_id == plain.run_id
    assert identity("padding=zeros").run_id != plain.run_id


STUDY = """# @package _global_
# Two parts that share a run
study:
  scales:
    smoke: {seeds: "0", epochs: 0}
    cpu: {seeds: "0,1", epochs: 1}
  grids:
    pools: {seed: "${study.scales.${scale}.seeds}", pool: "max,avg"}
    deep: {seed: "${study.scales.${scale}.seeds}", pool: max, model.depth: "8,10"}
train: {epochs: "${study.scales.${scale}.epochs}"}
hydra: {mode: MULTIRUN}
"""


@pytest.fixture
def jobs_of(tmp_path, shiftbench_command, tiny):
    """Run the study above and return the overrides that its jobs were given."""
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "parts.yaml").write_text(STUDY)
    small = [item for item in tiny if "epochs" not in item]

    def run(*overrides):
        done = shiftbench_command(
            "--config-dir", "mine", "experiment=parts", *small, *overrides,
            "figures=false", "out=runs", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        [sweep] = (tmp_path / "runs" / "sweeps").iterdir()
        given = json.loads((sweep / "sweep.json").read_text())["jobs"]
        keys = ("seed=", "pool=", "model.depth=")
        return [" ".join(item for item in job if item.startswith(keys)) for job in given]

    return run


@pytest.mark.slow
def test_all_grids_are_one_sweep_of_the_size_that_scale_says(jobs_of):
    assert jobs_of("scale=smoke") == [
        "seed=0 pool=max", "seed=0 pool=avg",
        "seed=0 pool=max model.depth=8", "seed=0 pool=max model.depth=10",
    ]  # fmt: skip


SMOKE_STUDY = STUDY.replace("study:\n", "study:\n  claims: [S3]\n").replace(
    'smoke: {', 'smoke: {smoke: true, '
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "smoke"), [("smoke", True), ("cpu", False)])
def test_a_smoke_run_says_so_on_the_terminal_and_in_its_files(
    scale, smoke, tmp_path, shiftbench_command, tiny
):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    text = SMOKE_STUDY.replace("epochs: 1", "epochs: 0").replace('"0,1"', '"0"')
    (folder / "parts.yaml").write_text(text)
    small = [item for item in tiny if "epochs" not in item]
    done = shiftbench_command(
        "--config-dir", "mine", "experiment=parts", f"scale={scale}", *small, "out=runs",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = "Smoke runs: they show that the commands work, not what networks do."
    assert (said in " ".join(done.stdout.split())) == smoke
    runs = list((tmp_path / "runs" / "runs").iterdir())
    assert {json.loads((run / "run.json").read_text())["smoke"] for run in runs} == {smoke}
    [sweep] = (tmp_path / "runs" / "sweeps").iterdir()
    assert (said in (sweep / "report.html").read_text()) == smoke
    done = shiftbench_command("report", str(sweep), "--claims", "--no-figures", cwd=tmp_path)
    printed = " ".join(done.stdout.split())
    assert (said in printed) == smoke
    assert not smoke or printed.index(said) < printed.index("Published findings")


@pytest.mark.slow
def test_a_value_that_is_given_narrows_an_axis_and_leaves_out_the_parts_that_have_another(jobs_of):
    assert jobs_of("scale=smoke", "pool=avg") == ["seed=0 pool=avg"]


@pytest.mark.slow
def test_several_values_narrow_in_the_same_way(jobs_of):
    found = jobs_of("scale=smoke", "pool=avg,blur", "model.depth=8")
    assert found == ["seed=0 pool=avg model.depth=8", "seed=0 pool=blur model.depth=8"]


@pytest.mark.slow
def test_a_key_that_no_grid_varies_is_given_to_every_part(jobs_of):
    found = jobs_of("scale=smoke", "padding=circular", "model.depth=8")
    assert found == ["seed=0 pool=max model.depth=8", "seed=0 pool=avg model.depth=8"]


@pytest.mark.slow
def test_seeds_only_repeat(jobs_of):
    assert jobs_of("scale=smoke", "seed=3", "pool=avg") == ["seed=3 pool=avg"]


@pytest.mark.slow
def test_without_figures_a_run_leaves_its_numbers_alone(tmp_path, jobs_of):
    jobs_of("scale=smoke", "pool=avg")
    [run] = (tmp_path / "runs" / "runs").iterdir()
    assert (run / "metrics.csv").is_file()
    assert not (run / "figures").exists()


def test_a_study_of_which_nothing_is_left_says_so(tmp_path, shiftbench_command):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(
        "# @package _global_\nstudy: {grids: {deep: {model.depth: 16}}}\nhydra: {mode: MULTIRUN}\n"
    )
    done = shiftbench_command(
        "--config-dir", "mine", "experiment=one", "model.depth=8", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "no part of this experiment is left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_scale_that_there_is_not_is_named(tmp_path, shiftbench_command):
    done = shiftbench_command("scale=huge", cwd=tmp_path)
    assert done.returncode == 2
    assert "scale=huge is not known; allowed: smoke, cpu, gpu" in done.stderr
