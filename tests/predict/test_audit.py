"""The audit compares a finished table with forward passes of some views and detects errors."""

import logging
import re

import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.data.images import TensorSplit
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import ShiftbenchError
from shiftbench.predict.audit import audit
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.shift.circular import Circular

COUNT, CLASSES, SIZE = 9, 4, 6
PROTOCOL = Circular(sampling="all")
PLAN = PROTOCOL.plan(COUNT, (SIZE, SIZE))
LABELS = torch.arange(COUNT) % CLASSES


class Linear(nn.Module):
    """A network that depends on positions, with a transformation ``last`` of its logits."""

    def __init__(self, last=lambda logits: logits):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.last = nn.Linear(3 * SIZE * SIZE, CLASSES), last

    def forward(self, x):
        return self.last(self.linear(x.flatten(1)))


def images():
    return torch.rand(COUNT, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def pixel_model(net):
    return PixelModel(net.eval(), [0.0] * 3, [1.0] * 3, torch.device("cpu"))


def table(network):
    engine = DirectEngine(network, PROTOCOL, PLAN, 64)
    return engine.answer(ShownSplit.of(images()), LABELS, PLAN.rows(0, COUNT))


def audited(net, columns, part=range(COUNT), seed=0):
    split, generator = TensorSplit(images(), LABELS), torch.Generator().manual_seed(seed)
    shown = ShownSplit(split, (SIZE, SIZE))
    return audit(pixel_model(net), shown, PROTOCOL, PLAN, columns, part, generator)


def only(part, columns):
    return {name: values[part.start : part.stop] for name, values in columns.items()}


@pytest.mark.parametrize("seed", range(5))
def test_a_right_table_passes(seed):
    net = Linear()
    assert audited(net, table(pixel_model(net)), seed=seed) is None


@pytest.mark.parametrize("mask", [-1e9, -torch.inf, torch.inf, torch.nan])
def test_so_does_one_with_masked_classes_or_without_answers(mask):
    net = Linear(lambda z: torch.where(z > 0.2, mask, z))
    columns = table(pixel_model(net))
    assert len(set(columns["top1"].flatten().tolist())) > 1
    assert audited(net, columns) is None


TAMPERED = {
    "top1": [lambda v: (v + 1) % CLASSES, lambda v: torch.full_like(v, -1), torch.zeros_like],
    "rank_true": [lambda v: (v + 1) % CLASSES, lambda v: v + CLASSES],
    "p_top1": [lambda v: v + 1e-3, lambda v: v * torch.nan],
    "p_base": [lambda v: v - 1e-3],
    "p_true": [lambda v: v + 1e-3],
    "logit_change": [lambda v: 1.01 * v, lambda v: v + torch.inf],
}


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, all_ in TAMPERED.items() for change in all_]
)
def test_a_column_that_was_tampered_with_is_found(name, change):
    net = Linear()
    columns = table(pixel_model(net))
    columns[name] = change(columns[name])
    assert "shifted by" in audited(net, columns)


def test_a_quarter_of_the_views_is_enough():
    net = Linear()
    columns = table(pixel_model(net))
    odd = (PLAN.shifts % 2 == 1).all(1)
    columns["top1"][:, odd] = (columns["top1"][:, odd] + 1) % CLASSES
    assert "shifted by" in audited(net, columns)


def test_answers_that_belong_to_other_images_are_found():
    net = Linear()
    columns = {name: values.roll(1, 0) for name, values in table(pixel_model(net)).items()}
    assert audited(net, columns) is not None


def test_a_part_of_the_images_is_compared_with_those():
    net, part = Linear(), range(3, 7)
    columns = table(pixel_model(net))
    assert audited(net, only(part, columns), part) is None
    assert audited(net, only(range(2, 6), columns), part) is not None


def test_the_sentence_names_image_shift_and_both_answers():
    net = Linear(lambda z: torch.zeros_like(z).index_fill(1, torch.tensor([2]), 1.0))
    columns, part = table(pixel_model(net)), range(4, 5)
    columns["top1"] = torch.zeros_like(columns["top1"])
    dy, dx = r"-?\d", r"-?\d"
    reason = audited(net, only(part, columns), part)
    expected = rf"its answer to image 4 shifted by \({dy}, {dx}\) is 0, and 2 when that view is run"
    assert re.fullmatch(expected, reason)


def test_near_ties_may_be_answered_either_way():
    """Two classes have equal logits up to rounding."""
    net = Linear(lambda z: torch.cat([z[:, :1], z[:, :1] * (1 + 1e-7), z[:, :2] - 5], 1))
    columns = table(pixel_model(net))
    columns["top1"] = 1 - columns["top1"]
    assert audited(net, columns) is None
    columns["top1"] = torch.full_like(columns["top1"], 2)
    assert audited(net, columns) is not None


class Bright(nn.Module):
    """A network that depends on positions only for images of a certain brightness."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, CLASSES)

    def forward(self, x):
        bright = ((x.mean((1, 2, 3)) - 1).abs() < 0.1)[:, None]
        return self.linear(torch.where(bright, 30 * x[:, :, 0, 0], x.mean((2, 3))))


def brightened():
    """Images of which only those are bright that the self-check does not use."""
    x = images() * 0.5
    x[[1, 2, 4, 6, 7]] += 0.75
    return x


def test_what_the_self_check_could_not_see_is_found_and_measured_directly(package_log):
    with package_log.at_level(logging.WARNING, logger="shiftbench"):
        auto = measure(Bright(), brightened(), LABELS, PROTOCOL, resamples=2).predictions
    direct = measure(
        Bright(), brightened(), LABELS, PROTOCOL, engine="direct", resamples=2
    ).predictions
    assert "the dense engine's table is not exact: its answer to image" in package_log.text
    assert auto.meta["engine"] == "direct"
    assert (auto.top1 == direct.top1).all()
    assert "self_check_flips" not in auto.meta


def test_where_the_dense_engine_was_asked_for_that_is_an_error():
    with pytest.raises(ShiftbenchError, match="is not exact here: its answer to image"):
        measure(Bright(), brightened(), LABELS, PROTOCOL, engine="dense")


def test_one_process_of_several_does_not_measure_another_way_than_the_others():
    network, split = pixel_model(Bright()), TensorSplit(brightened(), LABELS)
    with pytest.raises(ShiftbenchError, match=r"use measure\.engine=direct"):
        predict(network, split, (3, SIZE, SIZE), PROTOCOL, Options(), part=range(4, 8))
