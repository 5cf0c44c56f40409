"""Splits of a pool: disjoint, balanced, nested."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.data.stratified import Parts, stratified_order
from shiftbench.errors import UsageError

# Classes of unequal frequency: 100, 50 and 25 of 175 images.
LABELS = torch.tensor([0] * 100 + [1] * 50 + [2] * 25)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 175), st.integers(0, 5))
def test_any_start_of_the_order_holds_each_class_in_its_share(count, seed):
    order = stratified_order(LABELS, generator(seed))
    assert sorted(order.tolist()) == list(range(175))
    counts = torch.bincount(LABELS[order[:count]], minlength=3)
    share = count * torch.tensor([100, 50, 25]) / 175
    # Before any place a class has its share of all n of it, less than one more or fewer; so of
    # what is before it, with f = 4/7 of the pool: less than (1 − f) + 2 f.
    assert (counts - share).abs().max() < 11 / 7


def test_a_single_class_is_in_random_order():
    order = stratified_order(torch.zeros(1000, dtype=torch.long), generator())
    assert order.tolist() != list(range(1000))
    # Mean of the first half of a random permutation: 499.5 ± 9.1.
    assert abs(order[:500].double().mean() - 499.5) < 5 * 9.2


def test_parts_are_disjoint_and_of_the_stated_sizes():
    train, val, test = Parts(100, 60, 0.25).draw(LABELS)
    assert (len(train), len(val), len(test)) == (75, 25, 60)
    assert len(torch.cat([train, val, test]).unique()) == 160


def test_smaller_parts_are_within_larger_ones():
    train, val, test = (set(part.tolist()) for part in Parts(100, 60, 0.25).draw(LABELS))
    few_train, few_val, few_test = (set(part.tolist()) for part in Parts(20, 10, 0.25).draw(LABELS))
    assert few_train | few_val < train | val
    assert few_test < test


def test_the_seed_draws_the_parts():
    one, same, other = (Parts(100, 60, 0.25, seed).draw(LABELS) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((1, 5, 0.1), "data.train_images=1 is not allowed; give a whole number from 2 up"),
        ((True, 5, 0.1), "data.train_images=True is not allowed"),
        ((10, 0, 0.1), "data.test_images=0 is not allowed; give a whole number from 1 up"),
        ((10, 5, 0), "data.val_fraction=0 of 10 images leaves none"),
        ((10, 5, 1.5), "data.val_fraction=1.5 of 10 images leaves none"),
        ((10, 5, 0.99), "data.val_fraction=0.99 of 10 images leaves none"),
        ((100, 76, 0.1), "data.train_images=100 and data.test_images=76 are more than the 175"),
    ],
)
def test_impossible_parts_are_usage_errors(values, sentence):
    with pytest.raises(UsageError) as error:
        Parts(*values).draw(LABELS)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)
