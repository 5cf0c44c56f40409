"""The fast path of circular training against the padded copy it replaces."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench import torus
from shiftbench.padding import Conv2d, pad2d


def plain(x, weight, stride):
    return F.conv2d(pad2d(x, (1, 1, 1, 1), "circular"), weight, stride=stride)


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    stride=st.sampled_from([1, 2]),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_are_those_of_a_padded_copy(size, stride, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, *size, generator=draw, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 3, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    fast, slow = torus.conv3x3(x, weight, stride), plain(x, weight, stride)
    assert torch.allclose(fast, slow, rtol=0, atol=1e-12)
    pull = torch.randn(slow.shape, generator=draw, dtype=torch.float64)
    for mine, theirs in zip(torch.autograd.grad(fast, (x, weight), pull),
                            torch.autograd.grad(slow, (x, weight), pull), strict=True):  # fmt: skip
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_single_precision_it_differs_by_rounding(layout):
    torch.manual_seed(0)
    x = torch.randn(4, 16, 32, 32).contiguous(memory_format=layout)
    weight = torch.randn(16, 16, 3, 3)
    error = (torus.conv3x3(x, weight, 1) - plain(x, weight, 1)).abs().max()
    assert 0 <= float(error) < 1e-4  # of values up to about 50: 144 products, 24 bits


def test_under_autocast_it_computes_in_bfloat16():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 8, 8, 8), torch.randn(8, 8, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        fast, slow = torus.conv3x3(x, weight, 1), plain(x, weight, 1)
    assert fast.dtype == slow.dtype == torch.bfloat16
    # bfloat16 has 8 bits; the border is rounded once more than the inside
    assert torch.allclose(fast.float(), slow.float(), atol=0.25, rtol=0.02)
    assert torch.equal(fast[:, :, 1:-1, 1:-1], slow[:, :, 1:-1, 1:-1])


def test_an_image_that_needs_no_gradient_gets_none():
    weight = torch.randn(2, 3, 3, 3, requires_grad=True)
    torus.conv3x3(torch.randn(1, 3, 5, 5), weight, 1).sum().backward()
    assert weight.grad is not None


def test_only_training_takes_the_fast_path(monkeypatch):
    taken = []
    monkeypatch.setattr(torus, "conv3x3", lambda *a: taken.append(a) or plain(*a))
    layer = Conv2d(3, 4, 3, padding=1, padding_mode="circular", bias=False)
    x = torch.randn(1, 3, 8, 8)
    layer.eval()(x)
    assert not taken
    layer.train()(x)
    assert len(taken) == 1


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 5, "padding": 2}, {"kernel_size": 3, "padding": 1, "bias": True},
     {"kernel_size": 3, "padding": 1, "groups": 3}, {"kernel_size": 3, "padding": 2},
     {"kernel_size": 3, "padding": 1, "stride": 3}],
    ids=str,
)  # fmt: skip
def test_other_convolutions_keep_the_padded_copy(options, monkeypatch):
    monkeypatch.setattr(torus, "conv3x3", None)
    layer = Conv2d(3, 6, padding_mode="circular", **{"bias": False, **options}).train()
    twin = torch.nn.Conv2d(3, 6, padding_mode="circular", **{"bias": False, **options})
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 9, 9)
    assert torch.allclose(layer(x), twin(x), atol=1e-5)
