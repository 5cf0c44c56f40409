"""``shiftbench compare`` of configurations with several seeds, through real processes."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from comparison_output import assert_sentence, compared, replace_results
from scipy.stats import t

from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.sample import Sample
from shiftbench.metric import compare
from shiftbench.prediction_table import PredictionTable

pytestmark = pytest.mark.slow  # real runs, one after the other


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
