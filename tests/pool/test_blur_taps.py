"""Blur with other filters: wavelets as pools, their gain, and settings that contradict."""

import pytest
import torch

from shiftbench.errors import UsageError
from shiftbench.ops.filter_taps import WAVELETS
from shiftbench.pool import AvgPool2d, BlurPool2d, WaveletPool2d


def maps(*size, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, *size, dtype=dtype, generator=generator)


def test_haar_is_average_pooling():
    x = maps(8, 12)
    torch.testing.assert_close(BlurPool2d(3, taps="haar")(x), AvgPool2d(3)(x))


@pytest.mark.parametrize(("name", "size"), [("haar", 2), ("ch2.2", 3), ("ch3.3", 4)])
@pytest.mark.parametrize("pad", ["zeros", "reflect", "circular"])
def test_a_spline_wavelet_is_the_binomial_blur_of_its_size(name, size, pad):
    x = maps(8, 9)
    wavelet, binomial = (
        BlurPool2d(3, pad=pad, **settings) for settings in ({"taps": name}, {"filter_size": size})
    )
    assert torch.equal(wavelet(x), binomial(x))
    assert torch.equal(wavelet.all_phases(maps(8, 8)), binomial.all_phases(maps(8, 8)))


@pytest.mark.parametrize("name", WAVELETS)
def test_a_row_of_the_released_matrix_begins_half_a_filter_before_its_pixel(name):
    """WaveCNet: row i holds the filter of 2n taps from pixel 2i − n + 1 on, zeros beyond."""
    pool = BlurPool2d(1, taps=name, pad="zeros", gain=2)
    axis = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    axis[0, 0, 7] = 1  # one row of ones: a filter along one axis, away from the sides
    column = pool(axis)[0, 0, :, 3]
    taps = torch.tensor(pool.taps, dtype=torch.float64)
    before = (len(taps) - 1) // 2
    index = [7 - (2 * row - before) for row in range(8)]
    expected = [float(taps[i]) * 2**0.5 if 0 <= i < len(taps) else 0.0 for i in index]
    torch.testing.assert_close(column, torch.tensor(expected).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_gain_is_the_factor_of_a_constant(gain):
    pool = BlurPool2d(3, taps="db2", pad="circular", gain=gain)
    torch.testing.assert_close(
        pool(torch.full((1, 3, 8, 8), 3.0)), torch.full((1, 3, 4, 4), 3 * gain)
    )


@pytest.mark.parametrize("settings", [{"taps": "ch4.4"}, {"taps": [1, 2, 4], "gain": 2.0}])
@pytest.mark.parametrize("pad", ["zeros", "reflect", "circular"])
def test_training_filters_as_measuring_does(settings, pad):
    x = maps(8, 8, dtype=torch.float32).contiguous(memory_format=torch.channels_last)
    pool = BlurPool2d(3, pad=pad, **settings)
    torch.testing.assert_close(pool.train()(x.requires_grad_()), pool.eval()(x))


def test_the_released_wavelet_is_a_blur_of_gain_two_without_a_maximum():
    x = maps(8, 8)
    blur = BlurPool2d(3, filter_size=4, pad="zeros", max_first=False)
    torch.testing.assert_close(WaveletPool2d(3)(x), 2 * blur(x))
    assert not WaveletPool2d(3).max_first
    assert WaveletPool2d(3, max_first=True).max_first


def test_a_size_that_contradicts_the_taps_is_refused():
    with pytest.raises(UsageError, match=r"pool\.filter_size=5 .* one of 4 taps; leave one"):
        BlurPool2d(1, filter_size=5, taps=[1, 3, 3, 1])
    assert BlurPool2d(1, filter_size=4, taps=[1, 3, 3, 1]).filter_size == 4


@pytest.mark.parametrize("gain", [0, 101])
def test_a_gain_out_of_range_is_refused(gain):
    with pytest.raises(UsageError, match=rf"pool\.gain={gain} is out of range"):
        BlurPool2d(1, gain=gain)
