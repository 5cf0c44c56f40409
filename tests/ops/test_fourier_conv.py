"""Training in the frequency domain, against the same convolution written plainly."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.vgg import VGG
from shiftbench.ops import fourier_conv
from shiftbench.ops.padding import Conv2d, pad2d
from shiftbench.pool import MaxPool2d

sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))
kernels = st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5]))
# bfloat16 keeps eight bits; a spectrum is rounded as a map is, three times on the way
BOUNDS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03}


def plainly(x, weight):
    """The convolution of a padded copy."""
    rows, columns = (taps // 2 for taps in weight.shape[2:])
    return F.conv2d(pad2d(x, (columns, columns, rows, rows), "circular"), weight.to(x.dtype))


def with_gradients(convolve, x, weight):
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = convolve(x, weight)
    pull = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, (x, weight), pull)]


def assert_alike(found, wanted, bound):
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        gap = (mine.double() - theirs.double()).abs().max()
        assert gap <= bound * theirs.double().abs().max()


@settings(deadline=None, max_examples=60)
@given(sizes, kernels, st.sampled_from(list(BOUNDS)))
def test_it_is_the_convolution_and_so_are_its_gradients(size, kernel, dtype):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, *size, generator=draw).to(dtype)
    weight = torch.randn(7, 5, *kernel, generator=draw)
    if dtype == torch.bfloat16:
        wanted = with_gradients(plainly, x.float(), weight)
        wanted = [wanted[0].bfloat16(), wanted[1].bfloat16(), wanted[2]]
    else:
        weight = weight.to(dtype)
        wanted = with_gradients(plainly, x, weight)
    assert_alike(with_gradients(fourier_conv.conv2d, x, weight), wanted, BOUNDS[dtype])


def test_its_gradients_are_the_derivatives():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 4, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fourier_conv.conv2d, (x, weight))


def test_a_single_pixel_draws_the_kernel():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 3] = 1
    weight = torch.arange(9.0).view(1, 1, 3, 3)
    drawn = torch.tensor([[3.0, 0, 5, 4], [0, 0, 2, 1], [0, 0, 0, 0], [6, 0, 8, 7]])
    torch.testing.assert_close(fourier_conv.conv2d(x, weight)[0, 0], drawn)


def test_it_commutes_with_circular_shifts():
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 3, 8, 4, generator=draw), torch.randn(4, 3, 3, 3, generator=draw)
    for shift in [(1, 0), (3, 2), (-2, 1)]:
        torch.testing.assert_close(
            fourier_conv.conv2d(x.roll(shift, (2, 3)), weight),
            fourier_conv.conv2d(x, weight).roll(shift, (2, 3)),
            rtol=0, atol=1e-5,
        )  # fmt: skip


def test_under_autocast_it_computes_in_that_type_and_the_weights_gradient_stays():
    x, weight = torch.randn(4, 3, 4, 4), torch.randn(5, 3, 3, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = fourier_conv.conv2d(x, weight)
        assert y.dtype == torch.bfloat16
        y.float().sum().backward()
    assert weight.grad.dtype == torch.float32


def test_maps_keep_their_channels_side_by_side():
    x = torch.randn(4, 8, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = fourier_conv.conv2d(x, torch.randn(6, 8, 3, 3))
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.square().sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def layer(**settings):
    plain = {"padding": 1, "padding_mode": "circular", "bias": False}
    return Conv2d(64, 64, 3, **{**plain, **settings})


def went(conv, x, monkeypatch):
    """Whether a layer goes through the frequency domain."""
    calls = []
    monkeypatch.setattr(
        fourier_conv, "conv2d", lambda x, weight: calls.append(1) or plainly(x, weight)
    )
    conv(x)
    return bool(calls)


MAPS = torch.zeros(64, 64, 4, 4)


def test_training_on_small_circular_maps_takes_this_way(monkeypatch):
    assert went(layer(), MAPS, monkeypatch)


@pytest.mark.parametrize(
    "other",
    [{"padding_mode": "zeros"}, {"padding_mode": "reflect"}, {"stride": 2}, {"padding": 0},
     {"dilation": 2, "padding": 2}, {"groups": 2}, {"bias": True}],
    ids=str,
)  # fmt: skip
def test_other_layers_do_not(other, monkeypatch):
    assert not went(layer(**other), MAPS, monkeypatch)


@pytest.mark.parametrize("shape", [(8, 64, 4, 4), (64, 64, 8, 8), (256, 64, 16, 16)], ids=str)
def test_where_it_does_not_pay_they_do_not(shape, monkeypatch):
    assert not went(layer(), torch.zeros(shape), monkeypatch)


def test_measuring_never_does(monkeypatch):
    conv = layer()
    with torch.no_grad():
        assert not went(conv, MAPS, monkeypatch)
    assert not went(conv.eval(), MAPS, monkeypatch)


def network():
    torch.manual_seed(0)
    return VGG(5, 3, (16, 16), MaxPool2d, GlobalAverageHead, "circular", width=16)


def gradients(images):
    net = network().train()
    F.cross_entropy(net(images), torch.arange(len(images)) % 5).backward()
    return [parameter.grad for parameter in net.parameters()]


def test_a_network_learns_the_same(monkeypatch):
    images = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mine = gradients(images)
    monkeypatch.setattr(fourier_conv, "PAYS_FROM", {})
    plain = gradients(images)
    assert_alike(mine, plain, 2e-4)
    assert not torch.equal(mine[-3], plain[-3]), "the network has no map that is small enough"


def test_the_same_step_has_the_same_bits():
    images = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for one, again in zip(gradients(images), gradients(images), strict=True):
        assert torch.equal(one, again)
