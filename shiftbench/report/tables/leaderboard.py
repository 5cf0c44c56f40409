"""``leaderboard.csv``: the configurations of each data set and family, ranked by one metric."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from shiftbench.claims.evidence import Run
from shiftbench.claims.near_chance import guesses
from shiftbench.errors import ShiftbenchError, UsageError, require_one_of
from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.kinds import over
from shiftbench.metric import about
from shiftbench.report.load.published import evidence_of
from shiftbench.report.load.records import Collection, RunRecord
from shiftbench.report.load.times import mean_times, times_of
from shiftbench.report.tables.best import Best, higher_is_better
from shiftbench.report.tables.labels import text_of
from shiftbench.report.tables.leaderboard_labels import LeaderboardLabels
from shiftbench.report.tables.ranks import Ranking, ranking
from shiftbench.report.tables.summary import metrics_of
from shiftbench.settings.labels import parts_of

METRIC, PROTOCOL = "consistency", "circular"
PLAIN = ("max", "stride")  # the pools of a plain network; a resnet has no maximum
NEAR_CHANCE = "near chance"
LEADERBOARD_COLUMNS = (
    "table", "data", "family", "augment", "train", "rank_first", "rank_last", "unranked",
    "configuration", "config_id", "seeds", "metric", "protocol", "value", "sd", "ci_low",
    "ci_high", "kind", "params", "macs", "macs_ratio", "macs_of", "train_ms", "test_ms",
)  # fmt: skip
"""The columns before those of single metrics, ``<metric>_<protocol>``."""

Number = tuple[str, str]  # metric, protocol


@dataclass(frozen=True)
class Leaderboard:
    """Configurations that are ranked against each other.

    Attributes:
        title: Data set, family and augmentation.
        equal: What all of them have in common.
        metric: The metric that ranks them.
        protocol: The protocol under which it ranks them.
        rows: :data:`LEADERBOARD_COLUMNS` and a column ``<metric>_<protocol>`` for each metric and
            protocol, from the best mean down, then those that are not ranked.
        ranking: Their ranks.
        numbers: Metric and protocol of the columns behind :data:`LEADERBOARD_COLUMNS`.
        machines: What computed the runs.
    """

    title: str
    equal: str
    metric: str
    protocol: str
    rows: pd.DataFrame
    ranking: Ranking
    numbers: tuple[Number, ...] = ()
    machines: tuple[str, ...] = ()


def parse_ranking(text: str, summary: pd.DataFrame, protocol: str | None) -> tuple[str, str]:
    """Return the metric and the protocol of ``METRIC:PROTOCOL``, of which either may be missing.

    Args:
        text: The value of ``--leaderboard``.
        summary: The summary of the runs.
        protocol: The protocol if ``text`` names none; ``circular`` if it is None, too.

    Raises:
        UsageError: If no finished run has them, or the metric has no better direction.
    """
    metric, _, under = text.partition(":")
    metric, under = metric or METRIC, under or protocol or PROTOCOL
    protocols = [name for name in dict.fromkeys(text_of(summary["protocol"])) if name]
    if not protocols:
        raise UsageError(f"--leaderboard {metric}:{under}: no run is finished, nothing is ranked")
    require_one_of("--leaderboard METRIC", metric, metrics_of(summary))
    require_one_of("--leaderboard PROTOCOL", under, protocols)
    if higher_is_better(metric) is None:
        directed = [name for name in metrics_of(summary) if higher_is_better(name) is not None]
        raise UsageError(
            f"--leaderboard {metric}: neither direction of it is better, so it ranks nothing; "
            f"allowed: {', '.join(directed)}"
        )
    return metric, under


def leaderboards(
    collection: Collection, summary: pd.DataFrame, best: Best, metric: str, protocol: str
) -> tuple[list[Leaderboard], int]:
    """Return the rankings, and the number of configurations without this metric and protocol.

    Ranked against each other are configurations with equal data, model family, augmentation,
    training recipe and settings of the protocol. Networks near chance are listed without a rank:
    one that always gives the same answer has a consistency of 1
    (:func:`shiftbench.claims.near_chance.guesses`).

    Args:
        collection: The runs.
        summary: Their summary.
        best: Compares their metrics.
        metric: The metric that ranks them.
        protocol: The protocol under which it does.

    Raises:
        ShiftbenchError: If no configuration has this metric under this protocol.
    """
    runs: dict[str, list[RunRecord]] = {}
    for run in collection.done().values():
        runs.setdefault(run.config_id, []).append(run)
    measured = summary[(text_of(summary["protocol"]) == protocol) & summary[metric].notna()]
    if measured.empty:
        raise ShiftbenchError(
            f"--leaderboard {metric}:{protocol}: no finished run has {metric} under {protocol}; "
            "choose another pair, see summary.csv"
        )
    near = _near_chance(collection)
    keys = [_key(row, runs[str(row["config_id"])][0], protocol)
            for row in measured.to_dict("records")]  # fmt: skip
    found = []
    for key in dict.fromkeys(keys):
        rows = measured[[one == key for one in keys]]
        own = {name: runs[name] for name in map(str, rows["config_id"])}
        others = summary[summary["config_id"].isin(list(own))]
        found.append(_leaderboard(rows, others, own, near, best, metric, protocol))
    every = summary.drop_duplicates(["config_id", "settings", "pool"])
    return _titled(found), len(every) - len(measured)


def _near_chance(collection: Collection) -> set[str]:
    """Return the ``config_id`` of the networks near chance."""
    done = collection.done()
    by_config: dict[str, list[Run]] = {}
    for run in evidence_of(collection).runs:
        by_config.setdefault(done[run.run_id].config_id, []).append(run)
    return {name for name, own in by_config.items() if guesses(own)}


def family_of(model: str) -> str:
    """Return the family of a model's label.

    >>> family_of("vgg[width=4]"), family_of("torchvision[name=resnet50]")
    ('vgg', 'torchvision resnet50')
    """
    option, settings = parts_of(model)
    names = [one.partition("=")[2] for one in settings if one.startswith("name=")]
    return " ".join([option, *names])


def _key(row: Mapping[Any, Any], run: RunRecord, protocol: str) -> str:
    """Return what configurations that are ranked against each other have in common."""
    inside = ("data.", f"shift.{protocol}.")
    settings = {key: value for key, value in run.settings.items() if key.startswith(inside)}
    labels = [str(row[name]) for name in ("data", "augment", "train")]
    return json.dumps([labels, family_of(str(row["model"])), settings],
                      sort_keys=True, default=str)  # fmt: skip


def _leaderboard(
    rows: pd.DataFrame,
    others: pd.DataFrame,
    runs: Mapping[str, Sequence[RunRecord]],
    near: set[str],
    best: Best,
    metric: str,
    protocol: str,
) -> Leaderboard:
    """Return the ranking of the configurations in ``rows``.

    Args:
        rows: Their rows of the summary under the protocol.
        others: Their rows under all protocols.
        runs: Their runs by ``config_id``.
        near: The configurations near chance.
        best: Compares their metrics.
        metric: The metric.
        protocol: The protocol.
    """
    named = LeaderboardLabels.of(rows)
    ranked = [name for name in runs if name not in near]
    ranks = ranking(ranked, best, protocol, metric)
    times = {name: mean_times(map(times_of, own)) for name, own in runs.items()}
    means = {name: _numbers(others[others["config_id"] == name]) for name in runs}
    found = [
        {**_identity(row, ranks, named), "metric": metric, "protocol": protocol,
         **_ranked_number(row, best, metric, protocol), "train_ms": times[name].train,
         "test_ms": times[name].test,
         **{column_name(number): mean for number, mean in means[name].items()}}
        for name, row in zip(runs, rows.to_dict("records"), strict=True)
    ]  # fmt: skip
    frame = _sorted(_with_ratio(pd.DataFrame(found), rows, named), metric)
    machines = tuple(dict.fromkeys(one.machine for one in times.values() if one.machine))
    numbers = tuple(dict.fromkeys(number for own in means.values() for number in own))
    return Leaderboard(
        _title(frame.iloc[0]), named.equal, metric, protocol, frame, ranks, numbers, machines
    )


def _identity(row: Mapping[Any, Any], ranks: Ranking, named: LeaderboardLabels) -> dict[str, Any]:
    """Return what a configuration is, its ranks and its size."""
    name = str(row["config_id"])
    first, last = ranks.ranges.get(name, (math.nan, math.nan))
    return {
        "data": row["data"], "family": family_of(str(row["model"])), "augment": row["augment"],
        "train": row["train"], "rank_first": first, "rank_last": last,
        "unranked": "" if name in ranks.ranges else NEAR_CHANCE,
        "configuration": named.names[name], "config_id": name, "seeds": row["done"],
        "params": row["params"], "macs": row["macs"],
    }  # fmt: skip


def _ranked_number(
    row: Mapping[Any, Any], best: Best, metric: str, protocol: str
) -> dict[str, Any]:
    """Return mean, sd and interval; over seeds and images if the seeds differ, else over images."""
    value, sd = float(row[metric]), float(row[f"{metric}_sd"])
    low, high, kind = float(row[f"{metric}_ci_low"]), float(row[f"{metric}_ci_high"]), "images"
    seeds = best.seeds.get(str(row["config_id"]), {})
    sample = best.measured.sample(seeds, protocol, metric) if best.measured else None
    if sample is not None and len(sample.values) > 1:
        ends = crossed_interval(sample)
        if not math.isnan(ends[0]):
            known = about(metric)
            low, high = np.clip(ends, *(known.bounds if known else (-math.inf, math.inf))).tolist()
            kind = over(sample)
    kind = "" if math.isnan(low) else kind
    return {"value": value, "sd": sd, "ci_low": low, "ci_high": high, "kind": kind}


def column_name(number: Number) -> str:
    """Return the column of a metric under a protocol."""
    return "_".join(number)


def _numbers(rows: pd.DataFrame) -> dict[Number, float]:
    """Return the means over seeds of all metrics under all protocols that have them."""
    return {
        (name, str(row["protocol"])): float(row[name])
        for row in rows.to_dict("records")
        for name in metrics_of(rows)
        if row["protocol"] and not math.isnan(float(row[name]))
    }


def _with_ratio(frame: pd.DataFrame, rows: pd.DataFrame, named: LeaderboardLabels) -> pd.DataFrame:
    """Add the multiply-adds relative to the plain network: that with fewest other settings."""
    pools = dict(zip(map(str, rows["config_id"]), text_of(rows["pool"]), strict=True))
    for pool in PLAIN:
        plain = frame[frame["config_id"].map(pools) == pool]
        if len(plain):
            count = plain["config_id"].map(lambda name: len(named.settings[name]))
            one = plain.assign(count=count).sort_values(["count", "macs"]).iloc[0]
            ratio = frame["macs"] / one["macs"] if one["macs"] > 0 else math.nan
            return frame.assign(macs_ratio=ratio, macs_of=one["configuration"])
    return frame.assign(macs_ratio=math.nan, macs_of="")


def _sorted(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows from the best mean down, then those without a rank."""
    sign = -1 if higher_is_better(metric) else 1
    order = frame.assign(last=frame["unranked"] != "", mean=sign * frame["value"])
    keys = ["last", "mean", "rank_first", "configuration"]
    return frame.loc[order.sort_values(keys, kind="stable").index].reset_index(drop=True)


def _title(row: Mapping[str, Any] | pd.Series[Any]) -> str:
    return f"{parts_of(str(row['data']))[0]} · {row['family']} · augment={row['augment']}"


def _titled(found: Sequence[Leaderboard]) -> list[Leaderboard]:
    """Number the titles that several tables share; what differs is among what each has equal."""
    titles = [one.title for one in found]
    numbered = []
    for place, one in enumerate(found):
        number = titles[: place + 1].count(one.title)
        title = f"{one.title} ({number})" if titles.count(one.title) > 1 else one.title
        columns = [*LEADERBOARD_COLUMNS, *map(column_name, one.numbers)]
        numbered.append(replace(one, title=title, rows=one.rows.assign(table=title)[columns]))
    return numbered
