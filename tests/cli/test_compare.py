"""``shiftbench compare``, through real processes."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from shiftbench.cli.compare_command import COMPARISON_COLUMNS
from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.sample import Sample
from shiftbench.metric import compare
from shiftbench.prediction_table import PredictionTable

pytestmark = pytest.mark.slow  # real runs, one after the other


@pytest.fixture(scope="module")
def runs(tmp_path_factory, shiftbench_command, tiny):
    """Two tiny runs that differ in their pool, in a folder with a space."""
    folder = tmp_path_factory.mktemp("my results")
    for pool in ("max", "blur"):
        done = shiftbench_command(*tiny, f"pool={pool}", "measure.layers=false", cwd=folder)
        assert done.returncode == 0, done.stderr
    found = {pool: next(folder.glob(f"outputs/runs/*-{pool}-*")) for pool in ("max", "blur")}
    return folder, found["max"], found["blur"]


def prefix(run):
    """The shortest beginning that the other run does not share."""
    return run.name[: run.name.index("-flatten")]


def copy_of(run, tmp_path):
    return shutil.copytree(run, tmp_path / run.name)


def test_two_runs_by_prefix_give_the_numbers_of_the_paired_comparison(
    runs, shiftbench_command, tmp_path
):
    folder, a, b = runs
    rows = tmp_path / "new folder" / "rows.csv"
    done = shiftbench_command("compare", prefix(a), prefix(b), "--csv", str(rows), cwd=folder,
                              env={"PYTHONPROFILEIMPORTTIME": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " torch" not in done.stderr
    frame = pd.read_csv(rows)
    assert tuple(frame.columns) == COMPARISON_COLUMNS
    assert set(frame["protocol"]) == {"circular", "translate"}
    tables = [PredictionTable.load(run / "predictions" / "translate.npz") for run in (a, b)]
    expected = pd.DataFrame(compare(*tables))
    part = frame[frame["protocol"] == "translate"]
    for column in ("value_a", "value_b", "difference", "ci_low", "ci_high"):
        assert part[column].to_numpy() == pytest.approx(expected[column].to_numpy(), nan_ok=True)
    assert set(part["kind"].dropna()) == {"images, one seed"}
    assert set(part["seeds"]) == {1}


def test_the_table_fits_eighty_columns_and_says_what_differs(runs, shiftbench_command):
    folder, a, b = runs
    done = shiftbench_command("compare", str(a), str(b), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "pool: max → blur" in done.stdout
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or line.startswith(("A  ", "B  "))
    for word in ("circular", "translate", "accuracy", "consistency", "B − A", "better"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout


def test_one_protocol_can_be_asked_for(runs, shiftbench_command):
    folder, a, b = runs
    done = shiftbench_command("compare", a.name, b.name, "--protocol", "translate", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "circular" not in done.stdout
    assert "out=PATH" not in done.stderr


def test_a_run_does_not_differ_from_itself(runs, shiftbench_command, tmp_path):
    folder, a, _ = runs
    done = shiftbench_command("compare", a.name, a.name, "--csv", str(tmp_path / "d.csv"),
                              cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "d.csv")
    assert (frame["difference"] == 0).all()
    assert frame["better"].isna().all()


def test_out_may_be_given_as_everywhere_else(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    for out in (f"out={folder / 'outputs'}", f"--out={folder / 'outputs'}"):
        done = shiftbench_command("compare", prefix(a), prefix(b), out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_a_protocol_that_cannot_be_paired_is_left_out_and_named(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    changed = copy_of(b, tmp_path)
    path = changed / "predictions" / "circular.npz"
    with np.load(path) as file:
        content = {**file, "shifts": file["shifts"] + 1}
    np.savez_compressed(path, **content)
    done = shiftbench_command("compare", str(a), str(changed), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "left out  circular" in done.stdout
    assert "same shifts" in " ".join(done.stdout.split())
    done = shiftbench_command("compare", str(a), str(changed), "--protocol=circular", cwd=folder)
    assert_sentence(done, 1, "same shifts")


def test_other_images_cannot_be_paired(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    changed = copy_of(b, tmp_path)
    for path in (changed / "predictions").glob("*.npz"):
        with np.load(path) as file:
            content = {**file, "labels": file["labels"][::-1]}
        np.savez_compressed(path, **content)
    assert_sentence(shiftbench_command("compare", str(a), str(changed), cwd=folder), 1, "images")


def assert_sentence(done, code, part):
    assert done.returncode == code, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("shiftbench: ")
    assert part in line


def test_what_cannot_be_compared_is_one_sentence(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    for arguments, part in [
        ([], "required: RUN"),
        ([a.name], "two runs, got 1"),
        ([a.name, b.name, b.name], "two runs, got 3"),
        ([a.name, "nothing"], "there is no run 'nothing'"),
        ([a.name, f"{b.name}x"], f"did you mean '{b.name}'"),
        ([a.name, "shapes"], "begins 2 runs"),
        ([a.name, ""], "there is no run ''"),
        ([a.name, str(folder)], "not the folder of a run"),
        ([a.name, b.name, "--protocol", "crop"], "A has circular, translate"),
        ([a.name, b.name, "--bogus"], "--bogus"),
    ]:
        done = shiftbench_command("compare", *arguments, cwd=folder)
        assert_sentence(done, 2, part)


def test_an_unfinished_run_is_named(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    changed = copy_of(b, tmp_path)
    (changed / "status.json").write_text(json.dumps({"state": "interrupted"}))
    done = shiftbench_command("compare", str(a), str(changed), cwd=folder)
    assert_sentence(done, 2, "not finished (interrupted)")


def replace_results(run, text):
    """Give a run other numbers, as if it had written them."""
    (run / "metrics.csv").write_text(text)
    status = json.loads((run / "status.json").read_text())
    status["files"]["metrics.csv"] = hashlib.sha256(text.encode()).hexdigest()
    (run / "status.json").write_text(json.dumps(status))


def test_results_that_somebody_edited_are_not_compared(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    changed = copy_of(b, tmp_path)
    text = (changed / "metrics.csv").read_text().replace(",accuracy,0", ",accuracy,1")
    (changed / "metrics.csv").write_text(text)
    done = shiftbench_command("compare", str(a), str(changed), cwd=folder)
    assert_sentence(done, 1, "metrics.csv was changed since the run wrote it")


def test_runs_without_a_common_protocol_are_named(runs, shiftbench_command, tmp_path):
    folder, a, b = runs
    changed = copy_of(b, tmp_path)
    text = (changed / "metrics.csv").read_text()
    text = text.replace(",circular,", ",crop,").replace(",translate,", ",zoom,")
    replace_results(changed, text)
    done = shiftbench_command("compare", str(a), str(changed), cwd=folder)
    assert_sentence(done, 2, "A has circular, translate, B has crop, zoom")


def compared(shiftbench_command, folder, *arguments):
    """Rows of a comparison by protocol and metric, and what was printed."""
    path = folder / "rows.csv"
    done = shiftbench_command("compare", *map(str, arguments), "--csv", str(path), cwd=folder)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or line.startswith(("A  ", "B  "))
    frame = pd.read_csv(path).set_index(["protocol", "metric"])
    return frame, " ".join(done.stdout.split())


def test_one_seed_has_no_verdict_and_says_why(runs, shiftbench_command):
    folder, a, b = runs
    frame, text = compared(shiftbench_command, folder, a, b)
    assert frame["better"].isna().all()
    assert "another training seed may change the difference by more than this interval" in text
    assert "seed=0,1,2 -m" in text
    assert "bold" not in text


def test_one_seed_over_seeds_is_one_sentence(runs, shiftbench_command):
    folder, a, b = runs
    done = shiftbench_command("compare", str(a), str(b), "--over", "seeds", cwd=folder)
    assert_sentence(done, 2, "--over seeds takes two seeds or more")


@pytest.fixture(scope="module")
def several(tmp_path_factory, shiftbench_command, tiny):
    """Two pools of three seeds, of which they share two, and one with fewer test images."""
    folder = tmp_path_factory.mktemp("seeds")
    for pool, seeds, *more in [("max", "0,1,2"), ("blur", "0,1,3"),
                               ("avg", "0,1", "data.test_images=20")]:  # fmt: skip
        done = shiftbench_command("-m", *tiny, f"pool={pool}", f"seed={seeds}", "figures=false",
                                  *more, cwd=folder)  # fmt: skip
        assert done.returncode == 0, done.stderr
    return {pool: sorted(folder.glob(f"outputs/runs/*-{pool}-flatten*"))
            for pool in ("max", "blur", "avg")}  # fmt: skip


def copy_of_all(several, tmp_path, *names):
    """Copies of runs and of all their seeds, without some of their files."""
    runs = tmp_path / "outputs" / "runs"
    shutil.copytree(several["max"][0].parent, runs)
    for name in names:
        for path in runs.glob(f"*/{name}"):
            path.unlink()
    return [runs / several[pool][0].name for pool in ("max", "blur")]


def right(run):
    """Whether the unshifted images are classified right."""
    table = PredictionTable.load(run / "predictions" / "translate.npz")
    return (table.top1[:, 0] == table.labels).astype(float)


def test_configurations_are_compared_over_their_common_seeds(several, shiftbench_command, tmp_path):
    a, b = several["max"][1], several["blur"][0]
    frame, text = compared(shiftbench_command, tmp_path, a, b)
    assert "seeds paired: 0, 1 without a partner: 2 of A without a partner: 3 of B" in text
    assert "95 % interval over 2 seeds × images" in text
    assert "one pair of runs" not in text
    assert "train A and B with another seed" in text
    row = frame.loc["translate", "accuracy"]
    each = np.array([right(several["blur"][seed]) - right(several["max"][seed]) for seed in (0, 1)])
    low, high = crossed_interval(
        Sample(each.mean(axis=1), {"": each - each.mean(axis=1, keepdims=True)}, (0, 1))
    )
    assert (row["seeds"], row["kind"], row["interval"]) == (2, "2 seeds × images", "crossed")
    assert row["difference"] == pytest.approx(each.mean(), abs=1e-6)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), rel=1e-3)
    assert row["run_a"].split() == [run.name for run in several["max"][:2]]


def test_exchanging_a_and_b_changes_the_sign(several, shiftbench_command, tmp_path):
    there, _ = compared(shiftbench_command, tmp_path, several["max"][0], several["blur"][0])
    back, _ = compared(shiftbench_command, tmp_path, several["blur"][0], several["max"][0])
    for one, other in [("difference", "difference"), ("ci_low", "ci_high")]:
        assert there[one].to_numpy() == pytest.approx(-back[other].to_numpy(), nan_ok=True)


def test_a_configuration_is_as_good_as_itself(several, shiftbench_command, tmp_path):
    frame, text = compared(shiftbench_command, tmp_path, several["max"][0], several["max"][0])
    assert "seeds paired: 0, 1, 2" in text
    assert (frame["difference"] == 0).all()
    assert frame["better"].isna().all()
    known = frame["interval"].notna()
    assert known.sum() > 20
    assert (frame["ci_low"][known] < 0).all() and (frame["ci_high"][known] > 0).all()


def test_two_seeds_of_one_configuration_are_two_runs(several, shiftbench_command, tmp_path):
    frame, text = compared(shiftbench_command, tmp_path, *several["max"][:2])
    assert "not paired: A and B are seeds of one configuration" in text
    assert "seed: 0 → 1" in text
    assert frame["better"].isna().all()


def test_two_runs_alone_can_be_asked_for(several, shiftbench_command, tmp_path):
    a, b = several["max"][0], several["blur"][0]
    frame, text = compared(shiftbench_command, tmp_path, a, b, "--runs")
    tables = [PredictionTable.load(run / "predictions" / "circular.npz") for run in (a, b)]
    expected = {row.metric: row for row in compare(*tables)}
    for metric, row in frame.loc["circular"].iterrows():
        assert row["ci_low"] == pytest.approx(expected[metric].ci_low, nan_ok=True)
    assert frame["better"].isna().all()
    assert "by --runs" in text


def test_over_seeds_is_students_t(several, shiftbench_command, tmp_path):
    a, b = several["max"][0], several["blur"][0]
    frame, text = compared(shiftbench_command, tmp_path, a, b, "--over=seeds")
    row = frame.loc["circular", "consistency"]
    values = {
        pool: [
            pd.read_csv(run / "metrics.csv").set_index(["protocol", "metric"])
            .loc[("circular", "consistency"), "value"] for run in several[pool][:2]
        ] for pool in ("max", "blur")
    }  # fmt: skip
    apart = np.subtract(values["blur"], values["max"])
    half = t.ppf(0.975, 1) * apart.std(ddof=1) / 2**0.5
    assert row["ci_low"] == pytest.approx(max(apart.mean() - half, -1), abs=1e-6)
    assert row["ci_high"] == pytest.approx(min(apart.mean() + half, 1), abs=1e-6)
    assert (row["kind"], row["interval"]) == ("2 seeds", "t")
    assert "95 % interval over 2 seeds]" in text


def test_images_are_enough_without_tables_and_tables_without_images(
    several, shiftbench_command, tmp_path
):
    whole, _ = compared(shiftbench_command, tmp_path, several["max"][0], several["blur"][0])
    for name in ("predictions/*.npz", "images.npz"):
        a, b = copy_of_all(several, tmp_path / name[:5], name)
        part, _ = compared(shiftbench_command, tmp_path, a, b)
        assert set(part["kind"].dropna()) == {"2 seeds × images"}
        for column in ("value_a", "difference", "ci_low", "ci_high"):
            assert part[column].to_numpy() == pytest.approx(
                whole[column].to_numpy(), abs=2e-3, nan_ok=True
            )


def test_without_both_it_is_over_seeds_and_says_so(several, shiftbench_command, tmp_path):
    a, b = copy_of_all(several, tmp_path, "images.npz", "predictions/*.npz")
    frame, text = compared(shiftbench_command, tmp_path, a, b)
    assert set(frame["kind"].dropna()) == {"2 seeds"}
    assert "what each image adds is not known" in text
    frame, text = compared(shiftbench_command, tmp_path, a, b, "--runs")
    assert frame["ci_low"].isna().all() and frame["difference"].notna().all()
    assert "[no interval]" in text


def test_seeds_on_other_images_are_refused(several, shiftbench_command, tmp_path):
    arguments = [str(several[pool][0]) for pool in ("max", "avg")]
    done = shiftbench_command("compare", *arguments, cwd=tmp_path)
    assert_sentence(done, 1, "the two runs of seed 0 were not measured on the same images")


def test_seeds_under_another_protocol_are_left_out(several, shiftbench_command, tmp_path):
    a, b = copy_of_all(several, tmp_path)
    for run in b.parent.glob("*-blur-*"):
        who = json.loads((run / "run.json").read_text())
        who["settings"]["shift.translate.max_shift"] = 2
        (run / "run.json").write_text(json.dumps(who))
    frame, text = compared(shiftbench_command, tmp_path, a, b)
    assert set(frame.index.get_level_values("protocol")) == {"circular"}
    assert "left out translate" in text
    assert "shift.translate.max_shift differ" in text


def test_the_same_run_of_two_places_is_two_runs(several, shiftbench_command, tmp_path):
    copy_of_all(several, tmp_path)
    copied = tmp_path / "outputs" / "runs" / several["max"][0].name
    text = (copied / "metrics.csv").read_text().splitlines()
    edited = [line.replace(",accuracy,0", ",accuracy,1") for line in text]
    replace_results(copied, "\n".join(edited) + "\n")
    frame, _ = compared(shiftbench_command, tmp_path, several["max"][0], copied)
    row = frame.loc["circular", "accuracy"]
    assert row["seeds"] == 3
    assert row["difference"] == pytest.approx(1 / 3)


def test_help_and_did_you_mean_know_the_verb(shiftbench_command, tmp_path):
    done = shiftbench_command("compare", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--protocol NAME" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "shiftbench compare" in shiftbench_command("--help", cwd=tmp_path).stdout
    done = shiftbench_command("compar", cwd=tmp_path)
    assert "did you mean 'compare'" in done.stderr


def test_jagged_draws_both_curves_in_one_figure(runs, shiftbench_command):
    folder, first, second = runs
    done = shiftbench_command("jagged", str(first), prefix(second), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "jagged_translate.png"
    assert (folder / "jagged_translate.png").read_bytes().startswith(b"\x89PNG")


def test_jagged_says_what_it_lacks(runs, shiftbench_command):
    folder, first, second = runs
    for arguments, sentence in [
        ((), "e.g. shiftbench jagged RUN_A RUN_B"),
        (("nowhere",), "there is no run 'nowhere'"),
        ((str(first), "--protocol", "crop"), "it has: circular, translate"),
        ((str(first), str(second), "--protocol", "circular"), "no path that all images share"),
    ]:
        done = shiftbench_command("jagged", *arguments, cwd=folder)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
