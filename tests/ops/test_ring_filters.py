"""Filters that turn by a phase: symmetry, response to harmonics of the plane, steering."""

import math

import pytest
import torch

from shiftbench.ops.ring_filters import ring_harmonics

AXIS = torch.arange(5, dtype=torch.float64) - 2
PLANE = torch.complex(AXIS.expand(5, 5), -AXIS[:, None].expand(5, 5))  # x + iy, y upwards


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_quarter_turn_is_a_factor_of_the_fourth_roots_of_one(size, order):
    made = ring_harmonics(order, size)
    assert torch.equal(made.rot90(1, (-2, -1)), (1, -1j, -1, 1j)[order % 4] * made)
    assert made.abs().max() > 0.01


def test_a_ring_of_order_zero_is_a_mean_and_its_first_one_is_a_gaussian():
    made = ring_harmonics(0)
    assert made.imag.abs().max() == 0
    torch.testing.assert_close(made.real.sum((1, 2)), torch.ones(4, dtype=torch.float64))
    gaussian = torch.exp(-2 * PLANE.abs() ** 2)
    torch.testing.assert_close(made[0].real, gaussian / gaussian.sum())


@pytest.mark.parametrize("order", [1, 2])
def test_the_response_to_a_harmonic_polynomial_is_its_value_on_the_ring(order):
    """The mean of conj(z)^m e^(imφ) over a circle of radius r is r^m; the Gaussian keeps it."""
    image = PLANE.conj() ** order
    response = (ring_harmonics(order) * image).sum((1, 2))
    radii = torch.linspace(1, 3.5, 4, dtype=torch.float64)
    inside = radii <= 2  # further out, samples move to the border of the filter
    torch.testing.assert_close(response.real[inside], radii[inside] ** order, rtol=0.04, atol=0)
    assert response.imag.abs().max() < 1e-9


@pytest.mark.parametrize("order", range(1, 5))
@pytest.mark.parametrize("size", [3, 5, 7])
def test_filters_of_other_orders_do_not_see_a_constant(size, order):
    """Although the pixels alone would not tell order 4 from order 0."""
    assert ring_harmonics(order, size).sum((1, 2)).abs().max() < 1e-9


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("degrees", [10, 45, 90, 137])
def test_the_phase_of_the_response_turns_with_the_image(order, degrees):
    """An image of angular order m alone, turned by θ: the response is e^(imθ) times as large."""
    turned = PLANE * complex(math.cos(math.radians(degrees)), -math.sin(math.radians(degrees)))
    weights = torch.exp(-(PLANE.abs() ** 2) / 4)
    before, after = (
        (ring_harmonics(order) * weights * z.conj() ** order).sum((1, 2)) for z in (PLANE, turned)
    )
    expected = before * complex(
        math.cos(order * math.radians(degrees)), math.sin(order * math.radians(degrees))
    )
    torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", range(4))
def test_a_filter_sees_its_own_order_and_no_other(order):
    weights = torch.exp(-(PLANE.abs() ** 2) / 4)
    for other in range(4):
        image = weights * PLANE.conj() ** other
        response = (ring_harmonics(order) * image).sum((1, 2)).abs()
        if other != order:
            assert response.max() < 1e-12
        else:
            assert response.min() > 0.1 * image.abs().mean()
