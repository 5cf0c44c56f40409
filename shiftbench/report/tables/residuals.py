"""``residuals.csv``: the consistency of each configuration beyond what its accuracy explains."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from shiftbench.errors import ShiftbenchError, UsageError, did_you_mean
from shiftbench.inference.crossed import crossed_interval
from shiftbench.inference.kinds import over
from shiftbench.inference.line import Line, residual_influences
from shiftbench.inference.sample import Floats, Sample
from shiftbench.report.load.per_image import Measured, PerImage, values_of
from shiftbench.report.load.records import LABELS, Collection, RunRecord
from shiftbench.report.tables.grid import Cell, Column, Grid
from shiftbench.report.tables.grid import Line as Row
from shiftbench.report.tables.labels import labels, unlabelled_settings

log = logging.getLogger(__name__)

X, Y = "accuracy", "consistency"
ALL = "all"
FEWEST = 3  # networks on a line; two have no residual
RESIDUAL_COLUMNS = (
    *LABELS, "settings", "config_id", "protocol", "line", "networks", "slope", "seeds", X, Y,
    "residual", "sd", "ci_low", "ci_high", "kind",
)  # fmt: skip

Chooser = Callable[[RunRecord], bool]
By = Mapping[str, Mapping[int, RunRecord]]  # runs by configuration and seed


@dataclass(frozen=True)
class _Fit:
    """The residuals of all networks of a panel for one seed.

    Attributes:
        slope: Slope of the line.
        x: ``(M,)`` accuracies.
        y: ``(M,)`` consistencies.
        residuals: ``(M,)``.
        images: ``(M, N)`` influences of the images on the residuals by their digest, {} if some
            run lacks them.
    """

    slope: float
    x: Floats
    y: Floats
    residuals: Floats
    images: Mapping[str, Floats]


def residuals(collection: Collection, line: str = ALL) -> pd.DataFrame:
    """Return consistency − what a line over accuracy predicts, for every configuration.

    For each data set, protocol and seed, a least-squares line of consistency on accuracy goes
    through the networks; ``residual`` is the mean over seeds of the distance above it. The interval
    covers what ``kind`` says, as in ``differences.csv``; it includes the uncertainty of the line,
    which depends on the same images. Seeds are those that all configurations of a panel have.

    Args:
        collection: The runs.
        line: The networks that the line goes through: ``all``, or those with a label, ``pool=max``.

    Raises:
        UsageError: If no finished run has the label.
        ShiftbenchError: If no data set has three networks for a line.
    """
    done = list(collection.done().values())
    chosen = _chooser(line, done)
    measured = Measured(
        values_of(collection.metrics), PerImage({run.run_id: run.folder for run in done}, (X, Y))
    )
    settings = unlabelled_settings({run.config_id: run for run in reversed(done)})
    rows, skipped = [], list[str]()
    for protocol, runs in _panels(done, measured):
        if reason := _no_line(runs, protocol, chosen, measured):
            skipped.append(f"{protocol}: {reason}")
            continue
        rows += [
            {**next(iter(runs[config_id].values())).labels, "settings": settings[config_id],
             "config_id": config_id, "protocol": protocol, "line": line, **row}
            for config_id, row in _rows(runs, protocol, chosen, measured)
        ]  # fmt: skip
    if not rows:
        raise ShiftbenchError(
            f"--residuals {line}: no data set has {FEWEST} configurations on the line that differ "
            "in accuracy and share a seed; give more runs, or --residuals all"
        )
    for reason in skipped:
        log.warning("no residuals for %s", reason)
    return pd.DataFrame(rows, columns=list(RESIDUAL_COLUMNS))


def _chooser(line: str, done: Sequence[RunRecord]) -> Chooser:
    """Return whether a run belongs to the line, as a function.

    Raises:
        UsageError: If no run does.
    """
    group, equals, value = line.partition("=")
    if line == ALL:
        return lambda run: True
    if not equals or group not in LABELS:
        raise UsageError(
            f"--residuals {line} is not a label{did_you_mean(group, LABELS)}; it takes all, or "
            f"LABEL=VALUE, e.g. pool=max; labels: {', '.join(LABELS)}"
        )
    known = list(dict.fromkeys(run.labels[group] for run in done))
    if value not in known:
        raise UsageError(
            f"--residuals {line}: no finished run has it{did_you_mean(value, known)}; "
            f"{group}: {', '.join(known) or 'none, no run is finished'}"
        )
    return lambda run: run.labels[group] == value


def _panels(done: Sequence[RunRecord], measured: Measured) -> Iterator[tuple[str, By]]:
    """Yield the protocols of each data set with the runs that have both metrics."""
    found: dict[tuple[str, str], dict[str, dict[int, RunRecord]]] = {}
    for run in done:
        for protocol in measured.protocols(run.run_id):
            values = (measured.values.get((run.run_id, protocol, name), math.nan)
                      for name in (X, Y))  # fmt: skip
            if not any(map(math.isnan, values)):
                panel = found.setdefault((run.labels["data"], protocol), {})
                panel.setdefault(run.config_id, {})[run.seed] = run
    for (_, protocol), runs in found.items():
        yield protocol, runs


def _common_seeds(runs: By) -> list[int]:
    """Return the seeds that all configurations have."""
    return sorted(set.intersection(*(set(by_seed) for by_seed in runs.values())))


def _no_line(runs: By, protocol: str, chosen: Chooser, measured: Measured) -> str:
    """Return why a panel has no line, '' if it has one for every seed."""
    seeds = _common_seeds(runs)
    on = [by_seed for by_seed in runs.values() if chosen(next(iter(by_seed.values())))]
    if not seeds or len(on) < FEWEST:
        return f"{len(on)} configurations on the line, {len(seeds)} seeds that all have"
    for seed in seeds:
        found = {measured.values[by_seed[seed].run_id, protocol, X] for by_seed in on}
        if len(found) < 2:
            return "all configurations on the line have the same accuracy"
    return ""


def _rows(
    runs: By, protocol: str, chosen: Chooser, measured: Measured
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the numbers of every configuration of a panel that has a line."""
    seeds = _common_seeds(runs)
    on = np.array([chosen(next(iter(by_seed.values()))) for by_seed in runs.values()])
    fits = [_fit([by_seed[seed] for by_seed in runs.values()], protocol, on, measured)
            for seed in seeds]  # fmt: skip
    keys = {tuple(fit.images) for fit in fits}
    common = keys.pop() if len(keys) == 1 else ()
    for index, config_id in enumerate(runs):
        images = {key: np.array([fit.images[key][index] for fit in fits]) for key in common}
        sample = Sample(np.array([fit.residuals[index] for fit in fits]), images, tuple(seeds))
        low, high = crossed_interval(sample)
        yield config_id, {
            "networks": int(on.sum()), "slope": float(np.mean([fit.slope for fit in fits])),
            "seeds": len(seeds), X: float(np.mean([fit.x[index] for fit in fits])),
            Y: float(np.mean([fit.y[index] for fit in fits])), "residual": sample.mean,
            "sd": float(np.std(sample.values, ddof=1)) if len(seeds) > 1 else math.nan,
            "ci_low": low, "ci_high": high, "kind": "" if math.isnan(low) else over(sample),
        }  # fmt: skip


