"""A11, Z1 to Z4: low-pass filters."""

import pytest


def seen(consistency, accuracy=0.7, correct=0.8, change=0.1):
    return {"circular": {"consistency": consistency, "accuracy": accuracy,
                         "correct_consistency": correct, "top1_change": change}}  # fmt: skip


def test_every_network_gains(judged, seeds):
    runs = [*seeds(seen(0.7)), *seeds(seen(0.9, 0.71, 0.9), pool="blur", step=0.002),
            *seeds(seen(0.8), pool="stride", model="resnet"),
            *seeds(seen(0.85, 0.72, 0.85), pool="blur", model="resnet", step=0.002)]  # fmt: skip
    found = judged("Z1", runs)
    assert found.verdict == "reproduced"
    assert found.measured == pytest.approx((0.201 + 0.051) / 2)
    assert found.measured_of == "mean over 2 networks"
    assert "2 of 2 above 0" in found.reason
    assert "the least certain: resnet with 0.051" in found.reason
    assert len(found.runs) == 12
    assert judged("Z2", runs).measured == pytest.approx((0.011 + 0.021) / 2)
    assert judged("Z2", runs).verdict == "reproduced"


def test_one_network_that_loses_is_enough(judged, seeds):
    runs = [*seeds(seen(0.7)), *seeds(seen(0.9), pool="blur", step=0.002),
            *seeds(seen(0.8), head="flatten"),
            *seeds(seen(0.75, 0.6, 0.7), pool="blur", head="flatten", step=0.002)]  # fmt: skip
    found = judged("Z1", runs)
    assert found.verdict == "not reproduced"
    effects = {one.name: round(one.value, 3) for one in found.networks}
    assert effects == {"gap": 0.201, "flatten": -0.049}
    assert "1 of 2 above 0" in found.reason
    assert "the least certain: flatten with -0.049" in found.reason
    assert judged("Z2", runs).verdict == "not reproduced"


def test_blur_is_compared_only_with_the_pool_it_replaces(judged, seeds):
    blurred = seeds(seen(0.9), pool="blur")
    assert judged("Z1", [*blurred, *seeds(seen(0.7), pool="stride")]) is None
    assert judged("Z1", [*seeds(seen(0.9), pool="blur5"), *seeds(seen(0.7))]) is None
    untrained = {"train.epochs": 0}
    assert judged("Z1", [*seeds(seen(0.9), pool="blur", **untrained),
                         *seeds(seen(0.7), **untrained)]) is None  # fmt: skip


def filters(seeds, slope, loss):
    return [
        one
        for taps in range(1, 8)
        for one in seeds(seen(0.8 + slope * taps, 0.7 - loss * taps), pool=f"blur{taps}",
                         step=0.0001 * taps)
    ]  # fmt: skip


@pytest.mark.parametrize(("sign", "verdict"), [(1, "reproduced"), (-1, "not reproduced")])
def test_filter_sizes(judged, seeds, sign, verdict):
    runs = filters(seeds, sign * 0.01, sign * 0.01)
    found = judged("Z3", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(sign * 0.01 + 0.0001)
    assert f"accuracy is highest at {1 if sign > 0 else 7} taps" in found.reason
    found = judged("A11", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(sign * 0.04 - 0.0004)
    assert judged("Z3", filters(seeds, 0.01, 0.01)[:6]) is None  # two sizes are no sweep


@pytest.mark.parametrize(("blurred", "verdict"), [(0.95, "reproduced"), (0.8, "not reproduced")])
def test_blur_against_augmentation(judged, seeds, blurred, verdict):
    runs = [*seeds(seen(0.7)), *seeds(seen(0.9), augment="shift"),
            *seeds(seen(blurred), pool="blur", step=0.002),
            *seeds(seen(0.96), pool="blur", augment="shift")]  # fmt: skip
    found = judged("Z4", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(blurred - 0.9 + 0.001)
    assert "max shift=0.901" in found.reason
    assert judged("Z4", runs[:9]) is None
