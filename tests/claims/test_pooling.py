"""S1 to S3, T1, K1: pooling, heads, borders, augmentation."""

import numpy as np
import pandas as pd
import pytest

from shiftbench.claims import Number


def seen(value, **others):
    return {"circular": {"consistency": value}, "translate": {"consistency": value},
            "crop": {"consistency": value}, **others}  # fmt: skip


def shifts(runs, agreement):
    """Rows of shifts.csv; ``agreement`` maps distance to a fraction."""
    return pd.DataFrame([
        {"run_id": one.run_id, "protocol": "circular", "dy": float(dy), "dx": 0.0,
         "agreement": 1.0 if dy == 0 else agreement(abs(dy)) + 0.001 * seed / abs(dy)}
        for seed, one in enumerate(runs) for dy in range(-8, 8)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("agreement", "verdict"),
    [(lambda far: 1 - 0.1 * far, "reproduced"), (lambda far: 0.1 * far, "not reproduced")],
)
def test_invariance_fades_with_the_shift(judged, seeds, agreement, verdict):
    runs = seeds(seen(0.5), head="flatten")
    found = judged("S1", runs, shifts=shifts(runs, agreement))
    assert found.verdict == verdict
    far = np.mean([agreement(one) for one in (4, 5, 6, 7, 8)])  # every distance counts once
    assert found.measured == pytest.approx(agreement(1) - far, abs=2e-3)
    assert judged("S1", seeds(seen(0.5)), shifts=shifts(runs, agreement)) is None  # gap


@pytest.mark.parametrize(("learned", "verdict"), [(0.85, "reproduced"), (0.42, "not reproduced")])
def test_flatten_learns_from_augmentation(judged, seeds, learned, verdict):
    runs = [*seeds(seen(0.77)), *seeds(seen(0.87), augment="shift", step=0.002),
            *seeds(seen(0.4), head="flatten"),
            *seeds(seen(learned), head="flatten", augment="shift")]  # fmt: skip
    found = judged("S2", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(learned - 0.4 - 0.1 - 0.001)
    assert judged("S2", runs[:9]) is None


@pytest.mark.parametrize(("strided", "verdict"), [(0.6, "reproduced"), (0.8, "not reproduced")])
def test_stride_keeps_less_than_pooling(judged, seeds, strided, verdict):
    found = judged("S3", [*seeds(seen(0.7)), *seeds(seen(strided), pool="stride", step=0.002)])
    assert found.verdict == verdict
    assert found.measured == pytest.approx(0.7 - strided - 0.001)


def grid(run, pool=0.0, head=0.0, augment=0.0):
    """A factorial of 3 seeds: effects added, a little noise that differs by seed."""
    rng = np.random.default_rng(0)
    return [
        run(seen(0.5 + pool * (p == "blur") + head * (h == "gap") + augment * (a == "shift")
                 + 0.01 * rng.standard_normal()), pool=p, head=h, augment=a, seed=seed)
        for p in ("max", "blur") for h in ("gap", "flatten") for a in ("none", "shift")
        for seed in range(3)
    ]  # fmt: skip


def test_augmentation_against_architecture(judged, run):
    found = judged("T1", grid(run, pool=0.05, augment=0.3))
    assert found.verdict == "reproduced"
    named = {one.name: one.value for one in found.networks}
    for protocol in ("translate", "circular"):  # gains less what the step of architecture gains
        assert named[f"{protocol}, augment - pool max → blur"] == pytest.approx(0.25, abs=0.02)
        assert named[f"{protocol}, augment - head flatten → gap"] == pytest.approx(0.3, abs=0.02)
    assert found.measured == pytest.approx(0.275, abs=0.02)
    assert "gains under circular: augment: none → shift=0.298" in found.reason
    assert len(found.runs) == 24
    assert judged("T1", grid(run, pool=0.2, head=0.2, augment=0.1)).verdict == "not reproduced"


def test_one_step_that_gains_more_is_enough(judged, run):
    assert judged("T1", grid(run, pool=0.3, augment=0.1)).verdict == "not reproduced"


def test_incomplete_grids_and_single_pools_are_ignored(judged, run):
    whole = grid(run, augment=0.3)
    assert judged("T1", [one for one in whole if one.pool == "max"]) is None
    assert judged("T1", [one for one in whole if one.labels["head"] == "gap"]) is None
    # a pool that lacks a corner is left out of the grid, and with it the second pool
    assert judged("T1", [one for one in whole if (one.pool, one.labels["head"])
                         != ("blur", "flatten")]) is None  # fmt: skip


@pytest.mark.parametrize(("both", "verdict"), [(0.96, "reproduced"), (0.86, "not reproduced")])
def test_padding_and_blur_add_up(judged, seeds, both, verdict):
    runs = [*seeds(seen(0.80), padding="zeros"), *seeds(seen(0.85)),
            *seeds(seen(0.88), pool="blur", padding="zeros"),
            *seeds(seen(both), pool="blur", step=0.002)]  # fmt: skip
    found = judged("K1", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(both - 0.80 - 0.05 - 0.08 + 0.001)
    assert "padding alone +0.050" in found.reason and "blur alone +0.080" in found.reason


@pytest.mark.parametrize(("loss", "verdict"), [(0.005, "reproduced"), (0.015, "not reproduced")])
def test_a_loss_of_less_than_a_point_adds_up(judged, run, loss, verdict):
    levels = {("zeros", "max"): 0.80, ("circular", "max"): 0.85, ("zeros", "blur"): 0.88,
              ("circular", "blur"): 0.93 - loss}  # fmt: skip
    runs = [
        run({"crop": {"consistency": Number(value, value - 0.0002, value + 0.0002)}},
            padding=padding, pool=pool)
        for (padding, pool), value in levels.items()
    ]  # fmt: skip
    assert judged("K1", runs).verdict == verdict
