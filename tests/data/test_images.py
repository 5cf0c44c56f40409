import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shiftbench.data.images import Dataset, TensorSplit, pixel_statistics, split_train_val

CPU = torch.device("cpu")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_split(count=5):
    images = torch.arange(count * 12, dtype=torch.uint8).reshape(count, 3, 2, 2)
    return TensorSplit(images, torch.arange(count))


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    )
)
@settings(max_examples=60, deadline=None)
def test_pixel_statistics_agree_with_float_computation(pixels):
    mean, std = pixel_statistics(torch.from_numpy(pixels))
    values = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(std, np.maximum(values.std((0, 2, 3)), 1e-3), rtol=1e-9)


def test_pixel_statistics_of_black_and_white():
    images = torch.zeros(2, 2, 4, 4, dtype=torch.uint8)
    images[1] = 255
    images[:, 1] = 51  # a constant channel
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((0.5, 0.2), abs=1e-15)
    assert std == pytest.approx((0.5, 1e-3), abs=1e-15)


@given(
    count=st.integers(2, 300),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=100, deadline=None)
def test_split_train_val_uses_every_image_once(count, fraction, seed):
    train, val = split_train_val(count, fraction, seeded(seed))
    assert sorted(torch.cat([train, val]).tolist()) == list(range(count))
    assert len(val) == max(1, round(count * fraction))
    again, _ = split_train_val(count, fraction, seeded(seed))
    assert torch.equal(train, again)


def test_split_train_val_keeps_a_validation_image_of_a_tiny_set():
    train, val = split_train_val(3, 0.01, seeded(0))
    assert (len(train), len(val)) == (2, 1)


@given(
    count=st.integers(1, 9),
    batch_size=st.integers(1, 10),
    seed=st.none() | st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_batches_yield_every_image_in_order(count, batch_size, seed):
    split = small_split(count)
    order = None if seed is None else torch.randperm(count, generator=seeded(seed))
    batches = list(split.batches(batch_size, order))
    assert [len(labels) for _, labels in batches[:-1]] == [batch_size] * (len(batches) - 1)
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    expected = torch.arange(count) if order is None else order
    assert torch.equal(labels, expected)
    assert torch.equal(images, split.images[expected])


def test_an_order_may_repeat_and_leave_out_images():
    order = torch.tensor([3, 3, 0])
    (images, labels), (_, last) = small_split().batches(2, order)
    assert labels.tolist() == [3, 3]
    assert last.tolist() == [0]
    assert torch.equal(images[0], images[1])


def test_dataset_moves_all_its_splits():
    split = small_split()
    data = Dataset("tiny", ("a", "b"), (3, 2, 2), (0.5,) * 3, (0.2,) * 3, split, split, split)
    moved = data.to(CPU)
    assert moved.num_classes == 2
    assert (moved.name, moved.classes, moved.image_shape) == (
        data.name,
        data.classes,
        data.image_shape,
    )
    for name in ("train", "val", "test"):
        assert torch.equal(getattr(moved, name).labels, split.labels)
    assert torch.equal(split.to(CPU).images, split.images)
