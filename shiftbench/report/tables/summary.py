"""``summary.csv``: one row for every configuration and protocol, aggregated over its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from shiftbench.metric import METRICS
from shiftbench.report.load.records import (
    BROKEN,
    DONE,
    LABELS,
    STOPPED,
    Collection,
    RunRecord,
    WaitingJob,
    word_of,
)
from shiftbench.report.tables.interval_kinds import joined
from shiftbench.report.tables.labels import labels_of_job, unlabelled_settings
from shiftbench.report.tables.run_table import FIRST
from shiftbench.storage.result_files import STEP

SUMMARY_COLUMNS = (
    *LABELS, "settings", "config_id", "protocol", "params", "macs", "n_images", "n_shifts", "runs",
    "done", "failed", "stopped", "missing",
)  # fmt: skip
"""The columns before those of the metrics; see :func:`metric_columns`."""

ENDINGS = ("", "_sd", "_ci_low", "_ci_high", "_interval")


@dataclass
class Configuration:
    """The runs and jobs that differ only in their seed."""

    config_id: str
    order: tuple[int, int, int]
    runs: list[RunRecord] = field(default_factory=list)
    waiting: list[WaitingJob] = field(default_factory=list)


def counts(runs: Sequence[RunRecord], waiting: Sequence[WaitingJob]) -> dict[str, int]:
    """Return the number of expected runs and of runs per state; running ones count as missing."""
    states = [*(run.state for run in runs), *(job.state for job in waiting)]
    done = states.count(DONE)
    failed = sum(state in BROKEN for state in states)
    stopped = sum(word_of(state) == STOPPED for state in states)
    return {"runs": len(states), "done": done, "failed": failed, "stopped": stopped,
            "missing": len(states) - done - failed - stopped}  # fmt: skip


def summarise(collection: Collection) -> pd.DataFrame:
    """Return one row for every configuration and protocol.

    The columns are :data:`SUMMARY_COLUMNS`, ``step`` if ``metrics.csv`` has it, then five for every
    metric ``m``: ``m``, the mean over seeds; ``m_sd``, the sample standard deviation over seeds,
    empty for one; ``m_ci_low`` and ``m_ci_high``, the 95 % interval over images, averaged over the
    seeds, and ``m_interval``, the kind or kinds of interval. For the mean over seeds this interval
    is conservative: it is as wide as one seed's, although errors on different images average out
    over seeds. A metric that is undefined for one of the seeds is empty.

    ``runs`` is ``done`` + ``failed`` (including damaged) + ``stopped`` (by Ctrl-C, or process
    killed) + ``missing`` (waiting or running). A configuration without a finished run has one
    row, without protocol and metrics. A job without a run folder counts with its configuration if
    another seed of it has a run; otherwise it has such a row, labelled by its overrides.

    Rows are in the order of the sweeps, then those without a sweep in the order of their labels.
    """
    configurations = configurations_of(collection)
    settings = unlabelled_settings(
        {one.config_id: one.runs[0] for one in configurations if one.runs}
    )
    numbers = _numbers(collection)
    rows = [
        row
        for one in configurations
        for row in _rows(one, settings.get(one.config_id, ""), numbers)
    ]
    names = metric_names(collection.metrics)
    steps = [STEP] if STEP in collection.metrics else []
    return pd.DataFrame(rows, columns=[*SUMMARY_COLUMNS, *steps, *metric_columns(names)])


def metric_names(metrics: pd.DataFrame) -> list[str]:
    """Return the metrics that occur in the rows, in the order of the columns."""
    present = [str(name) for name in metrics["metric"].unique()]
    known = [name for name in (*FIRST, *METRICS) if name in present]
    return list(dict.fromkeys([*known, *present]))


def metrics_of(summary: pd.DataFrame) -> list[str]:
    """Return the metrics of a summary in the order of its columns."""
    return [str(name)[: -len("_sd")] for name in summary.columns if str(name).endswith("_sd")]


def metric_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of these metrics.

    >>> metric_columns(["accuracy"])
    ['accuracy', 'accuracy_sd', 'accuracy_ci_low', 'accuracy_ci_high', 'accuracy_interval']
    """
    return [f"{name}{ending}" for name in names for ending in ENDINGS]


