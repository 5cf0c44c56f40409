"""The dense form of test-time averages gives the answers of as many forward passes."""

import pytest
import torch

from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.infer.average import Average
from shiftbench.infer.canonical import Canonical
from shiftbench.infer.phases import Phases
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, MaxPool2d
from shiftbench.predict.dense_average import DenseAverage, dense_network, inner_network
from shiftbench.predict.phases import NotDenseError
from shiftbench.shift.plan import torus

SIZE = (8, 8)
INFERS = (Average(4), Average(3, "random"), Phases(), Phases(over="torus"), Phases(period=2))


def network(pool, head, padding="circular"):
    torch.manual_seed(0)
    return VGG(5, 3, SIZE, pool, head, padding, width=4, downsamplings=2).eval().double()


def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.slow
@pytest.mark.parametrize("infer", INFERS, ids=str)
@pytest.mark.parametrize(
    ("pool", "head"),
    [(MaxPool2d, FlattenHead), (BlurPool2d, GlobalAverageHead), (AdaptivePolyphase2d, FlattenHead)],
)
@torch.no_grad()
def test_answers_to_all_shifts_are_those_of_single_passes(pool, head, infer):
    average, x = infer.wrap(network(pool, head), 4), images()
    dense = dense_network(average)
    logits = dense(x)
    shifts = torus(SIZE).offsets
    rolled = torch.stack([x.roll(shift, (2, 3)) for shift in shifts.tolist()], dim=1)
    expected = average(rolled.flatten(0, 1)).reshape(len(x), len(shifts), -1)
    assert torch.allclose(logits[:, dense.columns(shifts)], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("infer", INFERS, ids=str)
@torch.no_grad()
def test_an_average_of_one_dense_pass_is_that_of_many_passes(infer):
    average, x = infer.wrap(network(MaxPool2d, FlattenHead), 4), images()
    expected = average(x)
    average.at_once, average.size = DenseAverage(average).of_offsets, SIZE
    assert torch.allclose(average(x), expected, rtol=0, atol=1e-11)
    larger = torch.cat([x, x], dim=3)
    with pytest.raises(RuntimeError):  # of another size: single passes, which the head refuses
        average(larger)


@torch.no_grad()
def test_all_phases_have_one_answer_to_the_last_bit():
    logits = dense_network(Phases().wrap(network(MaxPool2d, GlobalAverageHead), 4))(images())
    assert logits.shape == (2, 16, 5)
    assert torch.equal(logits, logits[:, :1].expand_as(logits))


def test_what_has_no_dense_form_says_why():
    plain = network(MaxPool2d, GlobalAverageHead)
    with pytest.raises(NotDenseError, match="moves views by their content"):
        dense_network(Canonical().wrap(plain, 4))
    with pytest.raises(NotDenseError, match="pads with zeros"):
        dense_network(Phases().wrap(network(MaxPool2d, GlobalAverageHead, "zeros"), 4))
    assert inner_network(plain) is plain
    assert inner_network(Phases().wrap(plain, 4)) is plain
