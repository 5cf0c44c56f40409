"""``data=folder`` with more images than fit in memory."""

import pytest
import torch
from image_folders import DECODED, FOLDER_TESTS, quick, read, same, write_image

from shiftbench.data.images import TensorSplit
from shiftbench.data.stream import StreamSplit
from shiftbench.errors import ShiftbenchError

pytestmark = FOLDER_TESTS


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_yields_the_same_batches_as_memory(tmp_path, root, workers):
    write_image(root / "train" / "cat" / "large.png", 11, 0, "train", side=13)
    memory, stream = quick(root), quick(root, memory_limit_gb=0, workers=workers)
    assert isinstance(memory.train, TensorSplit)
    assert isinstance(stream.train, StreamSplit)
    assert same(memory, stream)
    order = torch.randperm(27, generator=torch.Generator().manual_seed(3))
    pairs = zip(memory.train.batches(4, order), stream.train.batches(4, order), strict=True)
    for one, two in pairs:
        assert all(map(torch.equal, one, two))
    # Fewer images than the sample, so the statistics are of all of them.
    assert stream.mean == memory.mean
    assert stream.std == memory.std


def test_the_limit_is_on_the_pixels_that_are_used(root):
    gigabytes = 42 * 3 * 8 * 8 / 1e9
    assert isinstance(quick(root, memory_limit_gb=gigabytes * 1.01).train, TensorSplit)
    assert isinstance(quick(root, memory_limit_gb=gigabytes * 0.99).train, StreamSplit)
    limited = quick(root, memory_limit_gb=gigabytes / 2, limit_train=5, limit_test=5)
    assert isinstance(limited.train, TensorSplit)


def test_streaming_leaves_unreadable_images_out(root, caplog):
    (root / "train" / "dog" / "03.png").write_text("hello")
    values = {"memory_limit_gb": 0, "skip_unreadable": True}
    data = quick(root, **values)
    assert isinstance(data.train, StreamSplit)
    assert len(data.train) + len(data.val) == 29
    assert data.skipped == ("train/dog/03.png",)
    caplog.clear()
    assert same(data, quick(root, **values))
    assert DECODED not in caplog.text
    assert same(data, quick(root, skip_unreadable=True))


def test_streaming_reports_an_unreadable_image_in_one_sentence(root):
    (root / "test" / "dog" / "03.png").write_text("hello")
    data = quick(root, memory_limit_gb=0)
    with pytest.raises(ShiftbenchError, match=r"dog/03\.png cannot be read \(not an image\)"):
        read(data.test)
