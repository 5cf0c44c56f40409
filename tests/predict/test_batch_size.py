"""``measure.batch_size=auto``, and what happens when memory does not suffice."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.data.images import TensorSplit
from shiftbench.errors import ShiftbenchError
from shiftbench.predict.batch_size import MOST, USUAL, fitting, views_at_once
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.shift.translate import Translate

CPU = torch.device("cpu")
IMAGES, SIZE = 40, 6  # with 9 views each: 360 views


class Limited(nn.Module):
    """A linear network that has memory for so many images at once."""

    def __init__(self, most):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.most, self.batches = nn.Linear(3 * SIZE * SIZE, 4), most, []

    def forward(self, x):
        self.batches.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.fc(x.flatten(1))


def measured(net, batch_size):
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(IMAGES, 3, SIZE, SIZE, generator=generator)
    split = TensorSplit(images, torch.arange(IMAGES) % 4)
    network = PixelModel(net.eval(), [0.0] * 3, [1.0] * 3, CPU)
    return predict(network, split, (3, SIZE, SIZE), Translate(1), Options(batch_size=batch_size))


def test_a_number_is_kept_and_a_cpu_gets_the_usual_one():
    assert views_at_once(7, CPU, (32, 32)) == 7
    assert views_at_once("auto", CPU, (32, 32)) == USUAL == Options().batch_size


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gets_what_fits():
    device = torch.device("cuda:0")
    memory = torch.cuda.get_device_properties(device).total_memory
    assert views_at_once("auto", device, (32, 32)) == fitting(memory, (32, 32))


@pytest.mark.parametrize("memory", [0, 2**30, 8 * 2**30, 80 * 2**30])
@pytest.mark.parametrize("side", [8, 32, 224, 4000])
def test_what_fits_is_a_power_of_two_within_bounds(memory, side):
    views = fitting(memory, (side, side))
    assert 1 <= views <= MOST
    assert views & (views - 1) == 0
    assert views == 1 or views * 1024 * side * side <= memory / 4


def test_out_of_memory_halves_the_batch_once(caplog):
    net = Limited(USUAL // 2)
    with caplog.at_level(logging.INFO, "shiftbench"):
        found = measured(net, "auto")
    expected = measured(Limited(10**6), 128)
    for name in ("top1", "p_top1", "logit_change", "images"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert net.batches.count(USUAL) == 1
    assert max(net.batches[net.batches.index(USUAL) + 1 :]) == USUAL // 2
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["out of memory with 256 views at once, measuring with 128"]


def test_out_of_memory_twice_is_an_error():
    net = Limited(USUAL // 4)
    with pytest.raises(ShiftbenchError, match=r"128 views at once; give measure\.batch_size=64"):
        measured(net, "auto")
    assert [size for size in net.batches if size > net.most] == [USUAL, USUAL // 2]


def test_a_number_that_was_asked_for_is_not_halved():
    net = Limited(USUAL // 2)
    with pytest.raises(torch.OutOfMemoryError):
        measured(net, USUAL)
    assert [size for size in net.batches if size > net.most] == [USUAL]
