"""``shiftbench report``, through real processes."""

import pandas as pd
import pytest
from rich.cells import cell_len

from shiftbench.report.tables.differences import DIFFERENCE_COLUMNS
from shiftbench.report.tables.residuals import RESIDUAL_COLUMNS
from shiftbench.report.tables.summary import SUMMARY_COLUMNS
from shiftbench.runs.sweep_state import Sweep
from shiftbench.storage.result_files import CLAIM_COLUMNS, METRIC_COLUMNS, NETWORK_COLUMNS

FILES = {"results.csv", "summary.csv"}


@pytest.fixture
def study(make_run, of, tmp_path):
    """Three pools, two seeds; one run failed."""
    for seed in (0, 1):
        make_run(of(accuracy=0.5 + seed / 10, consistency=0.25), pool="max", seed=seed)
        make_run(of(accuracy=0.7 + seed / 5, consistency=0.75), pool="blur", seed=seed)
    make_run(pool="aps", error="out of memory")
    return tmp_path / "out"


def test_tables_on_the_terminal_and_in_files_without_torch(study, shiftbench_command, tmp_path):
    done = shiftbench_command("report", "out", "--no-figures", cwd=tmp_path,
                              env={"PYTHONPROFILEIMPORTTIME": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " torch" not in done.stderr
    assert "0.800±0.141*" in done.stdout
    assert "failed" in done.stdout
    assert "out of memory" in done.stderr
    assert max(map(cell_len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    folder = study / "report"
    assert {path.name for path in folder.iterdir()} == FILES
    assert tuple(pd.read_csv(folder / "results.csv").columns) == METRIC_COLUMNS
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    assert tuple(summary.columns[: len(SUMMARY_COLUMNS)]) == SUMMARY_COLUMNS
    assert summary["pool"].tolist() == ["aps", "blur", "max"]


def test_outputs_is_where_it_looks_unless_told(make_run, shiftbench_command, tmp_path):
    make_run(out=tmp_path / "outputs")
    done = shiftbench_command("report", "--no-figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs" / "report" / "summary.csv").is_file()


def test_figures_and_a_page(study, shiftbench_command, tmp_path):
    done = shiftbench_command("report", "out", "--output", "there", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "there/report.html" in done.stdout
    assert (tmp_path / "there" / "report.html").is_file()


def test_differences_from_a_reference(study, shiftbench_command, tmp_path):
    done = shiftbench_command("report", "out", "--against", "pool=max", "--no-figures",
                              cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "difference from pool=max" in done.stdout
    frame = pd.read_csv(study / "report" / "differences.csv")
    assert tuple(frame.columns) == DIFFERENCE_COLUMNS
    assert frame["seeds"].tolist() == [2, 2]
    assert frame["difference"].tolist() == pytest.approx([0.25, 0.5])


def test_consistency_beyond_what_accuracy_explains(
    study, make_run, of, shiftbench_command, tmp_path
):
    for seed in (0, 1):
        make_run(of(accuracy=0.6, consistency=0.9), pool="avg", seed=seed)
    done = shiftbench_command("report", "out", "--residuals", "all", "--no-figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "line of consistency on accuracy through all" in done.stdout
    assert "residuals.csv" in done.stdout
    frame = pd.read_csv(study / "report" / "residuals.csv")
    assert tuple(frame.columns) == RESIDUAL_COLUMNS
    assert set(frame["kind"]) == {"2 seeds"}
    assert frame["residual"].sum() == pytest.approx(0, abs=1e-8)
    assert frame.set_index("pool")["residual"].idxmax() == "avg"


@pytest.mark.parametrize("value", ["", "=accuracy:circular", " accuracy:circular"])
def test_a_leaderboard_takes_the_place_of_the_tables(study, shiftbench_command, value):
    option = f"--leaderboard{value}".split()
    done = shiftbench_command("report", *option, ".", "--no-figures", cwd=study)
    assert done.returncode == 0, done.stderr
    assert "rank" in done.stdout and "equal: " in done.stdout
    assert max(map(len, done.stdout.splitlines()[:12])) <= 80
    frame = pd.read_csv(study / "report" / "leaderboard.csv", keep_default_na=False)
    ranked_by = value.strip("= ") or "consistency:circular"
    assert set(frame["metric"] + ":" + frame["protocol"]) == {ranked_by}
    assert (study / "report" / "leaderboard.md").read_text("utf-8").startswith("# Leaderboard\n")


@pytest.mark.parametrize(("option", "first"), [("--markdown", "**circular**"), ("--latex", "% ")])
def test_a_format_to_pipe_is_all_that_is_printed(study, shiftbench_command, option, first):
    done = shiftbench_command("report", ".", option, "--no-figures", cwd=study)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(first)
    assert "results.csv" not in done.stdout
    assert "aps" in done.stdout


def test_the_sweep_folder_is_its_own_place(make_run, shiftbench_command, tmp_path):
    run = make_run()
    sweep = Sweep.start(tmp_path / "out" / "sweeps" / "s", run.parent, [("pool=max",)])
    sweep.put(("pool=max",), state="done", run_id=run.name)
    done = shiftbench_command("report", str(sweep.folder), "--no-figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in sweep.folder.iterdir()} >= FILES


def test_published_findings_that_the_runs_decide(make_run, of, shiftbench_command, tmp_path):
    for seed in (0, 1):
        for pool, value in (("max", 0.8 + 0.01 * seed), ("stride", 0.6)):
            settings = {"train": {"epochs": 1}}
            make_run(of(consistency=value), pool=pool, seed=seed, settings=settings)
    done = shiftbench_command("report", "out", "--no-figures", "--claims", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Published findings" in done.stdout and "claims.csv" in done.stdout
    assert max(map(cell_len, done.stdout.splitlines())) <= 80
    folder = tmp_path / "out" / "report"
    rows = pd.read_csv(folder / "claims.csv")
    assert rows["verdict"].value_counts()["not run"] == len(rows) - 1
    [row] = rows[rows["claim"] == "S3"].to_dict("records")
    assert tuple(row) == CLAIM_COLUMNS
    assert row["verdict"] == "reproduced"
    assert row["measured"] == pytest.approx(0.205)
    assert len(row["runs"].split(";")) == 4
    # These runs are of no study: without being asked for, no claim is judged by them.
    done = shiftbench_command("report", "out", "--no-figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Published findings" not in done.stdout and "claims" not in done.stdout
    assert {path.name for path in folder.iterdir()} == FILES


HEADER = "claim,source,statement,published,measured,ci_low,ci_high,verdict,reason,runs"  # of 0.1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "stays"),
    [("claims.csv", HEADER, False), ("claims.csv", ",".join(CLAIM_COLUMNS), False),
     ("networks.csv", ",".join(NETWORK_COLUMNS), False), ("claims.csv", "my own claims", True),
     ("claims.csv", "claim,mine", True), ("networks.csv", HEADER, True), ("claims.csv", "", True),
     ("my_claims.csv", HEADER, True)],
)  # fmt: skip
def test_what_an_earlier_report_wrote_is_removed_and_nothing_else(
    study, shiftbench_command, tmp_path, name, content, stays
):
    left = study / "report" / name
    left.parent.mkdir()
    left.write_text(f"{content}\n1,2\n")
    done = shiftbench_command("report", "out", "--no-figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert left.exists() == stays
    assert not stays or left.read_text() == f"{content}\n1,2\n"


@pytest.mark.slow
def test_a_sweep_ends_with_the_claims_of_its_experiment(tmp_path, shiftbench_command, tiny):
    untrained = [item for item in tiny if "epochs" not in item]  # trained, it is near chance
    done = shiftbench_command("-m", *untrained, "train=none", "pool=aps,max", "seed=0,1",
                              "head=gap", "padding=circular", "study.claims=[C1,S3]",
                              cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Published findings" in done.stdout
    [sweep] = (tmp_path / "outputs" / "sweeps").iterdir()
    rows = pd.read_csv(sweep / "claims.csv").set_index("claim")
    assert rows.index.tolist() == ["C1", "S3"]
    assert rows["verdict"].tolist() == ["reproduced", "not run"]
    values = pd.read_csv(sweep / "results.csv").query("protocol == 'circular' and pool == 'aps'")
    least = values[values["metric"] == "consistency"]["value"].min()
    assert rows.loc["C1", "measured"] == pytest.approx(least) == pytest.approx(1)
    assert 'id="claim-C1"' in (sweep / "report.html").read_text("utf-8")
    done = shiftbench_command("report", str(sweep), "--no-figures", cwd=tmp_path)
    assert "1 reproduced, 1 not run" in done.stdout


@pytest.mark.slow
def test_mistakes_are_one_sentence(study, shiftbench_command, tmp_path):
    for arguments, code, part in [
        (["nowhere"], 1, "no folder nowhere"),
        (["out", "--metrics", "acuracy"], 2, "did you mean 'accuracy'"),
        (["out", "--protocol", "crop"], 2, "allowed: circular"),
        (["out", "--against", "pool=maxx"], 2, "did you mean 'max'"),
        (["out", "--residuals", "all"], 1, "no data set has 3 configurations on the line"),
        (["out", "--residuals", "pool=maxx"], 2, "did you mean 'max'"),
        (["out", "--bogus"], 2, "e.g. shiftbench report outputs"),
        (["out", "--markdown", "--latex"], 2, "ask for one"),
        (["out", "--output", "out/file"], 2, "cannot write to out/file"),
    ]:
        (study / "file").write_text("")
        done = shiftbench_command("report", *arguments, "--no-figures", cwd=tmp_path)
        assert done.returncode == code, (arguments, done.stderr)
        [line] = done.stderr.strip().splitlines()
        assert line.startswith("shiftbench: ")
        assert part in line


def test_help_fits_and_knows_the_verb(shiftbench_command, tmp_path):
    done = shiftbench_command("report", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--against pool=max" in done.stdout
    words = " ".join(done.stdout.split())
    assert "claims.csv and networks.csv (published findings, if DIR is a study" in words
    assert "all published findings, for any DIR" in words
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "shiftbench report" in shiftbench_command("--help", cwd=tmp_path).stdout
    assert "did you mean 'report'" in shiftbench_command("reprot", cwd=tmp_path).stderr


@pytest.mark.slow
def test_a_real_sweep_keeps_its_tables_and_report_gives_the_same_bytes(
    tmp_path, shiftbench_command, tiny
):
    done = shiftbench_command("-m", *tiny, "pool=max,blur", "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [sweep] = (tmp_path / "outputs" / "sweeps").iterdir()
    written = {name: (sweep / name).read_bytes() for name in FILES}
    rows = pd.read_csv(sweep / "summary.csv")
    assert rows["done"].tolist() == [2, 2, 2, 2]
    assert rows["pool"].tolist() == ["max", "max", "blur", "blur"]
    for place in ("outputs/sweeps", "outputs/runs"):
        done = shiftbench_command("report", place, "--no-figures", "--output", place.replace(
            "outputs", "again"), "--against", "pool=max", cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
    again = tmp_path / "again" / "sweeps"
    assert {name: (again / name).read_bytes() for name in FILES} == written
    frame = pd.read_csv(again / "differences.csv")
    assert (frame["seeds"] == 2).all()
    sizes = {name: len((tmp_path / "again" / "runs" / name).read_bytes()) for name in FILES}
    assert sizes == {name: len(content) for name, content in written.items()}


@pytest.mark.slow
def test_a_leaderboard_of_a_real_sweep_has_the_times_of_its_runs(
    tmp_path, shiftbench_command, tiny
):
    done = shiftbench_command("-m", *tiny, "pool=max,blur", "seed=0,1", "augment=none,shift",
                              cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    [sweep] = (tmp_path / "outputs" / "sweeps").iterdir()
    done = shiftbench_command("report", sweep, "--leaderboard", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "augment=shift" in done.stdout and "augment=none" in done.stdout
    frame = pd.read_csv(sweep / "leaderboard.csv", keep_default_na=False)
    assert sorted(zip(frame["augment"], frame["configuration"], strict=True)) == [
        ("none", "blur"), ("none", "max"), ("shift", "blur"), ("shift", "max"),
    ]  # fmt: skip
    assert (frame["seeds"] == 2).all()
    assert (frame["train_ms"].astype(float) > 0).all()
    assert (frame["test_ms"].astype(float) > 0).all()
    ratio = frame.set_index(["augment", "configuration"])["macs_ratio"].astype(float)
    assert ratio["none", "max"] == 1 < ratio["none", "blur"]
    assert 'id="leaderboard"' in (sweep / "report.html").read_text("utf-8")
