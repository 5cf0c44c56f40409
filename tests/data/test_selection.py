import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.data.images import TensorSplit
from shiftbench.data.selection import Selection, pick, select_dataset
from shiftbench.errors import UsageError

TRAIN = TensorSplit(torch.arange(30, dtype=torch.uint8).reshape(30, 1, 1, 1), torch.arange(30) % 3)
TEST = TensorSplit(torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), torch.arange(10) % 3)


def build(**values):
    return select_dataset("tiny", ("a", "b", "c"), TRAIN, TEST, Selection(**values))


def numbers(split):
    return split.images.flatten().tolist()


def test_every_training_image_is_used_once():
    data = build()
    assert (len(data.train), len(data.val)) == (27, 3)
    assert sorted(numbers(data.train) + numbers(data.val)) == list(range(30))
    assert numbers(data.test) == list(range(10))
    assert data.image_shape == (1, 1, 1)


def test_labels_stay_with_their_images():
    data = build(limit_train=20, limit_test=5)
    for split in (data.train, data.val, data.test):
        assert split.labels.tolist() == [number % 3 for number in numbers(split)]


def test_statistics_are_of_the_training_part_alone():
    data = build()
    assert data.mean[0] == pytest.approx(sum(numbers(data.train)) / 27 / 255)


def test_limits_keep_a_seeded_subset():
    small = build(limit_train=10, limit_test=4)
    assert (len(small.train), len(small.val), len(small.test)) == (9, 1, 4)
    assert numbers(small.test) == sorted(numbers(small.test))
    assert numbers(small.test) != [0, 1, 2, 3]
    other = build(limit_train=10, split_seed=1)
    assert set(numbers(other.train)) != set(numbers(small.train))
    assert numbers(build(limit_train=1000).train) == numbers(build().train)


def test_the_test_split_does_not_depend_on_the_seed():
    one, two = build(split_seed=0), build(split_seed=1)
    assert numbers(one.test) == numbers(two.test)
    assert numbers(one.train) != numbers(two.train)


@given(count=st.integers(1, 60), limit=st.none() | st.integers(1, 80), seed=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_a_subset_has_no_repeats_and_the_same_images_every_time(count, limit, seed):
    choice = Selection(split_seed=seed, limit_train=limit)
    kept = choice.train_subset(count).tolist()
    assert len(kept) == min(count, limit or count)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(count))
    assert kept == choice.train_subset(count).tolist()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"val_fraction": 0.0}, "data.val_fraction=0.0"),
        ({"val_fraction": 1.0}, "data.val_fraction=1.0"),
        ({"limit_train": 0}, "data.limit_train=0"),
        ({"limit_test": -3}, "data.limit_test=-3"),
        ({"limit_train": 1}, "leaves none to train on"),
    ],
)
def test_impossible_choices_are_usage_errors(values, words):
    with pytest.raises(UsageError, match=words):
        build(**values)


def test_pick_may_repeat_images():
    assert numbers(pick(TRAIN, torch.tensor([4, 4, 1]))) == [4, 4, 1]