def configurations_of(collection: Collection) -> list[Configuration]:
    """Return the configurations in the order of their rows."""
    found: dict[str, Configuration] = {}
    for run in collection.runs:
        new = Configuration(run.config_id, (run.order, 0, 0))
        found.setdefault(run.config_id, new).runs.append(run)
    for index, job in enumerate(collection.waiting):
        key = (
            job.config_id
            if job.config_id in found
            else f"{job.sweep} {' '.join(job.distinguishing)}"
        )
        new = Configuration("", (job.order, 1, index))
        found.setdefault(str(key), new).waiting.append(job)
    return sorted(found.values(), key=lambda one: one.order)


Numbers = Mapping[str, Mapping[str, dict[str, Any]]]


def _rows(one: Configuration, settings: str, numbers: Numbers) -> Iterator[dict[str, Any]]:
    if one.runs:
        labels = {name: one.runs[0].labels[name] for name in LABELS}
        settings = settings or ("" if any(labels.values()) else one.runs[0].run_id)
    else:
        labels, settings = labels_of_job(one.waiting[0])
    start = {
        **labels,
        "settings": settings,
        "config_id": one.config_id,
        **counts(one.runs, one.waiting),
    }
    protocols = numbers.get(one.config_id) or {"": {}}
    for protocol, values in protocols.items():
        yield {**start, "protocol": protocol, **values}


def _numbers(collection: Collection) -> Numbers:
    """Return the columns from ``metrics.csv`` for every configuration and protocol."""
    config_of = {run.run_id: run.config_id for run in collection.runs}
    rows = collection.metrics.assign(config_id=collection.metrics["run_id"].map(config_of))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for key, part in rows.groupby(["config_id", "protocol"], sort=False):
        config_id, protocol = map(str, key)
        shown = part.loc[part["metric"] == "shift_accuracy", "n_shifts"]
        found.setdefault(config_id, {})[protocol] = {
            "params": part["params"].iloc[0],
            "macs": part["macs"].iloc[0],
            "n_images": part["n_images"].max(),
            "n_shifts": shown.max() if len(shown) else part["n_shifts"].max(),
            STEP: part[STEP].iloc[0] if STEP in part else None,
        }
    for row in _over_seeds(rows).to_dict("records"):
        name = row["metric"]
        found[row["config_id"]][row["protocol"]] |= {
            name: row["mean"], f"{name}_sd": row["sd"],
            f"{name}_ci_low": row["ci_low"], f"{name}_ci_high": row["ci_high"],
            f"{name}_interval": row["interval"],
        }  # fmt: skip
    return found


def _over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean, sd and interval for every configuration, protocol and metric."""
    grouped = rows.groupby(["config_id", "protocol", "metric"], sort=False)
    result = grouped.agg(
        mean=("value", "mean"), sd=("value", "std"), ci_low=("ci_low", "mean"),
        ci_high=("ci_high", "mean"), interval=("interval", "first"), kinds=("interval", "nunique"),
        defined=("value", "count"), seeds=("value", "size"),
    )  # fmt: skip
    # Few metrics have intervals of several kinds; joining for all would dominate the run time.
    for key in result.index[result["kinds"] > 1]:
        result.loc[key, "interval"] = joined(grouped.get_group(key)["interval"])
    # A mean over only some of the seeds would be misleading in a table of means over all.
    partly = result["defined"] < result["seeds"]
    result.loc[partly, ["mean", "sd", "ci_low", "ci_high"]] = np.nan
    result.loc[partly, "interval"] = ""
    return result.reset_index()
