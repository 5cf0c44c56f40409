"""Properties that hold for any table, and closed forms against brute force."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shiftbench.metric import METRICS, answers, chance, evaluate
from shiftbench.metric.example import table_of

S_ARRAYS = ("top1", "p_top1", "p_base", "p_previous", "p_true", "rank_true", "logit_change")
PROTOCOL = {"protocol": {"path": "horizontal"}}


@st.composite
def tables(draw, nan_answers=True, min_shifts=2, min_images=1):
    images, shifts = draw(st.integers(min_images, 6)), draw(st.integers(min_shifts, 7))
    classes = draw(st.integers(1, 8))
    lowest = -1 if nan_answers else 0
    top1 = draw(hnp.arrays(np.int32, (images, shifts), elements=st.integers(lowest, classes - 1)))
    labels = draw(hnp.arrays(np.int32, images, elements=st.integers(0, classes - 1)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def some(*shape):
        return rng.random(shape or top1.shape)

    return table_of(
        top1,
        labels,
        num_classes=classes,
        meta=PROTOCOL,
        p_top1=np.where(top1 < 0, np.nan, some()),
        p_base=np.where(top1 < 0, np.nan, some()),
        p_previous=some(),
        rank_true=rng.integers(0, classes, top1.shape),
        logit_change=some() * 2e-5,
        logit_scale=some(images),
    )


# The machine may be busy: a slow example is not a failure.
settings.register_profile("quick", deadline=None, max_examples=50)
settings.load_profile("quick")


def values(table):
    """Values without the bootstrap, NaN where undefined."""
    return {name: m(table).value for name, m in METRICS.items() if m.applies(table)}


def agree(a, b):
    return a == b and a >= 0


@given(tables())
def test_consistency_is_brute_force_over_distinct_pairs(table):
    expected = np.mean(
        [[agree(*pair) for pair in itertools.combinations(row, 2)] for row in table.top1]
    )
    assert values(table)["consistency"] == pytest.approx(expected)


@given(tables())
def test_pair_consistency_is_brute_force_over_all_ordered_pairs(table):
    pairs = [[agree(*pair) for pair in itertools.product(row, repeat=2)] for row in table.top1]
    assert values(table)["pair_consistency"] == pytest.approx(np.mean(pairs))


@given(tables())
@settings(max_examples=30)
def test_kway_consistency_is_brute_force_over_k_tuples(table):
    alike = [
        [len(set(draw)) == 1 and draw[0] >= 0 for draw in itertools.product(row.tolist(), repeat=3)]
        for row in table.top1
    ]
    assert METRICS["kway_consistency"].function(table, k=3).value == pytest.approx(np.mean(alike))


@given(tables())
def test_correct_consistency_is_brute_force_over_pairs_with_a_right_answer(table):
    both = either = 0
    for row, label in zip(table.top1, table.labels, strict=True):
        for a, b in itertools.combinations(row, 2):
            either += bool(a == label or b == label)
            both += bool(a == label and b == label)
    expected = both / either if either else np.nan
    assert values(table)["correct_consistency"] == pytest.approx(expected, nan_ok=True)


@given(tables(min_images=2))
def test_chance_consistency_is_brute_force_over_views_of_different_images(table):
    pairs = itertools.permutations(table.top1.tolist(), 2)
    expected = np.mean([agree(a, b) for one, other in pairs for a in one for b in other])
    assert values(table)["chance_consistency"] == pytest.approx(expected, abs=1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chance, "MOST_CLASSES", 2)  # the others are resampled together
        assert values(table)["chance_consistency"] == pytest.approx(expected, abs=1e-9)


@given(tables())
def test_values_stay_within_their_bounds_and_rows_say_how_many_images(table):
    for row in evaluate(table, resamples=5):
        low, high = METRICS[row.metric].bounds
        if row.n_images:
            assert low - 1e-9 <= row.value <= high + 1e-9, row
        else:
            assert np.isnan(row.value), row
        assert 0 <= row.n_images <= table.n_images


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(table, random):
    order = random.sample(range(table.n_images), table.n_images)
    moved = {name: getattr(table, name)[order] for name in (*S_ARRAYS, "labels", "logit_scale")}
    assert values(dataclasses.replace(table, **moved)) == pytest.approx(values(table), nan_ok=True)


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_shifts_does_not_matter(table, random):
    width = table.top1.shape[1]
    order = np.array([0, *random.sample(range(1, width), width - 1)])
    position = np.argsort(order)
    previous = table.previous[order]
    moved = {name: getattr(table, name)[:, order] for name in S_ARRAYS} | {
        "shifts": table.shifts[order],
        "previous": np.where(previous < 0, -1, position[previous]).astype(np.int32),
    }
    assert values(dataclasses.replace(table, **moved)) == pytest.approx(values(table), nan_ok=True)


@given(tables())
def test_shifts_given_per_image_or_once_are_the_same(table):
    per_image = np.broadcast_to(table.shifts, (table.n_images, *table.shifts.shape))
    same = dataclasses.replace(table, shifts=per_image)
    assert values(same) == pytest.approx(values(table), nan_ok=True)


@given(st.integers(1, 6), st.integers(2, 6), st.integers(0, 9))
def test_a_constant_network_is_perfectly_consistent_whatever_its_accuracy(images, shifts, label):
    table = table_of(np.full((images, shifts), 3), np.arange(images) + label, meta=PROTOCOL)
    got = values(table)
    for name in ("consistency", "pair_consistency", "kway_consistency", "base_consistency"):
        assert got[name] == 1
    assert got.get("chance_consistency", 1) == 1  # one image alone has none
    assert got["worst_accuracy"] == got["stable_accuracy"] == got["accuracy"]
    assert got["shift_accuracy"] == got["accuracy"]
    assert got["top1_change"] == got["flip_probability"] == got["wobble"] == 0
    assert got["correct_consistency"] == pytest.approx(
        1.0 if got["accuracy"] else np.nan, nan_ok=True
    )


@given(tables(nan_answers=False))
def test_orderings_between_metrics(table):
    got = values(table)
    slack = 1e-9  # kway_consistency is rounded, see summable
    assert got["worst_accuracy"] <= got["stable_accuracy"] + slack
    assert got["stable_accuracy"] <= min(got["accuracy"], got["shift_accuracy"]) + slack
    assert got["consistency"] <= got["pair_consistency"] + slack
    assert got["kway_consistency"] <= got["pair_consistency"] + slack
    width = table.n_shifts
    assert got["pair_consistency"] == pytest.approx(
        1 / width + (1 - 1 / width) * got["consistency"]
    )


@given(tables())
def test_counting_in_small_chunks_changes_nothing(table):
    whole = answers.class_counts(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "CHUNK", 3)
        parts = answers.class_counts(table)
    assert [list(part) for part in parts] == [list(part) for part in whole]


def test_random_pairs_agree_with_pair_consistency_within_their_standard_error():
    rng = np.random.default_rng(3)
    likely = rng.integers(0, 5, (40, 1))
    top1 = np.where(rng.random((40, 30)) < 0.6, likely, rng.integers(0, 5, (40, 30)))
    image, first, second = (rng.integers(0, high, 400_000) for high in (40, 30, 30))
    pairs = top1[image, first] == top1[image, second]
    error = pairs.std() / np.sqrt(pairs.size)
    exact = METRICS["pair_consistency"](table_of(top1, likely[:, 0])).value
    assert abs(pairs.mean() - exact) < 4 * error


def test_consistency_of_drawn_shifts_is_unbiased_and_pair_consistency_is_not():
    rng = np.random.default_rng(5)
    top1 = np.where(rng.random((4000, 64)) < 0.7, 0, rng.integers(0, 4, (4000, 64)))
    labels = np.zeros(4000)
    drawn = rng.permuted(top1, axis=1)[:, :4]
    whole, part = values(table_of(top1, labels)), values(table_of(drawn, labels))
    assert part["consistency"] == pytest.approx(whole["consistency"], abs=0.01)
    assert part["pair_consistency"] > whole["pair_consistency"] + 0.05


def test_correct_consistency_does_not_depend_on_the_number_of_shifts():
    rng = np.random.default_rng(7)
    q = rng.beta(1, 1, (4000, 1))  # how often each image is right
    expected = np.mean(q**2) / np.mean(1 - (1 - q) ** 2)
    top1 = np.where(rng.random((4000, 256)) < q, 0, 1 + rng.integers(0, 9, (4000, 256)))
    for shifts in (2, 9, 256):
        table = table_of(top1[:, :shifts], np.zeros(4000))
        assert values(table)["correct_consistency"] == pytest.approx(expected, abs=0.02)


def test_chance_consistency_does_not_depend_on_the_number_of_images():
    rng = np.random.default_rng(8)
    found = []
    for _ in range(2000):
        top1 = np.repeat(rng.integers(0, 100, (10, 1)), 3, axis=1)
        found.append(METRICS["chance_consistency"](table_of(top1, top1[:, 0])).value)
    # 1/100 if unbiased, 0.1 more if pairs of an image with itself counted
    assert np.mean(found) == pytest.approx(0.01, abs=4 * np.std(found) / np.sqrt(2000))
