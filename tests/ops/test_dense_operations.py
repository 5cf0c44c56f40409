"""The operations of the dense engine: grids, rolls, and convolutions by frequencies."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.ops.fourier import basis
from shiftbench.ops.fourier_conv_inference import SpectralConv
from shiftbench.ops.geometry import rolls_to_batch, space_to_batch
from shiftbench.ops.padding import pad2d


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_space_to_batch_holds_every_grid(rows, columns, sy, sx):
    x = torch.rand(2, 3, rows * sy, columns * sx)
    grids = space_to_batch(x, (sy, sx)).unflatten(0, (2, sy, sx))
    for py in range(sy):
        for px in range(sx):
            assert torch.equal(grids[:, py, px], x[:, :, py::sy, px::sx])


def test_rolls_to_batch_holds_every_roll():
    x = torch.rand(2, 3, 4, 5)
    rolls = rolls_to_batch(x, (2, 3), -1).unflatten(0, (2, 2, 3))
    assert torch.equal(rolls[:, 1, 2], x.roll((-1, -2), (2, 3)))


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8))
def test_the_fourier_basis_is_orthonormal(height, width):
    matrix = basis((height, width)).double()
    torch.testing.assert_close(
        matrix @ matrix.T, torch.eye(height * width).double(), rtol=0, atol=1e-5
    )


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.sampled_from([(3, 3), (1, 1), (2, 2), (5, 3)]),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_spectral_convolution_is_the_convolution(size, kernel, dilation, with_bias):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 4, *size), torch.randn(6, 4, *kernel)
    bias = torch.randn(6) if with_bias else None
    before = (dilation * (kernel[0] - 1) // 2, dilation * (kernel[1] - 1) // 2)
    after = (dilation * (kernel[0] - 1) - before[0], dilation * (kernel[1] - 1) - before[1])
    padded = pad2d(x, (before[1], after[1], before[0], after[0]), "circular")
    expected = F.conv2d(padded, weight, bias, dilation=dilation)
    spectral = SpectralConv(weight, bias, size, before, (dilation, dilation))
    torch.testing.assert_close(spectral(x), expected, rtol=0, atol=1e-4)
