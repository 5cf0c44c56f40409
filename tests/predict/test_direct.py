"""The direct engine gives the same results as a plain loop over all views."""

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.data.images import TensorSplit
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.table_columns import answers
from shiftbench.shift.circular import Circular
from shiftbench.shift.translate import Translate


class Linear(nn.Module):
    """A network that depends on positions, so that every shift can change its answer."""

    def __init__(self, size=6, classes=4, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(channels * size * size, classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


def inputs(count=5, size=6):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))


LABELS = torch.tensor([0, 1, 2, 3, 0])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize(
    "protocol",
    [Circular(sampling="all"), Circular(sampling="draws", draws=5), Translate(2)],
    ids=str,
)
def test_the_table_is_that_of_the_plain_loop(protocol, batch_size):
    net, images = Linear().eval(), inputs()
    split = TensorSplit(images, LABELS)
    network = PixelModel(net, [0.0] * 3, [1.0] * 3, torch.device("cpu"))
    table = predict(network, split, (3, 6, 6), protocol, Options(batch_size=batch_size))
    shifts = torch.from_numpy(table.shifts).expand(5, -1, -1)
    for n in range(5):
        for k in range(shifts.shape[1]):
            view = protocol.views(ShownSplit.of(images), torch.tensor([n]), shifts[n, k : k + 1])
            probability = net(view).softmax(1)[0].detach()
            assert table.top1[n, k] == int(probability.argmax())
            assert table.p_top1[n, k] == pytest.approx(float(probability.max()), abs=1e-6)
            assert table.p_true[n, k] == pytest.approx(float(probability[LABELS[n]]), abs=1e-6)
            assert table.rank_true[n, k] == int((probability > probability[LABELS[n]]).sum())
            base = probability[table.top1[n, 0]]
            assert table.p_base[n, k] == pytest.approx(float(base), abs=1e-6)
            if table.previous[k] >= 0:
                earlier = probability[table.top1[n, table.previous[k]]]
                assert table.p_previous[n, k] == pytest.approx(float(earlier), abs=1e-6)
            else:
                assert np.isnan(table.p_previous[n, k])


def test_the_table_says_what_was_measured():
    table = measure(Linear(), inputs(), LABELS, Translate(1, "edge")).predictions
    assert table.meta["engine"] == "direct"
    assert table.meta["exhaustive"] is True
    assert table.meta["num_classes"] == 4
    assert table.meta["protocol"]["name"] == "translate"
    assert table.meta["protocol"]["fill"] == "edge"


def test_nan_answers_are_said_to_be_none():
    logits = torch.tensor([[[1.0, 2.0], [torch.nan, 1.0]]])
    columns = answers(logits, torch.tensor([1]), torch.tensor([-1, 0]))
    assert columns["top1"].tolist() == [[1, -1]]
    assert columns["rank_true"].tolist() == [[0, 2]]
    assert bool(columns["p_top1"][0, 1].isnan())


def test_equal_logits_are_ranked_by_their_index():
    columns = answers(torch.zeros(1, 1, 3), torch.tensor([2]), torch.tensor([-1]))
    assert columns["top1"].item() == 0
    assert columns["rank_true"].item() == 2


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4], [-1, 0, 0, 0, 0]])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(ShiftbenchError, match="labels must be 0 to 3"):
        measure(Linear(), inputs(), labels, "circular")


def test_logits_of_another_shape_are_refused():
    with pytest.raises(ShiftbenchError, match=r"returned shape \(1, 3, 6, 6\)"):
        measure(nn.Identity(), inputs(), LABELS, "circular")


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (torch.zeros(3, 6, 6), [0], r"needs \(N, C, H, W\)"),
        (torch.zeros(0, 3, 6, 6), [], "none of them 0"),
        (torch.zeros(2, 3, 6, 6), [0], "2 whole numbers"),
        (torch.zeros(1, 3, 6, 6), [0.5], "whole numbers"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(images, labels, sentence):
    with pytest.raises(UsageError, match=sentence):
        measure(Linear(), images, labels)


def test_measure_takes_numpy_and_leaves_the_mode_as_it_was():
    net = Linear()
    net.train()
    result = measure(net, inputs().numpy(), np.array([0, 1, 2, 3, 0]), Circular(sampling="all"))
    assert net.training
    assert list(result.shifts.columns[:2]) == ["dy", "dx"]
    assert len(result.shifts) == 36
    assert result.predictions.n_shifts == 36
    assert set(result.metrics["engine"]) == {"direct"}


def test_measure_normalises_after_the_shift():
    """Black is 0 before normalisation, so a black border consists of normalised black pixels."""
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.clone())
            return x.mean((2, 3))

    images = torch.full((1, 3, 4, 4), 128, dtype=torch.uint8)
    measure(Spy(), images, [0], Translate(1), mean=[0.5] * 3, std=[0.25] * 3)
    moved = torch.cat(seen)
    assert float(moved.min()) == pytest.approx(-2)
    assert float(moved.max()) == pytest.approx((128 / 255 - 0.5) / 0.25, abs=1e-5)


def test_an_unknown_protocol_is_named():
    with pytest.raises(UsageError, match="did you mean 'circular'"):
        measure(Linear(), inputs(), LABELS, "circlar")


def test_one_image_has_a_value_and_no_interval():
    result = measure(Linear(), inputs(1), [0], Circular(sampling="all"))
    row = result.metrics.set_index("metric").loc["consistency"]
    assert 0 <= row["value"] <= 1
    assert np.isnan(row["ci_low"])


def test_half_precision_networks_are_fed_half_precision():
    result = measure(Linear().to(torch.bfloat16), inputs(), LABELS, Translate(1))
    assert result.predictions.n_images == 5
