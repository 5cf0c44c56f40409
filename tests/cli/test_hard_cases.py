"""Networks and images that break careless code."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.errors import ShiftbenchError
from shiftbench.shift.circular import Circular
from shiftbench.shift.translate import Translate

PROTOCOLS = (Circular(sampling="all"), Circular(sampling="draws", draws=4, steps=2), Translate(1))


class Net(nn.Module):
    """A convolution and a position-aware read-out."""

    def __init__(self, channels=3, size=(6, 6), classes=4, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 4, 3, padding=1, padding_mode="circular")
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(4 * size[0] * size[1], classes)

    def forward(self, x):
        return self.fc(self.dropout(self.conv(x).relu()).flatten(1))


def inputs(count=3, size=(6, 6), channels=3):
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(1))


def values(result):
    return result.metrics.set_index("metric")["value"]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(6, 6), (5, 7), (3, 11), (8, 3)])
@pytest.mark.parametrize("count", [1, 2])
def test_one_image_grey_images_odd_and_oblong_sizes(protocol, channels, size, count):
    result = measure(
        Net(channels, size),
        inputs(count, size, channels),
        [0] * count,
        protocol,
        resamples=10,
    )
    assert result.predictions.n_images == count
    assert values(result)["consistency"] <= 1


@pytest.mark.parametrize("classes", [2, 1000])
def test_two_classes_and_a_thousand(classes):
    result = measure(Net(classes=classes), inputs(), [0, 1, 1], PROTOCOLS[0], resamples=10)
    assert result.predictions.num_classes == classes
    assert ("jaggedness" in values(result).index) == (classes > 5)  # the top 5 are not all


def test_a_flat_image_can_be_shifted_along_its_one_row():
    result = measure(
        Net(1, (1, 9)), inputs(2, (1, 9), 1), [0, 1], Circular(sampling="all", path="horizontal"),
        resamples=10,
    )  # fmt: skip
    assert result.predictions.n_shifts == 9


class NanWhenDark(Net):
    """NaN for images whose mean is small."""

    def forward(self, x):
        logits = super().forward(x)
        return logits.masked_fill(x.mean((1, 2, 3), keepdim=False)[:, None] < 0.2, torch.nan)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_nan_answers_count_as_wrong_and_are_said(protocol, package_log):
    images = inputs(4)
    images[1] *= 0.1
    with package_log.at_level(logging.WARNING, logger="shiftbench"):
        result = measure(NanWhenDark(), images, [0, 0, 0, 0], protocol, resamples=10)
    views = result.predictions.top1.shape[1]
    assert result.predictions.meta["nan_views"] == views
    assert (result.predictions.top1[1] == -1).all()
    assert f"no answer (NaN, or −inf for every class) for {views} views" in package_log.text
    rows = result.metrics.set_index("metric")
    assert rows.loc["accuracy", "value"] <= 0.75
    assert rows.loc["mean_absolute_change", "n_images"] == 3
    assert rows["value"].notna().all()


def test_a_network_in_train_mode_is_measured_in_eval_mode_said_and_put_back(package_log):
    net = Net(dropout=0.5).train()
    with package_log.at_level(logging.INFO, logger="shiftbench"):
        first = measure(net, inputs(), [0, 1, 2], PROTOCOLS[0], resamples=10)
    again = measure(net, inputs(), [0, 1, 2], PROTOCOLS[0], resamples=10)
    assert net.training
    assert "train mode" in package_log.text
    np.testing.assert_array_equal(first.predictions.p_top1, again.predictions.p_top1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_than_single(dtype):
    result = measure(Net().to(dtype), inputs(), [0, 1, 2], PROTOCOLS[2], resamples=10)
    assert result.predictions.p_top1.dtype == np.float32


def test_labels_and_logits_that_do_not_fit_are_said_before_any_view_is_made():
    with pytest.raises(ShiftbenchError, match=r"labels run from 0 to 9, but the network answers 4"):
        measure(Net(), inputs(), [0, 9, 1], PROTOCOLS[0])
    with pytest.raises(ShiftbenchError, match=r"it must map \(N, C, H, W\) to logits"):
        measure(nn.Conv2d(3, 4, 1), inputs(), [0, 1, 2], PROTOCOLS[0])
