"""Intervals over seeds and images: by hand, against the analysis of variance, by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from shiftbench.errors import ShiftbenchError
from shiftbench.inference.crossed import Deviation, crossed_interval, deviation, seeds_interval
from shiftbench.inference.sample import Sample, mean_of


def sample_of(rows, key="test"):
    rows = np.asarray(rows, float)
    centred = rows - rows.mean(axis=1, keepdims=True)
    return Sample(rows.mean(axis=1), {key: centred}, tuple(range(len(rows))))


def drawn(rng, seeds, images, seed_sd, image_sd, both_sd):
    return (
        seed_sd * rng.normal(size=(seeds, 1))
        + image_sd * rng.normal(size=images)
        + both_sd * rng.normal(size=(seeds, images))
    )


@pytest.mark.parametrize("deviations", [(0.5, 1.0, 0.5), (0.0, 1.0, 3.0), (0.5, 0.0, 1.0)])
def test_by_the_mean_squares_of_two_crossed_factors(deviations):
    rows = drawn(np.random.default_rng(0), 3, 50, *deviations)
    seeds, images = rows.shape
    grand = rows.mean()
    a = images * np.sum((rows.mean(1) - grand) ** 2) / (seeds - 1)
    b = seeds * np.sum((rows.mean(0) - grand) ** 2) / (images - 1)
    rest = rows - rows.mean(1, keepdims=True) - rows.mean(0) + grand
    e = np.sum(rest**2) / ((seeds - 1) * (images - 1))
    top = max(a, e) + max(b - e, 0)
    found = deviation(sample_of(rows))
    assert found.variance == pytest.approx(top / (seeds * images))
    share = a / top
    critical = share * stats.t.ppf(0.975, seeds - 1) + (1 - share) * stats.t.ppf(0.975, images - 1)
    half = critical * math.sqrt(found.variance)
    assert crossed_interval(sample_of(rows)) == pytest.approx((grand - half, grand + half))


@pytest.mark.parametrize(("seeds", "images", "expected"), [
    (1.0, 0.0, stats.t.ppf(0.975, 2)),
    (0.0, 1.0, stats.norm.ppf(0.975)),
    (1.0, 3.0, (stats.t.ppf(0.975, 2) + 3 * stats.norm.ppf(0.975)) / 4),
])  # fmt: skip
def test_quantiles_are_weighted_by_the_shares_of_the_variance(seeds, images, expected):
    assert Deviation(seeds, degrees=2, carried=images).critical() == pytest.approx(expected)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("confidence", [0.95, 0.994])
def test_levels_of_simultaneous_intervals_hold(ratio, confidence):
    """``ratio``: variance of the mean over three seeds, over that of the images."""
    rng = np.random.default_rng(8)
    errors = math.sqrt(ratio + 1) * np.abs(rng.normal(size=4000))
    seen = ratio * rng.chisquare(2, 4000) / 2
    held = [error <= Deviation(one, degrees=2, carried=1.0).half(confidence)
            for error, one in zip(errors, seen, strict=True)]  # fmt: skip
    assert np.mean(held) >= confidence - 3 * math.sqrt(confidence * (1 - confidence) / 4000)


def test_without_images_it_is_students_interval():
    values = np.array([0.1, 0.2, 0.35])
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert seeds_interval(Sample(values)) == pytest.approx(expected)


def test_it_is_never_narrower_than_the_error_over_seeds_asks_for():
    # Images that differ by the interaction alone: their part is negative as often as positive.
    rng = np.random.default_rng(1)
    for _ in range(50):
        one = sample_of(drawn(rng, 3, 40, 0.2, 0.0, 1.0))
        assert deviation(one).variance >= deviation(one).seeds


def test_two_sets_of_images_add_up():
    rng = np.random.default_rng(2)
    one, other = drawn(rng, 4, 60, 0, 1.0, 0.1), drawn(rng, 4, 80, 0, 2.0, 0.1)
    first, second = sample_of(one, "a"), sample_of(other, "b")
    both = Sample(first.values + second.values, {**first.images, **second.images}, first.seeds)
    found, parts = deviation(both), [deviation(first), deviation(second)]
    assert found.over_images == pytest.approx(sum(part.over_images for part in parts))
    assert found.both == pytest.approx(sum(part.both for part in parts))
    assert found.seeds == pytest.approx(np.var(both.values, ddof=1) / 4)


def test_one_seed_has_the_error_of_the_images():
    numbers = np.random.default_rng(6).normal(size=40)
    expected = stats.t.interval(0.95, 39, numbers.mean(), stats.sem(numbers))
    assert crossed_interval(sample_of(numbers[None])) == pytest.approx(expected)


def test_without_variation_there_is_no_interval():
    assert all(map(math.isnan, crossed_interval(sample_of(np.ones((3, 5))))))
    assert all(map(math.isnan, seeds_interval(Sample(np.array([0.5, 0.5])))))


@pytest.mark.parametrize("ratio", [0.0, 1.0, 3.0])
def test_coverage_is_about_95_percent_and_students_is_lower(ratio):
    """``ratio``: deviation of the mean that the images share, over that of the seeds."""
    rng = np.random.default_rng(3)
    held = np.zeros(2)
    for _ in range(600):
        one = sample_of(drawn(rng, 3, 100, 1.0, ratio * 10, 10.0))
        for which, interval in enumerate((crossed_interval, seeds_interval)):
            low, high = interval(one)
            held[which] += low <= 0 <= high
    crossed, seeds = held / 600
    assert 0.92 <= crossed <= 0.985
    if ratio == 3:
        assert seeds < 0.75


def test_the_mean_of_networks_is_that_of_the_seeds_which_all_have():
    rng = np.random.default_rng(4)
    one, other = sample_of(rng.normal(size=(3, 10))), sample_of(rng.normal(size=(3, 10)))
    other = Sample(other.values, other.images, (1, 2, 5))
    found = mean_of([one, other])
    assert found.seeds == (1, 2)
    assert found.values == pytest.approx((one.values[1:] + other.values[:2]) / 2)
    rows = (one.images["test"][1:] + other.images["test"][:2]) / 2
    assert found.images["test"] == pytest.approx(rows)


def test_images_known_for_only_some_networks_are_not_used():
    rng = np.random.default_rng(5)
    one = sample_of(rng.normal(size=(2, 10)))
    assert mean_of([one, Sample(one.values, {}, one.seeds)]).images == {}


def test_wrong_samples_are_refused():
    with pytest.raises(ShiftbenchError, match="another number of seeds"):
        Sample(np.zeros(3), {"test": np.zeros((2, 5))})
    with pytest.raises(ShiftbenchError, match="got none"):
        mean_of([])
