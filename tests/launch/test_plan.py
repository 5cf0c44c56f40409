"""``--plan`` in real processes: its numbers against the configuration, and that nothing is left."""

import re

import pytest

from shiftbench.report.tables.plan_table import amount, duration, size
from shiftbench.runs.plan import AT_MOST, BYTES_PER_VIEW, Plan, Work

TRAIN_IMAGES, BATCH, TEST_IMAGES = 120, 32, 24
CIRCULAR, TRANSLATE = 1 + 4 + 2, 9  # columns: base, draws, steps; offsets of up to one pixel
ROW = re.compile(r"^ ?(\w+) +(\d+) +([\d,]+) +(?:≤ )?([\d,]+) ")


def rows_of(text):
    """Return ``{work: (number, views, passes)}``."""
    found = {}
    for line in text.splitlines():
        if match := ROW.match(line):
            name, *numbers = match.groups()
            found[name] = tuple(int(number.replace(",", "")) for number in numbers)
    return found


def files_in(folder):
    return sorted(folder.rglob("*"))


@pytest.fixture(scope="module")
def steps():
    """Augmented images of an epoch: whole batches of the images that are not for validation."""
    images = TRAIN_IMAGES - round(0.1 * TRAIN_IMAGES)
    return images // BATCH * BATCH, TRAIN_IMAGES - images


