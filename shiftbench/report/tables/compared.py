"""Differences between two configurations in each metric, paired by seed and by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.inference.kinds import IMAGES
from shiftbench.metric import METRICS, Difference, compare
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.load.per_image import Measured, Pair, PerImage, same_images, values_of
from shiftbench.report.load.read_runs import read_metrics
from shiftbench.report.load.records import DAMAGED, RunRecord
from shiftbench.report.load.repetitions import Pairing
from shiftbench.report.tables.paired_interval import (
    STUDENT,
    direction,
    is_over_seeds,
    paired_intervals,
)
from shiftbench.report.tables.summary import metric_names

SEEDS_AND_IMAGES, SEEDS = "seeds-and-images", "seeds"
LACKING = (
    "some intervals are over seeds alone, about these test images: what each image adds is not "
    "known of all runs. shiftbench report --remeasure writes it from their prediction tables"
)


@dataclass(frozen=True)
class Row:
    """The difference of a metric under a protocol.

    Attributes:
        protocol: Name of the protocol.
        difference: B − A of the means over seeds, with its interval.
        seeds: Number of seeds.
        kind: What the interval covers, from :func:`shiftbench.inference.kinds.over`.
    """

    protocol: str
    difference: Difference
    seeds: int
    kind: str

    @property
    def better(self) -> str:
        """``A`` or ``B``; '' if the interval contains 0 or does not cover other seeds."""
        return "" if self.verdict == "differs" else self.verdict

    @property
    def verdict(self) -> str:
        """As ``better``, or ``differs`` for a metric without a better direction."""
        if not is_over_seeds(self.kind):
            return ""
        one = self.difference
        found = direction(one.metric, one.ci_low, one.ci_high)
        return {"better": "B", "worse": "A"}.get(found, found)


@dataclass(frozen=True)
class Compared:
    """The differences of two configurations, and sentences on what is missing.

    Attributes:
        rows: One for every protocol and metric.
        left_out: Reasons why protocols are missing.
        note: Why intervals do not cover images although requested; '' otherwise.
    """

    rows: list[Row]
    left_out: list[str]
    note: str = ""


@dataclass(frozen=True)
class _Runs:
    """The runs of a comparison with their metrics."""

    pairs: Mapping[int, tuple[RunRecord, RunRecord]]
    names: Mapping[int, Pair]
    metrics: Sequence[str]
    measured: Measured

    @classmethod
    def of(cls, pairing: Pairing) -> _Runs:
        """Read the metrics of the runs, keyed by folder since run names may coincide."""
        folders = [run.folder for pair in pairing.pairs.values() for run in pair]
        known = {str(folder): folder for folder in folders}
        metrics = pd.concat(_metrics(run) for pair in pairing.pairs.values() for run in pair)
        names = {seed: (str(a.folder), str(b.folder)) for seed, (a, b) in pairing.pairs.items()}
        measured = Measured(values_of(metrics), PerImage(known, tables=True))
        return cls(pairing.pairs, names, metric_names(metrics), measured)

    def protocols(self, wanted: str | None) -> list[str]:
        """Return the protocols that all runs were measured under, or only the requested one."""
        ours, theirs = (
            [self.measured.protocols(pair[side]) for pair in self.names.values()] for side in (0, 1)
        )
        common = [name for name in ours[0] if all(name in one for one in (*ours, *theirs))]
        if wanted is None and common:
            return sorted(common)
        if wanted in common:
            return [str(wanted)]
        what = f"--protocol {wanted}" if wanted else "a shift protocol"
        have = [", ".join(sorted(set().union(*side))) or "none" for side in (ours, theirs)]
        raise UsageError(f"the runs do not share {what}; A has {have[0]}, B has {have[1]}")


def compared(
    pairing: Pairing, protocol: str | None = None, over: str = SEEDS_AND_IMAGES
) -> Compared:
    """Return the differences between the runs of A and of B.

    Args:
        pairing: The runs.
        protocol: The only protocol to compare; all by default.
        over: ``seeds-and-images``, or ``seeds`` for Student's t on these test images only.

    Raises:
        UsageError: If the protocol does not exist, or an interval over seeds has only one pair.
        ShiftbenchError: If nothing can be paired.
    """
    runs = _Runs.of(pairing)
    if over == SEEDS and len(runs.pairs) < 2:
        raise UsageError(
            f"--over seeds takes two seeds or more that A and B both have, got one pair of runs; "
            f"train both with seed=0,1,2 -m, or use --over {SEEDS_AND_IMAGES}"
        )
    rows: list[Row] = []
    left_out = []
    for name in runs.protocols(protocol):
        try:
            rows += _rows(runs, name, over)
        except ShiftbenchError as reason:
            left_out.append(f"{name}: {reason}")
    if not rows:
        raise ShiftbenchError("; ".join(left_out) or "the runs have no metric in common")
    lacking = over == SEEDS_AND_IMAGES and any(row.difference.interval == STUDENT for row in rows)
    return Compared(rows, left_out, LACKING if lacking else "")


def _metrics(run: RunRecord) -> pd.DataFrame:
    """Return the rows of a run, identified by its folder.

    Raises:
        ShiftbenchError: If its result file is damaged.
    """
    rows, [checked] = read_metrics([run])
    if checked.state == DAMAGED:
        raise ShiftbenchError(f"{run.folder}: {checked.error}; run its command again")
    return rows.assign(run_id=str(run.folder))


def _rows(runs: _Runs, protocol: str, over: str) -> Iterator[Row]:
    if len(runs.pairs) == 1:
        [pair] = runs.pairs.values()
        paths = [run.folder / "predictions" / f"{protocol}.npz" for run in pair]
        if all(path.is_file() for path in paths):
            yield from _of_tables(paths, protocol)
            others = [metric for metric in runs.metrics if metric not in METRICS]
            yield from _of_samples(runs, protocol, over, others)
            return
    _require_same(runs, protocol)
    yield from _of_samples(runs, protocol, over, runs.metrics)


def _of_tables(paths: Sequence[Path], protocol: str) -> Iterator[Row]:
    """Return the rows of one pair of runs, from their prediction tables."""
    a, b = (PredictionTable.load(path) for path in paths)
    return (Row(protocol, difference, 1, IMAGES if difference.interval else "")
            for difference in compare(a, b))  # fmt: skip


def _of_samples(runs: _Runs, protocol: str, over: str, metrics: Sequence[str]) -> Iterator[Row]:
    """Yield the rows that tables do not give: several seeds, no tables, external metrics."""
    found = {
        metric: runs.measured.difference(
            runs.names, protocol, metric, over_images=over == SEEDS_AND_IMAGES
        )
        for metric in metrics
    }
    samples = {metric: sample for metric, sample in found.items() if sample is not None}
    intervals = paired_intervals(samples)
    for metric, sample in samples.items():
        both = [runs.measured.pair(runs.names[seed], protocol, metric) for seed in sample.seeds]
        a, b = (sum(values) / len(both) for values in zip(*both, strict=True))
        low, high, method, kind = intervals[metric]
        difference = Difference(metric, a, b, sample.mean, low, high, method)
        yield Row(protocol, difference, len(sample.seeds), kind)


def _require_same(runs: _Runs, protocol: str) -> None:
    """Raise if a pair was not measured on the same images by the same protocol."""
    for seed, (a, b) in runs.pairs.items():
        settings = [_settings(run, protocol) for run in (a, b)]
        if settings[0] != settings[1]:
            changed = sorted(
                {key for key, _ in set(settings[0].items()) ^ set(settings[1].items())}
            )
            raise ShiftbenchError(_cannot(seed, f"the same protocol ({', '.join(changed)} differ)"))
        images = [runs.measured.images.images(str(run.folder), protocol) for run in (a, b)]
        if not same_images(*(one or "" for one in images)):
            raise ShiftbenchError(_cannot(seed, f"the same images (A {images[0]}, B {images[1]})"))


def _settings(run: RunRecord, protocol: str) -> dict[str, str]:
    start = f"shift.{protocol}."
    return {key: str(value) for key, value in run.settings.items() if key.startswith(start)}


def _cannot(seed: int, what: str) -> str:
    return (
        f"the two runs of seed {seed} were not measured on {what}, so they cannot be paired; "
        "measure both networks on the same data with the same shift protocol"
    )