def _fit(runs: Sequence[RunRecord], protocol: str, on: np.ndarray, measured: Measured) -> _Fit:
    """Return the residuals of the networks of one seed from their line."""
    x, y = (
        np.array([measured.values[run.run_id, protocol, name] for run in runs]) for name in (X, Y)
    )
    line = Line.through(x[on], y[on])
    parts = [
        [measured.images.of(run.run_id, protocol, name, float(value))
         for run, value in zip(runs, values, strict=True)]
        for name, values in ((X, x), (Y, y))
    ]  # fmt: skip
    known = [one for part in parts for one in part if one is not None]
    alike = {(one.images, len(one.numbers)) for one in known}
    images: dict[str, Floats] = {}
    if len(known) == 2 * len(runs) and len(alike) == 1:
        rows = (np.array([one.numbers for one in part if one is not None]) for part in parts)
        images = {known[0].images: residual_influences(x, y, on, *rows)}
    return _Fit(line.slope, x, y, y - line.at(x), images)


def residual_grids(rows: pd.DataFrame, protocol: str | None = None) -> list[Grid]:
    """Return a table for every data set and protocol, from the highest residual down.

    Args:
        rows: From :func:`residuals`.
        protocol: The only protocol to show; all by default.
    """
    if protocol is not None:
        rows = rows[rows["protocol"] == protocol]
    several = rows["data"].nunique() > 1
    found = []
    for (data, name), part in rows.groupby(["data", "protocol"], sort=False):
        part = part.assign(label=labels(part)).sort_values("residual", ascending=False)
        lines = [Row((str(row["label"]),), _cells(row), str(data))
                 for row in part.to_dict("records")]  # fmt: skip
        kinds = " or ".join(kind for kind in dict.fromkeys(part["kind"]) if kind)
        first = part.iloc[0]
        through = "all" if first["line"] == ALL else f"those with {first['line']}"
        found.append(Grid(
            f"{data}, {name}" if several else str(name), ("configuration",),
            (Column.of(X), Column.of(Y), Column("residual", about="consistency above the line")),
            tuple(lines),
            common=f"line of consistency on accuracy through {through} "
            f"({first['networks']} configurations, slope {first['slope']:.2f})",
            notes=(f"residual [95 % interval over {kinds}]",) if kinds else (),
            mark="the interval leaves 0 out" if any(line.cells[2].mark for line in lines) else "",
            file="residuals.csv",
        ))  # fmt: skip
    return found


def _cells(row: Mapping[Any, Any]) -> tuple[Cell, ...]:
    plain = [Cell(f"{row[name]:.3f}", value=float(row[name])) for name in (X, Y)]
    text, low, high = (f"{row[name]:+z.3f}" for name in ("residual", "ci_low", "ci_high"))
    value = float(row["residual"])
    if math.isnan(row["ci_low"]):
        return *plain, Cell(text, value=value)
    mark = "better" if row["ci_low"] > 0 else "worse" if row["ci_high"] < 0 else ""
    return *plain, Cell(text, interval=(low, high), mark=mark, value=value)
