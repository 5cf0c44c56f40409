"""Test-time wrappers: what is exactly invariant, over all shifts and with random weights."""

import copy
import itertools

import pandas as pd
import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.errors import UsageError
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.infer.average import Average
from shiftbench.infer.base import Infer
from shiftbench.infer.canonical import Canonical, to_centre
from shiftbench.infer.crop_selection import CropSelection, response
from shiftbench.infer.phases import Phases
from shiftbench.infer.shift_average import ShiftAverage, mean_answer
from shiftbench.infer.single import Single
from shiftbench.model.resnet import ResNet
from shiftbench.model.stride import total_stride
from shiftbench.model.vgg import VGG
from shiftbench.pool import AvgPool2d, BlurPool2d, MaxPool2d, Stride2d
from shiftbench.shift.circular import Circular

ALL = Circular(sampling="all")
EXACT = ("consistency", "base_consistency", "exact_fraction")


def network(model=VGG, pool=MaxPool2d, head=GlobalAverageHead, padding="circular", size=(8, 8),
            **more):  # fmt: skip
    """A network with random weights whose logits differ between classes, in float64."""
    torch.manual_seed(0)
    net = model(5, 3, size, pool, head, padding, width=4, **more).eval().double()
    for parameter in net.head.parameters():
        parameter.data *= 20
    return net


def images(size=(8, 8), count=3):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1)).double()


def every_shift(size):
    return itertools.product(range(size[0]), range(size[1]))


def numbers(net, x, **more):
    """The metrics under all circular shifts, by the direct engine."""
    result = measure(net, x, torch.arange(len(x)) % 3, ALL, engine="direct", resamples=2, **more)
    return result.metrics.set_index("metric")["value"]


@pytest.mark.parametrize(
    ("model", "pool", "head"),
    [(VGG, MaxPool2d, GlobalAverageHead), (VGG, AvgPool2d, GlobalMaxHead),
     (VGG, Stride2d, GlobalMaxHead), (VGG, BlurPool2d, GlobalAverageHead),
     (ResNet, MaxPool2d, GlobalAverageHead)],
)  # fmt: skip
def test_all_phases_of_a_circular_network_are_exactly_invariant(model, pool, head):
    net = network(model, pool, head, **({"downsamplings": 2} if model is VGG else {}))
    stride = total_stride(net, (3, 8, 8))
    assert stride in (4, 8)
    wrapper, x = Phases().wrap(net, stride), images(count=1)
    shifted = torch.cat([x.roll(shift, (2, 3)) for shift in every_shift((8, 8))])
    with torch.no_grad():
        assert net(shifted).std(dim=0).max() > 1e-3
        found = wrapper(shifted)
    assert found[0].std() > 1e-3
    assert torch.allclose(found, found[:1].expand_as(found), rtol=0, atol=1e-12)


def test_every_metric_of_all_phases_is_one_and_of_one_pass_is_not():
    net, x = network(downsamplings=1), images()
    assert numbers(net, x)["exact_fraction"] < 1
    found = numbers(Phases().wrap(net, 2), x)
    assert [found[name] for name in EXACT] == [1, 1, 1]


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_the_torus_is_exactly_invariant_for_any_network(padding):
    net = network(head=FlattenHead, padding=padding, size=(4, 4), downsamplings=1)
    x = images((4, 4))
    assert numbers(net, x)["exact_fraction"] < 1
    found = numbers(Phases(over="torus").wrap(net, 2), x)
    assert [found[name] for name in EXACT] == [1, 1, 1]
    stride_alone = numbers(Phases().wrap(net, 2), x)
    assert stride_alone["exact_fraction"] < 1


@pytest.mark.parametrize(
    "infer", [Canonical(), CropSelection(), CropSelection(filter="random", filter_size=5)]
)
def test_moving_by_content_gives_the_same_pixels_for_all_shifts(infer):
    net, x = network(head=FlattenHead, padding="zeros", downsamplings=2), images((8, 12))
    move = infer.wrap(net, 4).move
    expected = move(x)
    assert not torch.equal(expected, x)
    for shift in every_shift((8, 12)):
        assert torch.equal(move(x.roll(shift, (2, 3))), expected)
    net = network(head=FlattenHead, padding="zeros", downsamplings=2)
    found = numbers(infer.wrap(net, 4), images())
    assert [found[name] for name in EXACT] == [1, 1, 1]


