"""Images, labels and means in different containers and dtypes: same results, or an error."""

import numpy as np
import pytest
import torch

from shiftbench.errors import UsageError
from shiftbench.predict.arrays import as_images, as_labels, per_channel

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5)).astype(np.uint8)
WHOLE = ["int16", "int32", "int64", "uint16", "uint32", "uint64", ">i4", ">u2"]


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("tensor", [False, True])
def test_whole_numbers_of_pixels_are_pixels(kind, tensor):
    values = PIXELS.astype(kind)
    images = torch.from_numpy(values.astype(values.dtype.newbyteorder("="))) if tensor else values
    found = as_images(images, normalised=True)
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.from_numpy(PIXELS))


def test_truth_values_are_black_and_white():
    found = as_images(PIXELS > 127, normalised=True)
    assert torch.equal(found, torch.from_numpy((PIXELS > 127).astype(np.uint8) * 255))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (PIXELS.astype(np.int32) * 257, r"int32\) from \d+ to 65535.*uint8 of 0 to 255"),
        (PIXELS.astype(np.uint16) * 16, r"uint16\) from"),
        (PIXELS.astype(np.int16) - 128, r"from -128 to 127"),
        ((PIXELS // 2).astype(np.int8) - 64, "from -64"),
        ((PIXELS > 127).astype(np.int64), "may range to 255 or to 1"),
        (PIXELS.astype(np.complex64), "not a number"),
        (torch.from_numpy(PIXELS).to(torch.complex64), "plain real numbers"),
        (torch.from_numpy(PIXELS).to_sparse(), "plain real numbers"),
        (torch.from_numpy(PIXELS).to("meta"), "on meta; give plain real numbers"),
        (PIXELS.astype(str), "not a number"),
        (None, "not a number"),
        ([np.zeros((3, 6, 5)), np.zeros((3, 6, 4))], "cannot be converted to an array"),
        (np.zeros((4, 6, 5, 3)), r"\(N, H, W, C\); give images\.transpose\(0, 3, 1, 2\)"),
        (np.zeros((4, 28, 28, 1)), r"\(N, H, W, C\)"),
        (np.zeros((3, 6, 5)), r"needs \(N, C, H, W\)"),
        (np.zeros((0, 3, 6, 5)), "none of them 0"),
        (np.full((2, 3, 6, 5), np.nan), "2 of 2 images hold NaN"),
    ],
)
def test_what_may_mean_something_else_is_refused(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        as_images(values, normalised=False)


def test_uint8_of_zeros_and_ones_is_warned_of(package_log):
    as_images((PIXELS > 127).astype(np.uint8), normalised=True)
    assert "above 1 of 255" in package_log.text


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4", ">f8"])
def test_floats_keep_their_values(kind):
    values = (PIXELS / 255).astype(kind)
    found = as_images(values, normalised=True)
    assert found.dtype == (torch.float64 if values.itemsize == 8 else torch.float32)
    np.testing.assert_array_equal(found.numpy(), values.astype(np.float64))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[:, ::-1],
        lambda x: x[:, :, ::-1, ::-1],
        lambda x: np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1),
        lambda x: list(x),
        lambda x: [torch.from_numpy(image) for image in x],
        lambda x: np.asfortranarray(x),
    ],
)
@pytest.mark.filterwarnings("error")
def test_arrays_of_any_order_hold_the_same_images(make):
    values = make(PIXELS)
    expected = np.stack([np.asarray(image) for image in values])
    np.testing.assert_array_equal(as_images(values, normalised=False).numpy(), expected)


@pytest.mark.filterwarnings("error")
def test_read_only_arrays_and_files_that_are_mapped_are_read(tmp_path):
    frozen = PIXELS.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "a.npy", PIXELS)
    for values in (frozen, np.load(tmp_path / "a.npy", mmap_mode="r")):
        assert torch.equal(as_images(values, normalised=False), torch.from_numpy(PIXELS))


def test_images_with_gradients_are_detached():
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    found = as_images(images, normalised=True)
    assert not found.requires_grad
    assert images.requires_grad


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0, 1, "silent"), (-0.1, 1.1, "package_log"), (-2, 2, "refused"), (0, 255, "refused")],
)
def test_floats_that_a_mean_of_pixels_does_not_fit(package_log, low, high, outcome):
    images = np.linspace(low, high, 48).reshape(1, 3, 4, 4)
    as_images(images, normalised=False)
    assert package_log.text == ""
    if outcome == "refused":
        with pytest.raises(UsageError, match="leave mean and std out"):
            as_images(images, normalised=True)
        return
    as_images(images, normalised=True)
    assert ("mean and std are of pixels in 0 to 1" in package_log.text) == (
        outcome == "package_log"
    )


@pytest.mark.parametrize(
    "labels",
    [[0, 2, 1], (0, 2, 1), np.array([0.0, 2.0, 1.0]), np.array([0, 2, 1], ">i8"),
     np.array([0, 2, 1], np.uint64), torch.tensor([0, 2, 1], dtype=torch.uint16),
     torch.tensor([0.0, 2.0, 1.0], requires_grad=True), [torch.tensor(0), torch.tensor(2), 1]],
    ids=str,
)  # fmt: skip
def test_whole_numbers_are_labels(labels):
    assert torch.equal(as_labels(labels, 3), torch.tensor([0, 2, 1]))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (list("abc"), "e.g. a.*give the index of each class"),
        ([0, 1], "must be 3 whole numbers"),
        ([0.5, 1, 2], "hold fractions"),
        ([0, np.nan, 1], "hold fractions"),
        (np.eye(3), r"give labels\.argmax\(1\)"),
        (np.zeros((3, 1)), r"give labels\.reshape\(-1\)"),
        (None, "not a number"),
    ],
)
def test_what_is_no_label_is_refused(labels, sentence):
    with pytest.raises(UsageError, match=sentence):
        as_labels(labels, 3)


@pytest.mark.parametrize(
    "value",
    [[0.5, 0.25, 0.125], (0.5, 0.25, 0.125), np.array([0.5, 0.25, 0.125]),
     torch.tensor([0.5, 0.25, 0.125]), torch.tensor([0.5, 0.25, 0.125])[None, :, None, None]],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_number_for_each_channel(name, value):
    assert per_channel(name, value, 3) == (0.5, 0.25, 0.125)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)])
def test_a_single_number_is_for_all_channels(value):
    assert per_channel("std", value, 3) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("mean", [0.5], "1 numbers and the images have 3 channels"),
        ("mean", [0.5] * 4, "4 numbers"),
        ("mean", [123.7, 116.3, 103.5], "divide values of 0 to 255"),
        ("mean", [-0.5, 0.5, 0.5], "not within the range of pixels, 0 to 1"),
        ("mean", [np.nan, 0.5, 0.5], "not within the range of pixels, 0 to 1"),
        ("std", [0.0] * 3, "give no 0"),
        ("std", [-0.5] * 3, "not within the range of pixels"),
        ("std", [58.4, 57.1, 57.4], "divide values of 0 to 255"),
        ("mean", "imagenet", "not a number"),
    ],
)
def test_what_is_not_of_pixels_is_refused(name, value, sentence):
    with pytest.raises(UsageError, match=sentence):
        per_channel(name, value, 3)
