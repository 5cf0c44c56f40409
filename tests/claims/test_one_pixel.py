"""A1 to A5 and A10: what one pixel changes."""

import math

import pytest

CROP, BLACK = "azulay2019_crop", "azulay2019_black"


def seen(crop, black=0.3):
    return {
        CROP: {"top1_change": crop, "mean_absolute_change": crop / 2, "accuracy": 0.7,
               "correct_consistency": 0.9},
        BLACK: {"top1_change": black, "mean_absolute_change": black / 2},
    }  # fmt: skip


@pytest.mark.parametrize(("crop", "verdict"), [(0.08, "reproduced"), (0.01, "not reproduced")])
def test_one_pixel_changes_the_answer_or_does_not(judged, seeds, crop, verdict):
    runs = seeds(seen(crop))
    found = judged("A1", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(crop + 0.001)
    assert set(found.runs) == {one.run_id for one in runs}
    assert "black=0.301" in found.reason
    assert judged("A2", runs).measured == pytest.approx(crop / 2 + 0.001)
    assert judged("A2", runs).verdict == verdict


def test_the_networks_of_the_paper_are_plain_and_trained(judged, seeds):
    others = [*seeds(seen(0.08), pool="blur"), *seeds(seen(0.08), augment="shift"),
              *seeds(seen(0.08), **{"train.epochs": 0})]  # fmt: skip
    assert judged("A1", others) is None
    assert judged("A3", others) is None
    [given] = seeds(seen(0.08), count=1, pool="native",
                    **{"train.epochs": 0, "model.weights": "DEFAULT"})  # fmt: skip
    found = judged("A1", [given])
    assert found.verdict == "reproduced" and "images, one seed" in found.reason


@pytest.mark.parametrize(
    ("crop", "black", "verdict"),
    [(0.06, 0.18, "reproduced"), (0.1, 0.15, "not reproduced"), (0.2, 0.1, "not reproduced")],
)
def test_small_objects_are_worse_by_a_factor(judged, seeds, crop, black, verdict):
    found = judged("A3", seeds(seen(crop, black), step=0.0001))
    assert found.verdict == verdict
    assert found.measured == pytest.approx(black / crop, rel=0.01)
    assert found.low < found.measured < found.high


@pytest.mark.parametrize(("slope", "verdict"), [(0.01, "reproduced"), (-0.01, "not reproduced")])
def test_depth(judged, seeds, slope, verdict):
    runs = [
        one
        for depth in (8, 12, 16)
        for one in seeds(seen(0.2 + slope * (depth - 8)), step=0.0001 * depth,
                         **{"model.depth": depth})
    ]  # fmt: skip
    found = judged("A5", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(10 * slope, abs=2e-3)
    assert judged("A5", runs[:3]) is None  # one depth is no sweep


def swept(change, side=32):
    """Return numbers of a size sweep, and its settings; ``change`` maps px to top1_change."""
    numbers = {f"object_{px}": {"top1_change": value} for px, value in change.items()}
    margins = {f"shift.object_{px}.margin": px - side for px in change if px > side}
    return numbers, margins


def shaped(training_size, strength=0.2):
    sizes = (12, 16, 24, 36, 48)
    return swept({px: 0.2 + strength * abs(math.log(px / training_size)) for px in sizes})


@pytest.mark.parametrize(("strength", "verdict"), [(0.2, "reproduced"), (-0.1, "not reproduced")])
def test_the_minimum_follows_the_training_size(judged, run, strength, verdict):
    runs = []
    for scale in (0.5, 1.0, 1.5):
        for seed in range(3):
            numbers, settings = shaped(32 * scale, strength + 0.01 * seed)
            runs.append(run(numbers, augment=f"full[{scale}]", seed=seed, **settings,
                            **{"augment.scale": [scale, scale], "data.size": None}))  # fmt: skip
    found = judged("A4", runs)
    assert found.verdict == verdict
    assert "×0.5=16; ×1=36; ×1.5=48" in found.reason
    assert len(found.runs) == 9


def test_size_effects_common_to_all_networks_cancel(judged, seeds):
    """Small objects are harder for everybody: that is not the training's doing."""
    runs = []
    for scale in (0.5, 1.0, 1.5):
        numbers, settings = swept({16: 0.4, 36: 0.2, 48: 0.1})
        runs += seeds(numbers, augment=f"full[{scale}]", step=0.001 * scale, **settings,
                      **{"augment.scale": [scale, scale]})  # fmt: skip
    assert judged("A4", runs).measured == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [({12: 0.4, 24: 0.3, 36: 0.2, 48: 0.4}, "reproduced"),
     ({12: 0.4, 24: 0.3, 36: 0.2, 48: 0.1}, "not reproduced")],
)  # fmt: skip
def test_a_pretrained_network_is_judged_by_the_u(judged, seeds, change, verdict):
    numbers, settings = swept(change)
    [given] = seeds(numbers, count=1, **settings)
    found = judged("A4", [given])
    assert found.verdict == verdict
    assert found.measured == pytest.approx(min(change[12], change[48]) - change[36])


@pytest.mark.parametrize(
    ("on_crops", "on_black", "verdict"),
    [(0.05, 0.25, "reproduced"), (0.15, 0.05, "not reproduced")],
)
def test_augmentation_helps_on_typical_images(judged, seeds, on_crops, on_black, verdict):
    runs = [*seeds(seen(0.2, 0.3)), *seeds(seen(on_crops, on_black), augment="shift")]
    found = judged("A10", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx((0.2 / on_crops) / (0.3 / on_black), rel=0.05)
