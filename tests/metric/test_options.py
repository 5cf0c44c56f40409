"""From options to metrics, and what is known of those whose code is not there."""

import json
import math
from functools import partial

import pytest

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.metric import METRICS, Metric, Terms, about, arrow_of, evaluate
from shiftbench.metric.about import About, description, remember
from shiftbench.metric.consistency import kway_consistency
from shiftbench.metric.example import example
from shiftbench.metric.options import STANDARD, metrics_of, metrics_of_settings, standard


def test_no_option_is_the_standard_ones():
    assert [one.name for one in metrics_of({})] == list(STANDARD)
    assert metrics_of({"standard": partial(standard)}) == list(standard())


def test_a_standard_metric_named_beside_them_is_there_once():
    chosen = {"kway_consistency": partial(kway_consistency, k=5), "standard": partial(standard)}
    assert metrics_of(chosen) == list(standard())


def test_an_option_with_other_arguments_has_a_name_of_its_own():
    [three] = metrics_of({"three": partial(kway_consistency, k=3)})
    usual = METRICS["kway_consistency"]
    assert (three.name, three.bounds, three.summary) == ("three", usual.bounds, usual.summary)
    assert three(example()).value == kway_consistency(example(), k=3).value
    assert three(example()).value > usual(example()).value
    [row] = evaluate(example(), names=[three], resamples=0)
    assert (row.metric, row.value) == ("three", three(example()).value)


def test_one_name_is_one_metric():
    other = {"kway_consistency": partial(kway_consistency, k=3), "standard": partial(standard)}
    with pytest.raises(UsageError, match=r"metric\.kway_consistency would be two metrics"):
        metrics_of(other)
    with pytest.raises(UsageError, match=r"metric\.accuracy would be two metrics"):
        metrics_of({"accuracy": partial(kway_consistency, k=3)})


def test_rows_do_not_depend_on_the_order_of_the_options():
    options = {"b": partial(kway_consistency, k=2), "standard": partial(standard),
               "a": partial(kway_consistency, k=3)}  # fmt: skip
    names = [one.name for one in metrics_of(options)]
    assert names == [*STANDARD, "a", "b"]


def test_a_finished_run_has_the_metrics_that_its_settings_name():
    assert metrics_of_settings({"train.lr": 0.1}) == list(standard())
    settings = {"metric.three._target_": "consistency.kway_consistency", "metric.three.k": 3,
                "metric.standard._target_": "options.standard"}  # fmt: skip
    *usual, three = metrics_of_settings(settings)
    assert usual == list(standard())
    assert three(example()).value == kway_consistency(example(), k=3).value
    with pytest.raises(ShiftbenchError, match=r"its metric mine is not of shiftbench \(my.mine\)"):
        metrics_of_settings({"metric.mine._target_": "my.mine"})


def unlike(table):
    """What it is. And more."""
    return Terms.mean(table.top1[:, 0], 1)


def test_a_description_says_what_a_report_needs():
    metric = Metric("unlike", unlike, False, (0.0, math.inf), ())
    remember(json.loads(json.dumps(description([metric]))))
    assert about("unlike") == About("unlike", False, (0.0, math.inf), "What it is. And more.")
    assert arrow_of("unlike") == metric.arrow == "↓"
    remember({"unlike": {**description([metric])["unlike"], "higher_is_better": True}})
    assert arrow_of("unlike") == "↓"  # a name has one meaning


@pytest.mark.parametrize(
    "content",
    [None, [], {"odd": None}, {"odd": {}}, {"odd": {"bounds": [0], "higher_is_better": None}},
     {"odd": {"bounds": "ab", "higher_is_better": True, "summary": ""}}, {3: {}}],
)  # fmt: skip
def test_what_is_no_description_is_not_believed(content):
    remember(content)
    assert about("odd") is None
    assert arrow_of("odd") == ""


def test_the_metrics_of_the_package_are_not_described_by_others():
    remember({"accuracy": {"bounds": [0, 1], "higher_is_better": False, "summary": "no"}})
    assert about("accuracy") is METRICS["accuracy"]
