"""R1 and R2: one pixel of size against one pixel of place."""

import math

import pytest


@pytest.fixture
def measured(run):
    """Return a maker of three seeds with these rates of changes."""

    def make(zoom, crop=None, **given):
        numbers = {"zoom": zoom} if crop is None else {"zoom": zoom, "crop": crop}
        return [
            run({name: {"top1_change": value * (1 + 0.01 * (seed - 1))}
                 for name, value in numbers.items()}, seed=seed, **given)
            for seed in range(3)
        ]  # fmt: skip

    return make


@pytest.mark.parametrize(("zoom", "crop", "verdict"), [
    (0.12, 0.10, "reproduced"), (0.10, 0.12, "reproduced"),
    (0.30, 0.10, "not reproduced"), (0.04, 0.12, "not reproduced"), (0.20, 0.10, "inconclusive"),
])  # fmt: skip
def test_rates_within_a_factor_of_two(judged, measured, zoom, crop, verdict):
    found = judged("R1", [*measured(zoom, crop), *measured(zoom, crop, model="resnet")])
    assert found.verdict == verdict
    expected = (zoom + 0.0005) / (crop + 0.0005)  # half of 1,000 images
    assert found.measured == pytest.approx(expected, rel=1e-3)
    assert found.low < found.measured < found.high
    assert found.measured_of == "mean over 2 networks"


def test_a_network_without_changes_has_a_finite_ratio(judged, measured):
    found = judged("R1", measured(0.0, 0.1))
    assert found.verdict == "not reproduced" and math.isfinite(found.measured)


def test_antialiased_and_augmented_networks_are_left_out(judged, measured):
    assert judged("R1", measured(0.1, 0.1, pool="blur")) is None
    assert judged("R2", measured(0.1, augment="shift")) is None
    assert judged("R1", measured(0.1)) is None


@pytest.mark.parametrize(("rates", "verdict"), [
    ((0.1, 0.07), "reproduced"), ((0.1, 0.02), "not reproduced"), ((0.1, 0.05), "inconclusive"),
])  # fmt: skip
def test_real_pixels_in_every_network(judged, measured, rates, verdict):
    vgg, resnet = rates
    found = judged("R2", [*measured(vgg), *measured(resnet, model="resnet")])
    assert found.verdict == verdict
    assert found.least_certain.value == pytest.approx(resnet)
