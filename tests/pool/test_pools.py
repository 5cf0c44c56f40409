"""Downsampling layers, compared with known outputs."""

import pytest
import torch
import torch.nn.functional as F

from shiftbench.errors import UsageError
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, MaxPool2d, NoPool2d, Stride2d


@pytest.mark.parametrize(
    ("filter_size", "taps"),
    [(1, [1]), (2, [1, 1]), (3, [1, 2, 1]), (4, [1, 3, 3, 1]), (5, [1, 4, 6, 4, 1]),
     (7, [1, 6, 15, 20, 15, 6, 1])],
)  # fmt: skip
def test_blur_weights_are_binomial_and_sum_to_one(filter_size, taps):
    kernel = BlurPool2d(1, filter_size=filter_size).kernel
    expected = torch.tensor(taps, dtype=torch.float32)
    torch.testing.assert_close(kernel, torch.outer(expected, expected) / expected.sum() ** 2)
    assert float(kernel.sum()) == pytest.approx(1)


@pytest.mark.parametrize("filter_size", range(1, 8))
@pytest.mark.parametrize("pad", ["reflect", "circular"])
@pytest.mark.parametrize("size", [7, 8, 9])
def test_blur_keeps_a_constant_and_has_ceil_size(filter_size, pad, size):
    y = BlurPool2d(2, filter_size=filter_size, pad=pad)(torch.full((1, 2, size, size), 3.0))
    assert y.shape[-2:] == (-(-size // 2),) * 2
    torch.testing.assert_close(y, torch.full_like(y, 3.0))


def test_blur_of_one_tap_is_plain_subsampling():
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(BlurPool2d(3, filter_size=1)(x), x[:, :, ::2, ::2])


def test_blur_of_three_taps_is_two_average_pools():
    x = torch.randn(2, 3, 8, 8)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    twice = F.avg_pool2d(F.avg_pool2d(padded, 2, 1), 2, 1)[:, :, ::2, ::2]
    torch.testing.assert_close(BlurPool2d(3, filter_size=3)(x), twice)


@pytest.mark.parametrize("filter_size", [3, 5])
def test_blur_is_timms(filter_size):
    timm = pytest.importorskip("timm.layers", reason="timm is not installed")
    x = torch.randn(2, 3, 9, 8)
    ours, theirs = BlurPool2d(3, filter_size=filter_size), timm.BlurPool2d(3, filter_size, 2)
    torch.testing.assert_close(ours(x), theirs(x))


def test_blur_pads_as_its_network_unless_told():
    assert BlurPool2d(1, padding="circular").pad == "circular"
    assert BlurPool2d(1, padding="zeros").pad == "reflect"
    assert BlurPool2d(1, padding="circular", pad="zeros").pad == "zeros"


@pytest.mark.parametrize("settings", [{"filter_size": 0}, {"filter_size": 8}, {"pad": "wrap"}])
def test_blur_refuses_what_it_cannot_do(settings):
    with pytest.raises(UsageError, match="allowed"):
        BlurPool2d(1, **settings)


def test_max_pooling_commutes_only_with_even_shifts():
    x, pool = torch.randn(4, 3, 8, 8), MaxPool2d(3)
    assert torch.equal(pool(x.roll((2, 4), (2, 3))), pool(x).roll((1, 2), (2, 3)))
    for shift in [(1, 0), (0, 1), (1, 1), (3, 2)]:
        moved = pool(x.roll(shift, (2, 3)))
        rolls = [pool(x).roll((a, b), (2, 3)) for a in range(4) for b in range(4)]
        assert not any(torch.equal(moved, roll) for roll in rolls)


@pytest.mark.parametrize("norm", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("filter_size", [1, 3])
def test_aps_commutes_with_every_circular_shift_up_to_a_shift(norm, filter_size):
    torch.manual_seed(0)
    pool = AdaptivePolyphase2d(3, padding="circular", norm=norm, filter_size=filter_size)
    x = torch.randn(2, 3, 8, 8)
    base = pool(x).sort(dim=-1).values.sum((2, 3))
    for dy in range(8):
        for dx in range(8):
            moved = pool(x.roll((dy, dx), (2, 3))).sort(dim=-1).values.sum((2, 3))
            torch.testing.assert_close(moved, base)


def test_aps_keeps_the_grid_of_largest_norm():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1::2, 0::2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    pool = AdaptivePolyphase2d(1)
    assert pool.phase(x).tolist() == [2]
    assert pool(x).flatten().tolist() == [1, 2, 3, 4]
    assert pool(x, torch.tensor([0])).flatten().tolist() == [0, 0, 0, 0]


def test_aps_takes_odd_sizes():
    assert AdaptivePolyphase2d(1)(torch.randn(2, 1, 7, 5)).shape == (2, 1, 4, 3)


def test_aps_refuses_a_norm_below_one():
    with pytest.raises(UsageError, match=r"pool\.norm=0"):
        AdaptivePolyphase2d(1, norm=0)


def test_stride_and_global_do_nothing_themselves():
    x = torch.randn(1, 2, 4, 4)
    assert torch.equal(Stride2d(2)(x), x)
    assert torch.equal(NoPool2d(2)(x), x)
    assert Stride2d(2).conv_stride == 2
