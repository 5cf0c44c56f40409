"""Windows with weights of their own at every position."""

import pytest
import torch
import torch.nn.functional as F

from shiftbench.ops.weighted_window import weighted_sum

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def given(groups, side, stride, layout=torch.contiguous_format, size=(7, 9)):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, *size, generator=draw, dtype=torch.float64)
    height, width = ((length - side) // stride + 1 for length in size)
    weights = torch.randn(2, groups, side**2, height, width, generator=draw, dtype=torch.float64)
    x = x.contiguous(memory_format=layout)
    return x.requires_grad_(), weights.requires_grad_(), stride


def by_unfolding(x, weights, stride):
    """The same from a copy of every window."""
    groups, count, height, width = weights.shape[1:]
    windows = F.unfold(x, round(count**0.5), stride=stride)
    windows = windows.view(len(x), groups, -1, count, height, width)
    return (windows * weights.unsqueeze(2)).sum(3).flatten(1, 2)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("groups", "side"), [(1, 1), (2, 3), (3, 5), (6, 2)])
def test_it_is_the_sum_of_unfolded_windows_and_so_are_its_gradients(groups, side, stride, layout):
    x, weights, stride = given(groups, side, stride, layout)
    ours, theirs = weighted_sum(x, weights, stride), by_unfolding(x, weights, stride)
    torch.testing.assert_close(ours, theirs)
    pull = torch.randn_like(theirs)
    gradients = (torch.autograd.grad(out, (x, weights), pull) for out in (ours, theirs))
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other)


def test_equal_weights_are_a_depthwise_convolution():
    x, _, _ = given(1, 3, 2)
    kernel = torch.arange(9.0, dtype=torch.float64)
    weights = kernel.view(1, 1, 9, 1, 1).expand(2, 1, 9, 3, 4)
    expected = F.conv2d(x, kernel.view(1, 1, 3, 3).expand(6, 1, 3, 3), stride=2, groups=6)
    torch.testing.assert_close(weighted_sum(x, weights, 2), expected)
