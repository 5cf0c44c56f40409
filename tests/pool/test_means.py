"""Generalised and exponentially weighted means of cells, against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from shiftbench.errors import UsageError
from shiftbench.pool import AvgPool2d, LpPool2d, MaxPool2d, SoftPool2d

EVERY = {"lp": LpPool2d, "softpool": SoftPool2d}


def maps(*size, scale=1.0):
    draw = torch.Generator().manual_seed(0)
    return scale * torch.rand(2, 3, *size, dtype=torch.float64, generator=draw)


def cells(x, stride=2):
    """The cells of a map whose size is divisible, ``(N, C, h, w, s²)``."""
    h, w = x.shape[2] // stride, x.shape[3] // stride
    parts = x.unflatten(3, (w, stride)).unflatten(2, (h, stride))
    return parts.permute(0, 1, 2, 4, 3, 5).flatten(4)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize(
    ("power", "learned"), [(1, False), (2, False), (20, False), (2, True), (3.5, True)]
)
def test_lp_is_the_generalised_mean(power, stride, learned):
    x = maps(6, 12)
    pooled = LpPool2d(3, stride, power=power, learned=learned)(x)
    torch.testing.assert_close(pooled, cells(x, stride).pow(power).mean(-1) ** (1 / power))


def test_lp_goes_from_average_to_maximum():
    x = maps(8, 7)
    torch.testing.assert_close(LpPool2d(3, power=1)(x), AvgPool2d(3)(x))
    largest = MaxPool2d(3)(x)
    between = [float((largest - LpPool2d(3, power=p)(x)).max()) for p in (1, 2, 4, 16, 100)]
    assert between == sorted(between, reverse=True)
    assert between[-1] < 0.02


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_lp_of_extreme_maps_neither_overflows_nor_vanishes(scale):
    x = maps(4, 4).float()
    pooled = LpPool2d(3, power=20)(scale * x)
    torch.testing.assert_close(pooled / scale, LpPool2d(3, power=20)(x))


def test_lp_takes_negative_values_as_zero_and_keeps_a_cell_of_zeros():
    x = torch.tensor([[-1.0, 3.0, 0.0, -2.0], [0.0, 0.0, 0.0, 0.0]]).view(1, 1, 2, 4)
    x.requires_grad_()
    pooled = LpPool2d(1, power=2, learned=True)(x)
    assert pooled.flatten().tolist() == pytest.approx([1.5, 0])
    pooled.sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[..., 2:].abs().max() == 0


@pytest.mark.parametrize("power", [1.5, 3.0])
def test_the_gradients_of_lp_are_those_of_its_formula(power):
    pool = LpPool2d(3, power=power, learned=True).double()
    x = (maps(4, 5) + 0.1).requires_grad_()
    assert gradcheck(lambda x, _: pool(x), (x, pool.log_growth))


def test_only_a_learned_power_is_a_parameter():
    fixed, learned = LpPool2d(3), LpPool2d(3, learned=True)
    assert not list(fixed.parameters())
    assert not fixed.has_parameters
    assert [p.numel() for p in learned.parameters()] == [1]
    assert learned.has_parameters
    assert learned.power.item() == 3
    assert "power=3" in str(learned)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"power": 0.5}, r"pool\.power=0\.5 is out of range; allowed: 1 to 100"),
    ({"power": 1, "learned": True}, r"pool\.power=1 cannot be learned"),
])  # fmt: skip
def test_lp_refuses_powers_that_it_cannot_take(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        LpPool2d(1, **settings)


@pytest.mark.parametrize("stride", [2, 3])
def test_softpool_weights_every_activation_by_its_exponential(stride):
    x = maps(6, 12, scale=4) - 2
    values = cells(x, stride)
    expected = (values.softmax(-1) * values).sum(-1)
    torch.testing.assert_close(SoftPool2d(3, stride)(x), expected)


def test_softpool_lies_between_mean_and_maximum():
    x = maps(7, 9, scale=3)
    pooled = SoftPool2d(3)(x)
    assert (pooled > AvgPool2d(3)(x) - 1e-12).all()
    assert (pooled < MaxPool2d(3)(x) + 1e-12).all()
    torch.testing.assert_close(SoftPool2d(3)(1e-8 * x), AvgPool2d(3)(1e-8 * x))


def test_softpool_of_large_values_is_the_maximum():
    x = maps(6, 6, scale=1e30).float()
    torch.testing.assert_close(SoftPool2d(3)(x), F.max_pool2d(x, 2))


def test_the_gradient_of_softpool_is_that_of_its_formula():
    assert gradcheck(SoftPool2d(3), (maps(4, 5).requires_grad_(),))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("stride", [2, 3])
def test_all_phases_are_the_pools_of_the_rolled_map(name, stride):
    x, pool = maps(6, 12), EVERY[name](3, stride)
    phases = pool.all_phases(x).unflatten(0, (2, stride, stride))
    for py in range(stride):
        for px in range(stride):
            rolled = pool(x.roll((-py, -px), (2, 3)))
            torch.testing.assert_close(phases[:, py, px], rolled)


@pytest.mark.parametrize("name", EVERY)
def test_they_answer_in_the_type_that_they_are_given(name):
    assert EVERY[name](3)(maps(8, 8).bfloat16()).dtype == torch.bfloat16
