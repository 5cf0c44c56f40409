"""Intervals over images hold the true value about as often as they say, where it is near 1 too.

The simulation of benchmarks/intervals.py, in small. Of 200 intervals that hold in 95 % of cases,
180 or fewer do in one simulation of 800.
"""

import numpy as np
import pytest

from shiftbench.metric import compare, evaluate
from shiftbench.metric.example import table_of

CLASSES, SHIFTS, TRIALS, LEAST = 10, 9, 200, 181
NAMES = ("accuracy", "worst_accuracy", "consistency", "correct_consistency", "kway_consistency",
         "base_consistency", "stable_accuracy", "top1_change", "chance_consistency")  # fmt: skip


def middling(rng, number):
    return rng.beta(0.6, 0.4, number)


def nearly_perfect(rng, number):
    return np.where(rng.random(number) < 0.985, 1.0, rng.random(number))


def mostly_sure(rng, number):
    return np.where(rng.random(number) < 0.93, 1.0, rng.beta(0.8, 0.8, number))


def barely_moved(rng, number):
    """One image of ten is wrong under one shift of thirty."""
    return np.where(rng.random(number) < 0.9, 1.0, rng.beta(30, 1, number))


def simulated(rng, number, chances):
    """A table of images that are right under each shift with chances of their own."""
    labels = rng.integers(0, CLASSES, number)
    other = (labels + rng.integers(1, CLASSES, number)) % CLASSES
    right = rng.random((number, SHIFTS)) < chances(rng, number)[:, None]
    return table_of(np.where(right, labels[:, None], other[:, None]), labels, num_classes=CLASSES)


@pytest.mark.parametrize("chances", [middling, nearly_perfect, mostly_sure, barely_moved])
@pytest.mark.parametrize("number", [30, 100])
def test_intervals_hold_the_truth(chances, number):
    rng = np.random.default_rng(11)
    population = simulated(rng, 300_000, chances)
    truth = {row.metric: row.value for row in evaluate(population, resamples=0, names=NAMES)}
    held = dict.fromkeys(NAMES, 0)
    for trial in range(TRIALS):
        rows = evaluate(simulated(rng, number, chances), resamples=400, seed=trial, names=NAMES)
        for row in rows:
            held[row.metric] += row.ci_low <= truth[row.metric] <= row.ci_high
    assert min(held.values()) >= LEAST, held


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.6, 0.3, 0.1], [0.97, 0.03], [0.01] * 100])
@pytest.mark.parametrize("number", [30, 300])
def test_intervals_of_chance_consistency_hold_the_truth(shares, number):
    rng = np.random.default_rng(6)
    truth = np.sum(np.square(shares))
    held = 0
    for trial in range(TRIALS):
        top1 = np.repeat(rng.choice(len(shares), size=(number, 1), p=shares), 2, axis=1)
        table = table_of(top1, top1[:, 0])
        [row] = evaluate(table, names=["chance_consistency"], resamples=400, seed=trial)
        held += row.ci_low <= truth <= row.ci_high
    assert held >= LEAST


@pytest.mark.parametrize("name", ["accuracy", "consistency", "correct_consistency"])
def test_paired_intervals_hold_the_truth_where_few_images_differ(name):
    """Two networks that answer 3 % of the images differently, one never worse."""
    rng = np.random.default_rng(4)

    def pair(number):
        labels = np.zeros(number)
        right = rng.random((number, SHIFTS)) < 0.9
        worse = right & (rng.random((number, 1)) > 0.03)
        return [table_of(np.where(r, 0, 1), labels, num_classes=2) for r in (worse, right)]

    [truth] = compare(*pair(300_000), names=[name], resamples=0)
    held = 0
    for trial in range(TRIALS):
        [row] = compare(*pair(60), names=[name], resamples=400, seed=trial)
        held += row.ci_low <= truth.difference <= row.ci_high
    assert held >= LEAST
