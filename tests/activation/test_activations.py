"""Activations as functions of feature maps: formulas, aliases and shifts."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from shiftbench.activation.base import Activation, MakeActivation
from shiftbench.activation.gelu import GELU
from shiftbench.activation.oversampled import oversampled
from shiftbench.activation.poly import GELU_PARABOLA, Polynomial
from shiftbench.activation.relu import ReLU
from shiftbench.activation.up_relu import UpReLU
from shiftbench.errors import UsageError
from shiftbench.ops.low_pass import low_pass
from shiftbench.shift.subpixel import fourier_shift

CIRCULAR = {"padding": "circular"}


def maps(*size):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, *size, dtype=torch.float64, generator=draw)


def test_the_plain_ones_are_the_functions_of_torch():
    x = maps(4, 5)
    torch.testing.assert_close(ReLU(3)(x.clone()), F.relu(x))
    torch.testing.assert_close(GELU(3)(x), F.gelu(x))


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 2), (16, 6)])
def test_poly_is_its_polynomial_on_any_finer_grid(size):
    """A square is represented exactly on a grid 3/2 as fine, so a finer one changes nothing."""
    x, poly = maps(*size), Polynomial(3, **CIRCULAR, in_scale=1.3, out_scale=0.7).double()
    c0, c1, c2 = (float(torch.tensor(c)) for c in GELU_PARABOLA)  # parameters are float32 first
    a, b = float(torch.tensor(1.3)), float(torch.tensor(0.7))
    finer = low_pass(x, size, (8 * size[0], 8 * size[1]))
    expected = low_pass(b * (c0 + c1 * a * finer + c2 * (a * finer) ** 2), size, size)
    torch.testing.assert_close(poly(x).detach(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (7, 12)])
@pytest.mark.parametrize("shift", [(0.5, 0.5), (1.0, 0.0), (0.3, -2.7)])
def test_poly_commutes_with_every_shift(size, shift):
    x, move = maps(*size), torch.tensor([shift, shift], dtype=torch.float64)
    poly = Polynomial(3, **CIRCULAR).double()
    moved, after = poly(fourier_shift(x, move)), fourier_shift(poly(x).detach(), move)
    torch.testing.assert_close(moved.detach(), after, rtol=0, atol=1e-10)


def test_a_polynomial_on_a_grid_that_is_too_coarse_does_not():
    x, move = maps(8, 8), torch.full((2, 2), 0.5)
    moved = oversampled(fourier_shift(x, move), torch.square, 1)
    assert (moved - fourier_shift(oversampled(x, torch.square, 1), move)).abs().max() > 1e-2


def equivariance_error(factor, shift=0.3):
    x, move = maps(16, 16), torch.full((2, 2), shift)
    layer = UpReLU(3, factor=factor, **CIRCULAR)
    return float((layer(fourier_shift(x, move)) - fourier_shift(layer(x), move)).abs().max())


def test_up_relu_is_the_closer_to_equivariant_the_finer_its_grid_and_never_is():
    errors = [equivariance_error(factor) for factor in (1.0, 1.5, 2.0, 4.0, 8.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 10 * errors[-1]
    assert errors[-1] > 1e-4


@pytest.mark.parametrize("factor", [2, 4])
def test_up_relu_commutes_with_shifts_of_its_own_grid(factor):
    assert equivariance_error(factor, 1 / factor) < 1e-12
    assert equivariance_error(factor, 0.5 / factor) > 1e-3


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_up_relu_of_a_whole_factor_commutes_with_whole_shifts(factor):
    x, layer = maps(6, 8), UpReLU(3, factor=factor, **CIRCULAR)
    for shift in [(1, 0), (0, 1), (3, 5)]:
        moved = layer(x.roll(shift, (2, 3)))
        torch.testing.assert_close(moved, layer(x).roll(shift, (2, 3)), rtol=0, atol=1e-12)


def test_poly_trains_its_scales_and_three_numbers_for_each_channel():
    poly = Polynomial(5, **CIRCULAR)
    poly(torch.randn(2, 5, 6, 6)).square().mean().backward()
    assert sum(p.numel() for p in poly.parameters()) == 3 * 5 + 2
    assert all(p.grad.abs().min() > 0 for p in poly.parameters())
    assert (float(poly.in_scale.detach()), float(poly.out_scale.detach())) == (7, 7)


def test_the_parabola_fits_gelu_between_minus_and_plus_1_4():
    x = torch.linspace(-1.4, 1.4, 4001, dtype=torch.float64)
    powers = torch.stack([x**0, x, x**2], dim=1)
    fit = torch.linalg.lstsq(powers, F.gelu(x)[:, None]).solution.flatten()
    torch.testing.assert_close(fit, torch.tensor(GELU_PARABOLA).double(), atol=3e-3, rtol=0)


@pytest.mark.parametrize("kind", [Polynomial, UpReLU])
def test_it_answers_in_the_type_that_it_is_given(kind):
    assert kind(3, **CIRCULAR)(maps(8, 8).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("padding", ["zeros", "reflect", "full"])
@pytest.mark.parametrize(("kind", "name"), [(Polynomial, "poly"), (UpReLU, "up_relu")])
def test_ideal_filters_refuse_maps_that_are_not_periodic(kind, name, padding):
    with pytest.raises(UsageError, match=f"={name} needs circular borders, got padding={padding}"):
        kind(3, padding=padding)


@pytest.mark.parametrize(("make", "setting"), [
    (partial(UpReLU, factor=0.5), r"factor=0\.5"), (partial(UpReLU, factor=9), "factor=9"),
    (partial(Polynomial, in_scale=0), "in_scale=0"), (partial(Polynomial, out_scale=101), "out_s"),
])  # fmt: skip
def test_values_out_of_range_are_refused(make, setting):
    with pytest.raises(UsageError, match=rf"activation\.{setting}.* is out of range"):
        make(3, **CIRCULAR)


def test_a_plain_module_has_the_defaults():
    class Mine(torch.nn.Tanh):
        def __init__(self, channels, padding="zeros"):
            super().__init__()

    made = MakeActivation(Mine)(4)
    assert isinstance(made, Activation)
    assert not made.needs_norm


def test_a_misspelt_attribute_is_refused():
    with pytest.raises(UsageError, match="did you mean 'needs_norm'"):
        type("Mine", (Activation,), {"need_norm": True})
