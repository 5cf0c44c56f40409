"""Consistency beyond what accuracy explains, checked against numpy and by simulation."""

import numpy as np
import pytest

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.report.load.collect import collect
from shiftbench.report.tables.residuals import RESIDUAL_COLUMNS, residual_grids, residuals

ACCURACIES = {"max": 0.5, "avg": 0.6, "blur": 0.7, "aps": 0.8}


def networks(make_run, of, consistency, **labels):
    for (pool, accuracy), value in zip(ACCURACIES.items(), consistency, strict=True):
        make_run(of(accuracy=accuracy, consistency=value), pool=pool, **labels)


def of_pool(frame):
    return frame.set_index("pool")["residual"].to_dict()


def test_residuals_are_those_of_least_squares(make_run, of, tmp_path):
    consistency = [0.7, 0.8, 0.75, 0.95]
    networks(make_run, of, consistency)
    frame = residuals(collect([tmp_path]))
    x = np.array(list(ACCURACIES.values()))
    expected = np.array(consistency) - np.polyval(np.polyfit(x, consistency, 1), x)
    assert tuple(frame.columns) == RESIDUAL_COLUMNS
    assert of_pool(frame) == pytest.approx(dict(zip(ACCURACIES, expected, strict=True)))
    assert set(frame["networks"]) == {4}
    assert frame["ci_low"].isna().all()  # one seed, unknown images
    assert set(frame["kind"]) == {""}


def test_the_line_may_go_through_some(make_run, of, tmp_path):
    networks(make_run, of, [0.5, 0.6, 0.7, 0.95], padding="zeros")
    networks(make_run, of, [0.9, 0.9, 0.9, 0.9], padding="circular")
    found = residuals(collect([tmp_path]), "padding=circular")
    assert of_pool(found[found["padding"] == "circular"]) == pytest.approx(
        dict.fromkeys(ACCURACIES, 0)
    )
    zeros = of_pool(found[found["padding"] == "zeros"])
    assert zeros == pytest.approx({"max": -0.4, "avg": -0.3, "blur": -0.2, "aps": 0.05})
    assert found["slope"].abs().max() < 1e-9


def test_seeds_and_images_are_in_the_interval(make_run, tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(3):
        for pool, accuracy in ACCURACIES.items():
            right = (rng.random(60) < accuracy).astype(float)
            stable = np.clip(right / 2 + rng.random(60) / 2, 0, 1)
            make_run(images={"circular": {"accuracy": right, "consistency": stable}},
                     pool=pool, seed=seed)  # fmt: skip
    frame = residuals(collect([tmp_path]))
    assert set(frame["kind"]) == {"3 seeds × images"}
    assert (frame["ci_low"] < frame["residual"]).all()
    assert (frame["residual"] < frame["ci_high"]).all()
    assert frame["residual"].sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_an_interval_over_images_covers_the_residual_of_all_images(make_run, tmp_path):
    """Samples of a population in which the residual is known; 95 % of them should cover it."""
    rng = np.random.default_rng(1)
    x, y = np.array([0.4, 0.6, 0.8, 0.7]), np.array([0.5, 0.7, 0.9, 0.95])
    truth = y - np.polyval(np.polyfit(x, y, 1), x)
    hits = []
    for trial in range(40):
        for place, pool in enumerate(ACCURACIES):
            images = {"accuracy": (rng.random(400) < x[place]).astype(float),
                      "consistency": (rng.random(400) < y[place]).astype(float)}  # fmt: skip
            make_run(images={"circular": images}, pool=pool, out=tmp_path / str(trial))
        frame = residuals(collect([tmp_path / str(trial)]))
        assert set(frame["kind"]) == {"images, one seed"}
        rows = frame.set_index("pool").loc[list(ACCURACIES)]
        hits += list((rows["ci_low"] <= truth) & (truth <= rows["ci_high"]))
    assert np.mean(hits) > 0.9


def test_only_seeds_that_all_have_are_used(make_run, of, tmp_path):
    networks(make_run, of, [0.5, 0.6, 0.7, 0.8])
    make_run(of(accuracy=0.1, consistency=0.9), pool="max", seed=1)
    assert set(residuals(collect([tmp_path]))["seeds"]) == {1}
    assert of_pool(residuals(collect([tmp_path])))["max"] == pytest.approx(0)


def test_too_few_networks_and_unknown_labels_are_refused(make_run, of, tmp_path):
    make_run(of(accuracy=0.1, consistency=0.9), pool="max")
    make_run(of(accuracy=0.2, consistency=0.9), pool="avg")
    with pytest.raises(ShiftbenchError, match="no data set has 3 configurations on the line"):
        residuals(collect([tmp_path]))
    with pytest.raises(UsageError, match=r"pool=lp: no finished run has it.*; pool: avg, max"):
        residuals(collect([tmp_path]), "pool=lp")
    with pytest.raises(UsageError, match="pools=max is not a label"):
        residuals(collect([tmp_path]), "pools=max")


def test_the_table_is_sorted_and_marks_what_leaves_out_zero(make_run, of, tmp_path):
    for seed, shift in enumerate((0.0, 0.001, 0.002)):
        networks(make_run, of, [0.5, 0.65 + shift, 0.6 - shift, 0.8], seed=seed)
    [grid] = residual_grids(residuals(collect([tmp_path])))
    values = [line.cells[2].value for line in grid.lines]
    assert values == sorted(values, reverse=True)
    assert grid.lines[0].cells[2].mark == "better"
    assert grid.lines[-1].cells[2].mark == "worse"
    assert "4 configurations" in grid.common
