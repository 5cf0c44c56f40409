"""A6 to A8: the sampling theorem."""

import pandas as pd
import pytest

from shiftbench.claims import Number

UNTRAINED = {"train.epochs": 0}


def exact(value, n_shifts=4096):
    return {"circular": {"exact_fraction": Number(value, value, value, n_shifts)}}


def strided(run, factor=1.0, **given):
    return [
        run(exact(factor / 4**count), pool=pool, seed=seed,
            **UNTRAINED, **{"model.downsamplings": count}, **given)
        for count in (1, 2, 5) for pool in ("max", "stride") for seed in (0, 1)
    ]  # fmt: skip


def test_one_in_s_squared(judged, run):
    found = judged("A6", strided(run))
    assert (found.verdict, found.measured) == ("reproduced", 1.0)
    assert "12 of 12" in found.reason and "s=2, 4, 32" in found.reason
    assert len(found.runs) == 12
    off = judged("A6", [*strided(run), run(exact(0.3), **UNTRAINED, **{"model.downsamplings": 1},
                                           width=1)])  # fmt: skip
    assert (off.verdict, off.measured) == ("not reproduced", pytest.approx(1.2))
    assert "s=2" in off.reason


def test_only_full_sets_of_shifts_on_a_torus_count(judged, run):
    stride = {"model.downsamplings": 2, **UNTRAINED}
    assert judged("A6", [run(exact(0.1, n_shifts=81), **stride)]) is None
    assert judged("A6", [run(exact(0.1), padding="zeros", **stride)]) is None
    assert judged("A6", [run(exact(0.1), head="flatten", **stride)]) is None
    assert judged("A6", [run(exact(0.1), pool="aps", **stride)]) is None
    assert judged("A6", [run(exact(0.1), **UNTRAINED, **{"model.downsamplings": None})]) is None


@pytest.mark.parametrize(
    ("linear", "relu", "verdict"),
    [(1.0, 0.1, "reproduced"), (0.9, 0.1, "not reproduced"), (1.0, 1.0, "not reproduced")],
)
def test_shiftable_features_are_invariant_until_relu(judged, run, linear, relu, verdict):
    runs = [run(exact(linear), pool="ideal", model="linear", **UNTRAINED),
            run(exact(relu), pool="ideal", model="vgg", **UNTRAINED)]  # fmt: skip
    found = judged("A7", runs)
    assert (found.verdict, found.measured) == (verdict, linear)
    assert judged("A7", runs[:1]) is None


def layers(runs, errors):
    return pd.DataFrame([
        {"run_id": one.run_id, "index": index, "stride": 1.0, "dy": dy, "dx": 1,
         "invariance_error": error + 0.001 * seed * (index == 2)}
        for seed, one in enumerate(runs) for dy in (0, 1) for index, error in enumerate(errors)
    ])  # fmt: skip


@pytest.mark.parametrize(("sign", "verdict"), [(1, "reproduced"), (-1, "not reproduced")])
def test_shiftability_falls_with_depth(judged, seeds, sign, verdict):
    runs = seeds({"circular": {"consistency": 0.5}})
    rows = layers(runs, [0.5 + sign * 0.05 * index for index in range(8)])
    found = judged("A8", runs, layers=rows)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(sign * 0.35, abs=0.01)
    assert judged("A8", runs) is None  # not probed


def test_maps_alone_count_and_the_unshifted_image_does_not(judged, seeds):
    runs = seeds({"circular": {"consistency": 0.5}})
    rows = layers(runs, [0.1, 0.2, 0.3])
    still = rows.assign(dy=0, dx=0, invariance_error=9.0)
    no_map = rows.assign(index=99, stride=float("nan"), invariance_error=9.0)
    with_all = pd.concat([rows, still, no_map], ignore_index=True)
    plain, found = (judged("A8", runs, layers=one).measured for one in (rows, with_all))
    assert found == pytest.approx(plain)


def test_linear_networks_are_another_question(judged, seeds):
    runs = seeds({"circular": {"consistency": 0.5}}, model="linear")
    assert judged("A8", runs, layers=layers(runs, [0.1, 0.2, 0.3])) is None
