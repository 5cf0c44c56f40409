import multiprocessing
import pickle
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shiftbench.data.stream import StreamSplit, available_cpus
from shiftbench.errors import ShiftbenchError

COUNT = 11


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 3), np.uint8)


@pytest.fixture(scope="module")
def split(tmp_path_factory, pixels):
    root = tmp_path_factory.mktemp("images")
    files = tuple(f"{number}.png" for number in range(COUNT))
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(root / file)
    return StreamSplit(root, files, torch.arange(COUNT) % 4, size=6)


def read(split, batch_size, order=None):
    images, labels = zip(*split.batches(batch_size, order), strict=True)
    return torch.cat(images), torch.cat(labels)


@given(
    batch_size=st.integers(1, 12),
    order=st.none() | st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_batches_follow_the_order(split, pixels, batch_size, order):
    index = None if order is None else torch.tensor(order)
    images, labels = read(split, batch_size, index)
    expected = list(range(COUNT)) if order is None else order
    np.testing.assert_array_equal(images, pixels[expected].transpose(0, 3, 1, 2))
    assert labels.tolist() == [number % 4 for number in expected]
    assert images.dtype == torch.uint8


def test_batches_have_the_size_asked_for(split):
    assert [len(labels) for _, labels in split.batches(4)] == [4, 4, 3]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_threads_keep_order_and_pixels(split, workers):
    parallel = StreamSplit(split.root, split.files, split.labels, 6, workers=workers)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    for found, expected in zip(read(parallel, 2, order), read(split, 2, order), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_does_not_use_the_global_random_state(split, workers):
    parallel = StreamSplit(split.root, split.files, split.labels, 6, workers=workers)
    before = torch.get_rng_state()
    read(parallel, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_reading_may_stop_early_and_leaves_no_thread(split):
    parallel = StreamSplit(split.root, split.files, split.labels, 6, workers=2)
    batches = parallel.batches(2)
    images, _ = next(batches)
    assert len(images) == 2
    assert any(thread.name.startswith("decode") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("decode") for thread in threading.enumerate())


def test_no_process_is_started_that_would_need_shared_memory(split):
    parallel = StreamSplit(split.root, split.files, split.labels, 6, workers=2)
    for _ in parallel.batches(2):
        assert multiprocessing.active_children() == []


def test_an_error_in_a_thread_is_raised(split):
    broken = StreamSplit(split.root, (*split.files[:4], 5), split.labels[:5], 6, workers=2)
    with pytest.raises(TypeError):
        read(broken, 2)


def test_select_and_grey(split, pixels):
    grey = StreamSplit(split.root, split.files, split.labels, 6, channels=1)
    part = grey.select(torch.tensor([7, 2]))
    images, labels = read(part, 5)
    assert len(part) == 2
    assert labels.tolist() == [3, 2]
    expected = [np.asarray(Image.fromarray(pixels[number]).convert("L")) for number in (7, 2)]
    np.testing.assert_array_equal(images[:, 0], np.stack(expected))


def test_to_moves_batches_and_labels(split):
    # The meta device stands in for an accelerator: tensors without content.
    moved = split.to(torch.device("meta"))
    images, labels = next(iter(moved.batches(3)))
    assert images.device.type == labels.device.type == moved.labels.device.type == "meta"
    assert images.shape == (3, 3, 6, 6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_to_cuda(split):
    moved = split.to(torch.device("cuda"))
    images, labels = read(moved, 4, torch.arange(COUNT, device="cuda"))
    assert images.is_cuda and labels.is_cuda
    assert torch.equal(images.cpu(), read(split, 4)[0])


def test_a_split_can_be_sent_to_another_process(split):
    again = pickle.loads(pickle.dumps(split))
    assert torch.equal(read(again, 4)[0], read(split, 4)[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_one_sentence(split, tmp_path, workers):
    (tmp_path / "bad.png").write_text("hello")
    bad = StreamSplit(tmp_path, ("bad.png",) * 4, torch.zeros(4).long(), 6, workers=workers)
    with pytest.raises(
        ShiftbenchError, match=r"bad\.png cannot be read \(not an image\)"
    ) as caught:
        read(bad, 2)
    assert "\n" not in str(caught.value)


def test_there_is_at_least_one_cpu():
    assert available_cpus() >= 1