def test_the_canonical_place_of_a_bright_square_is_the_middle():
    x = torch.zeros(1, 1, 16, 16)
    x[..., 1:4, 12:15] = 1
    assert to_centre(x)[0, 0].nonzero().float().mean(0).tolist() == [8, 8]


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_symmetric_content_is_not_torn_between_two_pixels(side):
    """Its position is a multiple of half a pixel, which rounding must not depend on."""
    x = torch.zeros(1, 3, 16, 16)
    x[..., 5 : 5 + side, 2 : 2 + side] = 0.3
    expected = to_centre(x)
    for shift in every_shift((16, 16)):
        assert torch.equal(to_centre(x.roll(shift, (2, 3))), expected)


def test_an_axis_without_a_phase_is_left_alone():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 3, :] = 1  # a horizontal line: no phase along x
    assert to_centre(x).equal(x.roll(1, 2))
    assert to_centre(torch.full((1, 1, 8, 8), 0.7)).equal(torch.full((1, 1, 8, 8), 0.7))


def test_the_response_is_a_correlation():
    taps = CropSelection(filter="random", filter_size=3).taps()
    assert taps.sum().abs() < 1e-12
    x = torch.zeros(1, 1, 6, 6).double()
    x[0, 0, 2, 3] = 1
    found = response(x, taps)[0]
    assert torch.allclose(found[1:4, 2:5], taps.flip(0, 1).abs(), atol=1e-12)


def test_a_crop_shows_the_same_window_wherever_the_scene_is():
    scene = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)) / 4
    scene[..., 18:22, 19:23] = 1  # the strongest place
    crop = CropSelection(crop=8, filter_size=5)
    move = crop.wrap(nn.Identity(), 1).move
    windows = [
        move(scene[..., top : top + 24, left : left + 24])
        for top in range(6, 12) for left in range(6, 12)
    ]  # fmt: skip
    assert windows[0].shape == (1, 3, 8, 8)
    assert all(torch.equal(window, windows[0]) for window in windows)


def test_an_average_is_the_mean_of_probabilities():
    net, x = network(padding="zeros", downsamplings=2), images()
    wrapper = Average(count=4, period=4).wrap(net, 1)
    assert wrapper.shifts((8, 8)) == [(0, 0), (0, 2), (2, 0), (2, 2)]
    with torch.no_grad():
        expected = torch.stack([net(x.roll(s, (2, 3))).softmax(1) for s in wrapper.shifts((8, 8))])
        assert torch.allclose(wrapper(x).softmax(1), expected.mean(0), atol=1e-12)


def test_the_average_of_a_constant_network_is_itself():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([[3.0, -50.0, -torch.inf]]).expand(len(x), -1)

    for infer in (Average(), Phases(), Phases(over="torus"), Average(9, "random")):
        found = infer.wrap(Constant(), 4)(images())
        assert torch.allclose(found, Constant()(images()), atol=1e-5)


def test_a_nan_stays_one():
    z = [torch.tensor([[1.0, 2.0]]), torch.tensor([[torch.nan, 0.0]])]
    assert mean_answer(iter(z)).isnan().any()


def test_random_shifts_are_distinct_and_drawn_from_their_seed():
    def drawn(**more):
        return Average(count=10, draw="random", **more).wrap(nn.Identity(), 4).offsets

    assert len(set(drawn())) == 10
    assert drawn() == drawn() != drawn(seed=1)
    assert {value for pair in drawn() for value in pair} <= set(range(4))


def test_single_is_the_network():
    net = network()
    assert Single().wrap(net, 4) is net


