"""The basis of circular harmonics against its analytic form."""

import math

import pytest
import torch
from scipy.special import jv

from shiftbench.ops.rings import SIGMA, ring_basis


def harmonic(order, **size):
    cosine, sine = ring_basis(order, **size)
    return torch.complex(cosine, sine)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_quarter_turn_multiplies_it_by_a_power_of_i(order, turns):
    basis = harmonic(order)
    turned = torch.rot90(basis, turns, (1, 2))  # K(R⁻¹p): φ − 90°
    torch.testing.assert_close(turned, basis * (-1j) ** (order * turns), atol=1e-15, rtol=0)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 120.0])
@pytest.mark.parametrize("frequency", [0.3, 0.7, 1.0])
def test_the_response_to_a_plane_wave_is_a_bessel_function(order, angle, frequency):
    """The mean of e^{imφ} e^{ikr cos(φ − ψ)} over a circle is i^m J_m(kr) e^{imψ}."""
    size, half = 21, 10
    basis = harmonic(order, kernel_size=size)
    psi = math.radians(angle)
    places = torch.arange(size, dtype=torch.float64) - half
    waves = places[None, :] * math.cos(psi) - places[:, None] * math.sin(psi)  # y upwards
    response = (basis * torch.exp(1j * frequency * waves)).sum((1, 2))
    damped = math.exp(-((SIGMA * frequency) ** 2) / 2)  # by the Gaussian
    for radius, seen in zip(torch.linspace(order > 0, 3.5, 4).tolist(), response, strict=True):
        expected = 1j**order * jv(order, frequency * radius) * damped
        expected *= complex(math.cos(order * psi), math.sin(order * psi))
        # A Gaussian of half a pixel is sampled: its alias at 2π − 1 rad per pixel is 0.03.
        assert abs(complex(seen) - expected) < 0.02


@pytest.mark.parametrize("order", [0, 1])
def test_a_sample_spreads_a_weight_of_one(order):
    energy = harmonic(order).abs().sum((1, 2))
    assert (energy <= 1 + 1e-12).all()
    if order == 0:
        torch.testing.assert_close(energy, torch.ones(4, dtype=torch.float64))
        centre = harmonic(0)[0, 2, 2].real  # r = 0: a Gaussian, normalised over 25 pixels
        one = sum(math.exp(-2 * one**2) for one in (-2, -1, 0, 1, 2))
        assert float(centre) == pytest.approx(1 / one**2)
