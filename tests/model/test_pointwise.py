"""Narrow strided 1×1 convolutions: gradients of channels-last maps, where oneDNN's are wrong."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from shiftbench.model.pointwise import subsampled_first

TRAINING = """
import torch
from torch import nn
from shiftbench.model.pointwise import subsampled_first

torch.set_num_threads({threads})
torch.manual_seed(0)
layer = nn.Conv2d({channels}, 8, 1, stride=2, bias=False)
with subsampled_first(layer):
    for _ in range(30):
        maps = torch.randn(32, {channels}, 32, 32)
        weights = torch.randn(32, 8, 16, 16)
        layer.weight.grad = None
        (layer(maps.contiguous(memory_format=torch.channels_last)) * weights).sum().backward()
        expected = torch.einsum("nohw,nihw->oi", weights, maps[:, :, ::2, ::2])
        assert torch.allclose(layer.weight.grad[:, :, 0, 0], expected, rtol=1e-3, atol=1e-2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels", [2, 4, 7])
def test_gradients_are_those_of_the_formula_where_onednn_writes_beyond_its_workspace(
    threads, channels
):
    """Without it these processes crash with one thread and never end with two."""
    script = TRAINING.format(threads=threads, channels=channels)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "given", [{}, {"groups": 2}, {"bias": False}, {"stride": (1, 3)}, {"padding": "valid"}]
)
def test_it_is_the_same_layer_and_is_restored(given):
    layer = nn.Conv2d(4, 6, 1, **{"stride": 2, **given}).double()
    maps = torch.randn(3, 4, 9, 7, dtype=torch.float64)
    expected, stride = layer(maps), layer.stride
    with subsampled_first(nn.Sequential(layer)):
        assert layer.stride == (1, 1)
        torch.testing.assert_close(layer(maps), expected)
        torch.testing.assert_close(layer(input=maps), expected)
    assert layer.stride == stride
    assert not layer._forward_pre_hooks


@pytest.mark.parametrize("layer", [
    nn.Conv2d(16, 8, 1, stride=2), nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(4, 8, 1),
    nn.Conv2d(4, 8, 1, stride=2, padding=1),
], ids=str)  # fmt: skip
def test_other_layers_are_unchanged(layer):
    with subsampled_first(layer):
        assert not layer._forward_pre_hooks
