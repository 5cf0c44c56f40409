"""Configurations that cannot be distinguished from the best, and the coverage of this set."""

import numpy as np
import pytest

from shiftbench.report.load.collect import collect
from shiftbench.report.tables.best import Best


@pytest.fixture
def marked(tmp_path):
    """Return a function that returns the marked pools."""

    def make(metric="accuracy", protocol="circular"):
        collection = collect([tmp_path])
        pools = {run.config_id: run.labels["pool"] for run in collection.runs}
        found = Best.of(collection).marked(list(pools), protocol, metric)
        return {pools[config_id] for config_id in found.config_ids}, found.kinds

    return make


def add(make_run, pool, rows, **more):
    """Make runs of a pool, one seed for each row of numbers per image."""
    for seed, numbers in enumerate(rows):
        make_run(images={"circular": {"accuracy": numbers}}, pool=pool, seed=seed, **more)


def test_what_differs_by_less_than_its_error_is_as_good(make_run, marked):
    rng = np.random.default_rng(0)
    ease = rng.random(200)
    for pool, gain in (("best", 0.30), ("near", 0.28), ("far", -0.3)):
        add(make_run, pool, [np.clip(ease + gain + 0.1 * rng.normal(size=200), 0, 1)
                             + 0.01 * rng.normal() for _ in range(3)])  # fmt: skip
    found, kinds = marked()
    assert {"best", "near"} >= found >= {"best"} and "far" not in found
    assert kinds == ("3 seeds × images",)


def test_images_that_all_find_hard_do_not_blur_the_difference(make_run, marked):
    """The intervals of a and b overlap, but paired by image, b is worse on every fourth image."""
    ease = np.tile([0.0, 0.0, 1.0, 1.0], 50)
    worse = np.where(np.arange(200) % 4 == 2, 0.8, ease)
    add(make_run, "a", [ease])
    add(make_run, "b", [worse])
    assert marked() == ({"a"}, ("images, one seed",))


def test_seeds_that_vary_blur_it(make_run, marked):
    ease = np.tile([0.0, 1.0], 100)
    add(make_run, "a", [ease, ease, ease])
    add(make_run, "b", [ease - 0.2, ease + 0.1, ease])
    assert marked()[0] == {"a", "b"}


def test_configurations_that_answer_the_same_are_all_marked(make_run, marked):
    for pool in "abc":
        add(make_run, pool, [np.tile([0.0, 1.0], 20)] * 2)
    assert marked()[0] == {"a", "b", "c"}


def test_every_image_better_is_better_whatever_the_spread(make_run, marked):
    for pool, value in (("a", 1.0), ("b", 0.0)):
        add(make_run, pool, [np.full(30, value)])
    assert marked()[0] == {"a"}


@pytest.mark.parametrize("shown", ["test", "others"])
def test_one_configuration_of_unknown_error_leaves_a_column_without_marks(
    make_run, of, marked, shown
):
    add(make_run, "a", [np.tile([0.0, 1.0], 20)])
    if shown == "test":
        make_run(of(accuracy=0.9), pool="b")
    else:
        add(make_run, "b", [np.tile([1.0, 1.0], 20)], shown=shown)
    assert marked() == (set(), ())


def test_no_common_seed_is_no_known_error(make_run, of, marked):
    for seed in (0, 1):
        make_run(of(accuracy=0.9 + 0.01 * seed), pool="a", seed=seed)
        make_run(of(accuracy=0.5 - 0.02 * seed), pool="b", seed=seed + 2)
    assert marked() == (set(), ())


def test_the_order_of_configurations_does_not_matter(make_run, tmp_path):
    rng = np.random.default_rng(1)
    for pool in "abcdef":
        add(make_run, pool, rng.random((3, 30)))
    collection = collect([tmp_path])
    names = list(dict.fromkeys(run.config_id for run in collection.runs))
    best = Best.of(collection)
    forth = best.marked(names, "circular", "accuracy").config_ids
    assert best.marked(names[::-1], "circular", "accuracy").config_ids == forth


def test_the_truly_best_is_among_the_marked(make_run, tmp_path):
    """In at least 95 % of trials with nearly equal pools; a far worse pool is rarely marked."""
    rng = np.random.default_rng(2)
    truths = {"a": 0.0, "b": -0.01, "c": -0.01, "d": -0.02, "e": -1.0}
    trials, seeds, images = 150, 3, 40
    shared = rng.normal(size=(trials, images))
    for pool, truth in truths.items():
        own = rng.normal(size=(trials, images)) * 0.3
        for seed in range(seeds):
            numbers = truth + shared + own + 0.2 * rng.normal(size=(trials, images))
            numbers += 0.05 * rng.normal(size=(trials, 1))
            rows = {f"t{trial}": {"accuracy": row} for trial, row in enumerate(numbers)}
            make_run(images=rows, pool=pool, seed=seed)
    collection = collect([tmp_path])
    pools = {run.config_id: run.labels["pool"] for run in collection.runs}
    best = Best.of(collection)
    found = [
        {pools[one] for one in best.marked(list(pools), f"t{trial}", "accuracy").config_ids}
        for trial in range(trials)
    ]
    assert np.mean(["a" in one for one in found]) >= 0.95
    assert np.mean(["e" in one for one in found]) <= 0.05
