"""A9 and A10 on drawn shapes, whose laws of position and size are known."""

import pytest


def seen(consistency):
    return {"camera": {"consistency": consistency, "accuracy": 0.7}}


LAW = {"data.position": "centred", "data.test.position": "uniform"}
WIDE = {"data.position": "uniform", "data.test.position": "uniform"}


@pytest.mark.parametrize(("narrow", "verdict"), [(0.5, "reproduced"), (0.9, "not reproduced")])
def test_centred_data_teach_no_invariance(judged, seeds, narrow, verdict):
    runs = [*seeds(seen(narrow), **LAW), *seeds(seen(0.7), step=0.002, **WIDE)]
    found = judged("A9", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(0.701 - narrow, abs=1e-3)


def test_both_are_tested_on_the_same_scenes(judged, seeds):
    as_trained = {"data.position": "centred", "data.test.position": None}
    assert judged("A9", [*seeds(seen(0.5), **as_trained), *seeds(seen(0.7), **WIDE)]) is None
    same_law = {"data.position": "uniform", "data.test.position": None}
    assert judged("A9", [*seeds(seen(0.5), **LAW), *seeds(seen(0.7), step=0, **same_law)])


@pytest.mark.parametrize(("outside", "verdict"), [(0.35, "reproduced"), (0.05, "not reproduced")])
def test_augmentation_on_objects_of_other_sizes(judged, seeds, outside, verdict):
    def runs(augment, size, change):
        return seeds({"circular": {"top1_change": change}}, augment=augment, step=0.0001,
                     **{"data.test.object_size": size})  # fmt: skip

    other = [0.15, 0.25]
    found = judged("A10", [*runs("none", None, 0.2), *runs("shift", None, 0.1),
                           *runs("none", other, 0.4), *runs("shift", other, outside)])  # fmt: skip
    assert found.verdict == verdict
    assert found.measured == pytest.approx(2 / (0.4 / outside), rel=0.01)
