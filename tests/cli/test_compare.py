"""``shiftbench compare`` and ``jagged`` of two runs, through real processes."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from comparison_output import assert_sentence, compared, replace_results

from shiftbench.cli.compare_command import COMPARISON_COLUMNS
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
