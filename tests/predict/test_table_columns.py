"""The columns that a table keeps of logits, for known, infinite and NaN logits."""

import math

import pytest
import torch

from shiftbench.predict.table_columns import answers

INF, NAN = math.inf, math.nan
E = math.e


def columns(*views, label=1, previous=None):
    """The columns of an image whose views have these logits, as lists by name."""
    previous = torch.tensor(previous or [-1] * len(views))
    found = answers(torch.tensor([views]), torch.tensor([label]), previous)
    return {name: values[0].tolist() for name, values in found.items()}


def test_two_views_of_two_classes():
    found = columns([0.0, 1.0], [2.0, 0.0], previous=[-1, 0])
    assert found["top1"] == [1, 0]
    assert found["rank_true"] == [0, 1]
    sure, unsure = E**2 / (1 + E**2), E / (1 + E)
    assert found["p_top1"] == pytest.approx([unsure, sure], abs=1e-6)
    assert found["p_true"] == pytest.approx([unsure, 1 - sure], abs=1e-6)
    assert found["p_base"] == pytest.approx([unsure, 1 - sure], abs=1e-6)
    assert math.isnan(found["p_previous"][0])
    assert found["p_previous"][1] == pytest.approx(1 - sure, abs=1e-6)
    assert found["logit_change"] == [0, 2]
    assert found["logit_scale"] == 1


@pytest.mark.parametrize(
    ("logits", "answer", "probability", "rank"),
    [
        ([0.0, -INF, 0.0], 0, 0.5, 2),
        ([-INF, -INF, -5.0], 2, 1.0, 2),
        ([INF, 0.0, 9.0], 0, 1.0, 2),
        ([0.0, INF, INF], 1, 0.5, 0),
        ([INF, -INF, INF], 0, 0.5, 2),
        ([INF, INF, INF], 0, 1 / 3, 1),
        ([3e38, -3e38, 0.0], 0, 1.0, 2),
        ([0.0, 0.0, 0.0], 0, 1 / 3, 1),
        ([-1e9, 1.0, -1e9], 1, 1.0, 0),
        ([-1e4, -1e9, -INF], 0, 1.0, 1),
    ],
)
def test_infinite_and_masked_classes(logits, answer, probability, rank):
    found = columns(logits)
    assert found["top1"] == [answer]
    assert found["p_top1"] == pytest.approx([probability])
    assert found["rank_true"] == [rank]


def test_the_probability_of_a_class_that_is_never_answered_is_0():
    found = columns([0.0, -INF, 0.0])
    assert found["p_true"] == [0]


@pytest.mark.parametrize("logits", [[NAN, 2.0, 1.0], [INF, NAN, 0.0], [NAN] * 3, [-INF] * 3])
def test_no_answer(logits):
    found = columns([1.0, 0.0, 0.0], logits, [0.0, 0.0, 1.0], previous=[-1, 0, 1])
    assert found["top1"] == [0, -1, 2]
    assert found["rank_true"] == [1, 3, 2]
    for name in ("p_top1", "p_base", "p_true", "p_previous"):
        assert math.isnan(found[name][1])
    # The view one step earlier has no answer, so there is no class to give a probability for.
    assert math.isnan(found["p_previous"][2])
    assert not math.isnan(found["p_base"][2])


def test_a_base_view_without_answer_leaves_its_probability_open_everywhere():
    found = columns([NAN, 0.0], [0.0, 1.0])
    assert found["top1"] == [-1, 1]
    assert all(math.isnan(p) for p in found["p_base"])
    assert found["p_top1"][1] == pytest.approx(E / (1 + E))


@pytest.mark.parametrize("scale", [1e-12, 1e-30])
def test_tiny_logits_are_not_blurred_by_the_softmax(scale):
    """Their probabilities are equal in float32, but answers and ranks differ."""
    found = columns([1 * scale, 3 * scale, 2 * scale], label=2)
    assert found["top1"] == [1]
    assert found["rank_true"] == [1]
    assert found["p_top1"] == pytest.approx([1 / 3])
    assert found["logit_scale"] == pytest.approx(2 * scale)


def test_of_equal_logits_the_lower_class_is_answered_and_ranked_first():
    found = columns([1.0, 5.0, 5.0, 5.0], label=2)
    assert found["top1"] == [1]
    assert found["rank_true"] == [1]


def test_answers_of_float64_logits_are_those_of_float64():
    logits = torch.tensor([[[1.0, 1.0 + 1e-12]]], dtype=torch.float64)
    found = answers(logits, torch.tensor([0]), torch.tensor([-1]))
    assert found["top1"].item() == 1
    assert found["rank_true"].item() == 1