def test_a_copy_of_an_average_runs_its_own_network():
    wrapper = Average().wrap(network(downsamplings=2), 4)
    wrapper.at_once, wrapper.size = lambda _: iter(()), (8, 8)
    twin = copy.deepcopy(wrapper)
    assert twin.at_once is None
    assert twin.network is not wrapper.network
    twin.network.head.fc.weight.data.zero_()
    assert wrapper.network.head.fc.weight.abs().max() > 0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Average(count=5),
            r"infer\.count=5 is not a square.*give 4, or infer\.draw=random",
        ),
        (lambda: Average(count=0), r"infer\.count=0 is out of range"),
        (lambda: Average(draw="sobol"), "sobol is not known.*grid, random"),
        (
            lambda: Average(count=9).wrap(nn.Identity(), 2),
            "more than the 4 shifts of a period of 2",
        ),
        (lambda: Phases(over="image"), "image is not known.*stride, torus"),
        (lambda: Phases(period=0), r"infer\.period=0"),
        (lambda: CropSelection(filter="sobel"), "sobel is not known.*blob, random"),
        (lambda: CropSelection(filter_size=4), r"filter_size=4 is even.*give 5"),
        (lambda: CropSelection(crop=8).wrap(nn.Identity(), 1)(images()), "leave no place in views"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()


def test_a_misspelt_attribute_is_refused():
    with pytest.raises(UsageError, match="did you mean 'moves_by_content'"):
        type("Mine", (Infer,), {"moves_by_contents": True})


def test_an_average_over_no_shifts_of_its_own_is_the_torus():
    assert ShiftAverage(nn.Identity(), None).passes((8, 12)) == 96
    assert len(ShiftAverage(nn.Identity(), None).shifts((8, 12))) == 96


def test_from_python_a_wrapper_is_a_network_like_any_other():
    wrapper = Phases().wrap(network(downsamplings=2).float(), 4)
    found = measure(wrapper, images().float(), [0, 1, 2], ALL, engine="dense", resamples=2)
    direct = numbers(wrapper, images().float())
    assert set(found.metrics["engine"]) == {"dense"}
    dense = found.metrics.set_index("metric")["value"]
    for name in (*EXACT, "accuracy"):
        assert dense[name] == direct[name]
    assert dense["exact_fraction"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("infer", ["phases", Average(count=4), "canonical", "crop_selection"])
@pytest.mark.parametrize("engine", ["direct", "auto"])
def test_measure_takes_a_wrapper_by_name_or_with_its_settings(infer, engine):
    net, x = network(downsamplings=2).float(), images().float()
    of_option = measure(net, x, [0, 1, 2], "translate", infer=infer, engine=engine, resamples=2)
    options = {"phases": Phases(), "canonical": Canonical(), "crop_selection": CropSelection()}
    wrapper = options.get(infer, infer) if isinstance(infer, str) else infer
    by_hand = measure(wrapper.wrap(net, 4), x, [0, 1, 2], "translate", resamples=2)
    assert (of_option.predictions.top1 == by_hand.predictions.top1).all()
    pd.testing.assert_series_equal(of_option.metrics["value"], by_hand.metrics["value"], atol=1e-6)


def test_measure_averages_what_a_function_returns():
    net = network(downsamplings=2).float()
    given = measure(lambda x: {"logits": net(x)}, images().float(), [0, 1, 2], ALL,
                    infer=Phases(period=4), resamples=2)  # fmt: skip
    assert given.metrics.set_index("metric")["value"]["exact_fraction"] == 1


@pytest.mark.parametrize(
    ("infer", "sentence"),
    [
        ("fases", "infer='fases' is not known .did you mean 'phases'"),
        (Phases, "is not a test-time wrapper; give a name, e.g. 'phases'"),
        (Average(count=400), "more than the 16 shifts of a period of 4 px"),
    ],
)
def test_measure_refuses_wrappers_that_do_not_fit(infer, sentence):
    net = network(downsamplings=2).float()
    with pytest.raises(UsageError, match=sentence):
        measure(net, images().float(), [0, 1, 2], infer=infer)
