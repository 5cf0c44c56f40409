"""Comparisons of configurations: verdicts, pairs of runs and kinds of intervals."""

import numpy as np
import pytest

from shiftbench.errors import ShiftbenchError
from shiftbench.report.load.read_runs import read_run
from shiftbench.report.load.repetitions import pairing
from shiftbench.report.tables.compared import SEEDS, compared


@pytest.fixture
def add(make_run):
    """Return a function that makes runs of a pool, a seed for each row of numbers per image."""

    def make(pool, rows, metric="accuracy", **more):
        return [make_run(images={"circular": {metric: row}}, pool=pool, seed=seed, **more)
                for seed, row in enumerate(rows)]  # fmt: skip

    return make


def rows_like(rng, gain=0.0, seeds=3, images=50):
    ease = np.linspace(0, 0.7, images)
    return [ease + gain + 0.02 * rng.normal(size=images) for _ in range(seeds)]


def only_row(a, b, **options):
    [row] = compared(pairing(read_run(a[0]), read_run(b[0])), **options).rows
    return row


def test_what_is_better_over_seeds_and_images_is_named(add):
    rng = np.random.default_rng(0)
    a, b = add("max", rows_like(rng)), add("blur", rows_like(rng, gain=0.2))
    there, back = only_row(a, b), only_row(b, a)
    assert (there.better, back.better) == ("B", "A")
    assert (there.seeds, there.kind) == (3, "3 seeds × images")
    assert there.difference.difference == pytest.approx(0.2, abs=0.02)
    assert only_row(a, b, over=SEEDS).better == "B"


def test_lower_may_be_better(add):
    rng = np.random.default_rng(1)
    a, b = (add(pool, rows_like(rng, gain=gain), metric="top1_change")
            for pool, gain in (("max", 0.0), ("blur", 0.2)))  # fmt: skip
    assert only_row(a, b).better == "A"


def test_a_metric_without_a_better_direction_differs(add):
    rng = np.random.default_rng(2)
    a, b = (add(pool, rows_like(rng, gain=gain), metric="chance_consistency")
            for pool, gain in (("max", 0.0), ("blur", 0.2)))  # fmt: skip
    assert (only_row(a, b).better, only_row(a, b).verdict) == ("", "differs")


def test_one_seed_has_no_verdict_however_large_the_difference(add):
    rng = np.random.default_rng(3)
    a, b = add("max", rows_like(rng, seeds=1)), add("blur", rows_like(rng, gain=0.3, seeds=3))
    row = only_row(a, b)
    assert row.difference.ci_low > 0.2
    assert (row.better, row.verdict, row.kind) == ("", "", "images, one seed")


def test_seeds_and_their_partners(add):
    rng = np.random.default_rng(4)
    a, b = add("max", rows_like(rng, seeds=3)), add("blur", rows_like(rng, seeds=5))
    found = pairing(read_run(a[2]), read_run(b[4]))
    assert found.seeds == (0, 1, 2)
    assert found.alone == ((), (3, 4))
    assert [(one.seed, other.seed) for one, other in found.pairs.values()] == [(0, 0), (1, 1),
                                                                              (2, 2)]  # fmt: skip
    alone = pairing(read_run(a[2]), read_run(b[4]), only_these=True)
    assert [(one.seed, other.seed) for one, other in alone.pairs.values()] == [(2, 4)]


def test_an_unfinished_seed_has_no_partner(add, make_run):
    rng = np.random.default_rng(5)
    a, b = add("max", rows_like(rng, seeds=3)), add("blur", rows_like(rng, seeds=2))
    make_run(pool="blur", seed=2, error="no")
    assert pairing(read_run(a[0]), read_run(b[0])).alone == ((2,), ())


def test_no_common_seed_is_two_runs(add, make_run):
    a = make_run(images={"circular": {"accuracy": np.arange(9) / 9}}, pool="max", seed=0)
    b = make_run(images={"circular": {"accuracy": np.arange(9) / 10}}, pool="blur", seed=1)
    found = pairing(read_run(a), read_run(b))
    assert found.why == "A and B have no seed in common"
    [row] = compared(found).rows
    assert (row.better, row.kind) == ("", "images, one seed")


def test_other_images_are_one_sentence(add):
    rng = np.random.default_rng(6)
    a, b = add("max", rows_like(rng)), add("blur", rows_like(rng), shown="others")
    with pytest.raises(ShiftbenchError, match="seed 0 were not measured on the same images") as one:
        compared(pairing(read_run(a[0]), read_run(b[0])))
    assert "A test, B others" in str(one.value)
    assert "measure both networks on the same data" in str(one.value)
    with pytest.raises(ShiftbenchError, match="the same images"):
        compared(pairing(read_run(a[0]), read_run(b[0])), over=SEEDS)


def test_few_images_that_differ_are_not_enough(add):
    """An interval over two seeds alone would make a difference of one image significant."""
    zeros = np.zeros(100)
    one = zeros.copy()
    one[0] = 1
    a, b = add("max", [zeros, zeros]), add("blur", [one, one])
    row = only_row(a, b)
    assert row.difference.difference == pytest.approx(0.01)
    assert row.difference.ci_low < 0 < row.difference.ci_high
    assert row.better == ""


def test_where_every_image_differs_their_number_bounds_the_difference(add):
    a, b = add("max", [np.zeros(100)] * 2), add("blur", [np.ones(100)] * 2)
    row = only_row(a, b)
    # (1 - u)^100 = 0.025; an unseen image may differ by -1
    unseen = 1 - 0.025 ** (1 / 100)
    assert row.difference.ci_low == pytest.approx(1 - 2 * unseen)
    assert row.difference.ci_high == 1
    assert (row.better, row.difference.interval) == ("B", "exact")