@pytest.mark.slow
def test_a_single_job(shiftbench_command, tiny, tmp_path, steps):
    done = shiftbench_command("--plan", *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "1 job: 0 done before, 1 to run" in done.stdout
    assert "1 training for 1 job\n" in done.stdout
    rows = rows_of(done.stdout)
    trained, validated = steps
    assert rows["training"] == (1, trained, 3 * trained + validated)
    assert rows["circular"] == (1, TEST_IMAGES * CIRCULAR, TEST_IMAGES * CIRCULAR)
    assert rows["translate"] == (1, TEST_IMAGES * TRANSLATE, TEST_IMAGES * TRANSLATE)
    assert "by the direct engine at most" in done.stdout  # circular shifts, zero padding
    assert "of 1 of 1 networks on cpu" in done.stdout


@pytest.mark.slow
def test_a_sweep_shares_trainings_and_counts_finished_runs(
    shiftbench_command, tiny, tmp_path, steps
):
    ran = shiftbench_command(*tiny, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    before = {path: path.stat().st_mtime_ns for path in files_in(tmp_path)}
    grid = ("measure.resamples=20,30", "pool=max,stride")
    done = shiftbench_command("-m", *tiny, *grid, "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in files_in(tmp_path)} == before
    assert "4 jobs: 1 done before, 3 to run" in done.stdout
    # Both jobs of pool=stride share one training, that of pool=max is finished.
    assert "1 training for 3 jobs, 1 more finished before" in done.stdout
    rows = rows_of(done.stdout)
    assert rows["training"][:2] == (1, steps[0])
    assert rows["translate"][:2] == (3, 3 * TEST_IMAGES * TRANSLATE)
    assert rows["circular"][:2] == (3, 3 * TEST_IMAGES * CIRCULAR)


@pytest.mark.slow
def test_a_finished_job_needs_nothing_unless_forced(shiftbench_command, tiny, tmp_path):
    settings = [*tiny, "train=none", "train.epochs=0"]
    assert shiftbench_command(*settings, cwd=tmp_path).returncode == 0
    done = shiftbench_command(*settings, "--plan", cwd=tmp_path)
    assert done.stdout == "1 job: 1 done before, 0 to run\n"
    forced = shiftbench_command(*settings, "force=true", "--plan", cwd=tmp_path)
    assert "1 job: 0 done before, 1 to run" in forced.stdout


@pytest.mark.slow
def test_the_dense_engine_is_expected_where_it_applies(shiftbench_command, tiny, tmp_path):
    settings = [item for item in tiny if not item.startswith("shift.")]
    done = shiftbench_command(
        "--plan", *settings, "train=none", "train.epochs=0", "shift=circular", "head=gap",
        "padding=circular", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    number, views, passes = rows_of(done.stdout)["circular"]
    assert " dense " in done.stdout
    assert (number, views) == (1, TEST_IMAGES * 16 * 16)  # every shift of 16×16 pixels
    assert passes < views / 2


@pytest.mark.slow
def test_a_job_that_would_fail_is_named(shiftbench_command, tiny, tmp_path):
    done = shiftbench_command(
        "-m", *tiny, "pool=max,stride", "padding=zeros,sideways", "--plan", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 would fail, 2 to run" in done.stdout
    assert "padding" in done.stdout
    alone = shiftbench_command("padding=sideways", "--plan", cwd=tmp_path)
    assert alone.returncode == 2
    assert "sideways" in alone.stderr


@pytest.mark.slow
def test_an_error_of_data_or_network_is_one_sentence(shiftbench_command, tmp_path):
    done = shiftbench_command("--plan", "data=folder", cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "data.root" in line
    done = shiftbench_command("--plan", "experiment=smoke", "head=nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert "head=nothing is not known" in done.stderr


@pytest.mark.parametrize("other", ["--cfg=job", "--hydra-help", "--info"])
def test_a_plan_is_one_command(shiftbench_command, tmp_path, other):
    done = shiftbench_command("--plan", other, cwd=tmp_path)
    assert done.returncode == 2
    assert "two commands" in done.stderr


@pytest.mark.slow
def test_a_launcher_is_not_started(shiftbench_command, tiny, tmp_path):
    done = shiftbench_command(
        "-m", *tiny, "seed=0,1", "hydra/launcher=joblib", "--plan", cwd=tmp_path
    )
    if "not installed" in done.stderr:
        pytest.skip("the launcher of joblib is not installed")
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    assert "2 trainings for 2 jobs" in done.stdout
    assert "of 1 of 1 networks" in done.stdout  # seeds share an architecture


@pytest.mark.slow
def test_part_of_a_study(shiftbench_command, tmp_path):
    """The grid ``depth`` alone has ``model.depth=12,16``; it starts a sweep by itself."""
    done = shiftbench_command(
        "experiment=smoke", "model.depth=12", "pool=max", "head=gap", "augment=none",
        "padding=circular", "data.size=32", "--plan", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    jobs = int(re.match(r"(\d+) jobs?:", done.stdout).group(1))
    assert rows_of(done.stdout)["translate"][:2] == (jobs, jobs * 24 * 25)


@pytest.mark.slow
def test_a_whole_study(shiftbench_command, tmp_path):
    done = shiftbench_command("experiment=smoke", "scale=smoke", "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    # pools 16, depth 2, sizes 3, filters 4, resnet 2, borders 4, exact 6, linear 4, biased 8
    assert "49 jobs: 0 done before, 49 to run" in done.stdout
    rows = rows_of(done.stdout)
    assert rows["translate"][:2] == (49, 49 * 24 * 25)  # 24 images, up to two pixels
    assert rows["camera"][:2] == (8, 8 * 24 * 81)


def test_numbers_are_short():
    assert size(BYTES_PER_VIEW * 50_000 * 961) == "1.35 GB"
    assert amount(9_999_999) == "9,999,999"
    assert amount(10_000_000) == "10 M"
    assert duration(59.9) == "60 s"
    assert duration(7200) == "2.0 h"


def test_rows_are_summed_by_protocol_and_engine():
    parts = [
        Work("crop", "direct", 1, 10, 10, 100, 1.0, 280),
        Work("training", "", 1, 5, 15, 150, 2.0, 8),
        Work("crop", "direct", 1, 10, 10, 100, 1.0, 280),
        Work("crop", AT_MOST, 1, 1, 1, 1, 1.0, 28),
    ]
    plan = Plan(jobs=2, done=0, work=tuple(parts))
    rows = [(row.what, row.engine, row.count, row.views) for row in plan.rows()]
    assert rows == [
        ("training", "", 1, 5), ("crop", "direct", 2, 20), ("crop", AT_MOST, 1, 1)
    ]  # fmt: skip
    assert (plan.trainings, plan.total().macs) == (1, 351)


@pytest.mark.slow
@pytest.mark.parametrize(
    "key", ["precision", "measure.precision"], ids=["of training", "of measuring"]
)
def test_a_precision_that_this_machine_lacks_is_named(shiftbench_command, tiny, tmp_path, key):
    done = shiftbench_command("-m", *tiny, f"{key}=fp32,tf32", "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 would fail, 1 to run" in done.stdout
    assert f"{key}=tf32 is a format of CUDA devices" in " ".join(done.stdout.split())
    assert "of 1 of 1 networks on cpu" in done.stdout


@pytest.mark.slow
def test_the_first_job_may_be_the_one_that_would_fail(shiftbench_command, tiny, tmp_path):
    done = shiftbench_command("-m", *tiny, "device=cuda,cpu", "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 would fail, 1 to run" in done.stdout
    both = shiftbench_command("-m", *tiny, "device=cuda", "seed=0,1", "--plan", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    assert "2 would fail, 0 to run" in both.stdout


@pytest.mark.slow
def test_the_engine_of_every_protocol_of_a_sweep_is_tested(shiftbench_command, tiny, tmp_path):
    """The first job, whose network is timed, has no circular shifts."""
    settings = [item for item in tiny if not item.startswith(("shift.", "train."))]
    settings += ["train=none", "head=gap", "padding=circular"]
    alone = shiftbench_command("--plan", *settings, "shift=circular", cwd=tmp_path)
    expected = rows_of(alone.stdout)["circular"]
    assert " dense " in alone.stdout
    done = shiftbench_command(
        "-m", *settings, "shift=translate,circular", "--plan", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rows_of(done.stdout)["circular"] == expected
    assert " dense " in done.stdout
    assert "direct at most" not in done.stdout
