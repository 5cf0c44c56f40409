"""FLC and ASAP: the released formula, the frequencies that are kept, and which shifts commute."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.errors import UsageError
from shiftbench.pool import FrequencyLowCut2d, IdealPool2d, SpectralArtefactFree2d
from shiftbench.shift.subpixel import fourier_shift

EXACT = {
    "flc without Nyquist": lambda stride=2: FrequencyLowCut2d(3, stride, nyquist="remove"),
    "asap": lambda stride=2: SpectralArtefactFree2d(3, stride),
}
EVERY = {"flc": lambda stride=2: FrequencyLowCut2d(3, stride), **EXACT}


def maps(*size, dtype=torch.float64):
    return torch.randn(2, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(16, 16), (8, 12), (4, 20)])
def test_flc_is_the_released_formula(size):
    x = maps(*size)
    spectrum = np.fft.fftshift(np.fft.fft2(x.numpy(), norm="forward"), axes=(2, 3))
    (h, w) = size
    low = spectrum[:, :, h // 4 : 3 * h // 4, w // 4 : 3 * w // 4]
    released = np.fft.ifft2(np.fft.ifftshift(low, axes=(2, 3)), norm="forward").real
    np.testing.assert_allclose(FrequencyLowCut2d(3)(x).numpy(), released, rtol=0, atol=1e-12)


def test_flc_as_released_does_not_commute_with_one_pixel():
    x, pool = maps(16, 16), FrequencyLowCut2d(3)
    moved = fourier_shift(pool(x), torch.full((2, 2), 0.5))
    rolled = pool(x.roll((1, 1), (2, 3)))
    assert float((rolled - moved).abs().max() / moved.abs().max()) > 0.1


def test_flc_without_the_nyquist_frequency_is_the_ideal_low_pass():
    x = maps(16, 10)
    assert torch.equal(
        FrequencyLowCut2d(3, nyquist="remove")(x), IdealPool2d(3, padding="circular")(x)
    )


@pytest.mark.parametrize("name", EXACT)
def test_the_corrected_ones_commute_with_every_whole_shift(name):
    x, pool = maps(8, 12), EXACT[name]()
    for dy in range(8):
        for dx in range(12):
            moved = fourier_shift(pool(x), torch.tensor([[dy / 2, dx / 2]] * 2))
            rolled = pool(x.roll((dy, dx), (2, 3)))
            torch.testing.assert_close(rolled, moved, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(2, 12), width=st.integers(2, 12), stride=st.integers(1, 3),
    shift=st.tuples(st.floats(-9, 9), st.floats(-9, 9)), name=st.sampled_from(sorted(EXACT)),
)  # fmt: skip
def test_and_with_every_fractional_one(height, width, stride, shift, name):
    x, move, pool = maps(height, width), torch.tensor([shift, shift]), EXACT[name](stride)
    pooled = pool(x)
    scale = torch.tensor([pooled.shape[2] / height, pooled.shape[3] / width])
    moved = pool(fourier_shift(x, move))
    torch.testing.assert_close(moved, fourier_shift(pooled, move * scale), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [(4, 8), (12, 12)])
def test_all_phases_are_the_pools_of_the_rolled_map(name, size):
    x, pool = maps(*size), EVERY[name]()
    phases = pool.all_phases(x).unflatten(0, (2, 2, 2))
    for py in range(2):
        for px in range(2):
            rolled = pool(x.roll((-py, -px), (2, 3)))
            torch.testing.assert_close(phases[:, py, px], rolled, rtol=0, atol=1e-12)


def wave(side, frequency, samples):
    line = torch.cos(2 * math.pi * frequency * torch.arange(samples).double() / samples + 0.3)
    return torch.outer(line, line).expand(1, 3, -1, -1)


@pytest.mark.parametrize("frequency", [0, 1, 2, 3])
def test_asap_tapers_what_it_keeps(frequency):
    """Along an axis the response is the root of a Hamming window, here of both axes at once."""
    response = 0.54 + 0.46 * math.cos(2 * math.pi * frequency / 16)
    pooled = SpectralArtefactFree2d(3)(wave(16, frequency, 16))
    torch.testing.assert_close(pooled, response * wave(16, frequency, 8), rtol=0, atol=1e-12)


@pytest.mark.parametrize("frequency", [4, 5, 8])
def test_asap_removes_the_nyquist_frequency_and_what_lies_above_it(frequency):
    assert SpectralArtefactFree2d(3)(wave(16, frequency, 16)).abs().max() < 1e-12


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 6), (15, 15)])
def test_maps_of_every_size_keep_their_mean(name, size):
    x = maps(*size)
    pooled = EVERY[name]()(x)
    assert pooled.shape[2:] == tuple(-(-side // 2) for side in size)
    torch.testing.assert_close(pooled.mean((2, 3)), x.mean((2, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_they_answer_in_the_type_that_they_are_given(name):
    assert EVERY[name]()(maps(8, 8).bfloat16()).dtype == torch.bfloat16


def test_an_unknown_treatment_of_the_nyquist_frequency_is_refused():
    with pytest.raises(UsageError, match=r"pool\.nyquist=drop is not known.*keep, remove"):
        FrequencyLowCut2d(3, nyquist="drop")
