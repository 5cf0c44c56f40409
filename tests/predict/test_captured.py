"""Forward passes of full batches as a CUDA graph."""

import pytest
import torch

from shiftbench.head.flatten import FlattenHead
from shiftbench.model.vgg import VGG
from shiftbench.pool.blur import BlurPool2d
from shiftbench.predict.captured import FullBatches
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.devices import use_deterministic_kernels

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def network_on(device):
    torch.manual_seed(0)
    model = VGG(10, 3, (16, 16), BlurPool2d, FlattenHead, "circular", width=4)
    model = model.eval().to(device, memory_format=torch.channels_last)
    return PixelModel(model, [0.5] * 3, [0.25] * 3, torch.device(device))


def batches(device, sizes=(8, 8, 3, 8)):
    generator = torch.Generator().manual_seed(1)
    shape = (3, 16, 16)
    return [
        torch.randint(0, 256, (size, *shape), dtype=torch.uint8, generator=generator).to(device)
        for size in sizes
    ]


def test_a_cpu_runs_every_batch_as_it_is():
    network = network_on("cpu")
    with torch.inference_mode():
        full = FullBatches(network, 8)
        for images in batches("cpu"):
            assert torch.equal(full(images), network(images))
    assert full._graph is None


@CUDA
def test_a_replayed_batch_has_the_bits_of_a_plain_one():
    use_deterministic_kernels(True, torch.device("cuda"))
    network = network_on("cuda")
    with torch.inference_mode():
        full = FullBatches(network, 8)
        answers = [full(images) for images in batches("cuda")]
        assert full._graph is not None
        for images, logits in zip(batches("cuda"), answers, strict=True):
            assert torch.equal(logits, network(images))


@CUDA
def test_a_network_that_cannot_be_captured_runs_as_it_is():
    network = network_on("cuda")
    forward = network.model.forward
    network.model.forward = lambda x: forward(x) + x.sum().item()  # waits for the device
    with torch.inference_mode():
        full = FullBatches(network, 8)
        for images in batches("cuda"):
            assert torch.equal(full(images), network(images))
    assert full._graph is None
