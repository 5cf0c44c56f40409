"""What differs between two configurations, metric by metric, paired by seed and by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.inference.kinds import IMAGES
from shiftbench.metric import METRICS, Difference, about, compare
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.paired_interval import STUDENT, is_over_seeds, paired_intervals
from shiftbench.report.per_image import Measured, Pair, PerImage, same_images, values_of
from shiftbench.report.records import RunRecord
from shiftbench.report.repetitions import Pairing
from shiftbench.report.summary import metric_names
from shiftbench.storage.result_files import METRIC_COLUMNS, read_csv

SEEDS_AND_IMAGES, SEEDS = "seeds-and-images", "seeds"
LACKING = (
    "some intervals are over seeds alone, about these test images: what each image adds is not "
    "known of all runs. shiftbench report --remeasure writes it from their prediction tables"
)


@dataclass(frozen=True)
class Row:
    """How a metric differs under a protocol.

    Attributes:
        protocol: Its name.
        difference: B − A, both the mean over seeds, with its interval.
        seeds: Over how many.
        kind: What the interval is over, as :func:`shiftbench.inference.kinds.over` says it.
    """

    protocol: str
    difference: Difference
    seeds: int
    kind: str

    @property
    def better(self) -> str:
        """``A`` or ``B``; '' where the interval contains 0, or says nothing of other seeds."""
        return better(self.difference) if is_over_seeds(self.kind) else ""

    @property
    def verdict(self) -> str:
        """The same, or ``differs`` for a metric without a better direction."""
        if self.better or not is_over_seeds(self.kind):
            return self.better
        return "differs" if self.difference.ci_low > 0 or self.difference.ci_high < 0 else ""


@dataclass(frozen=True)
class Compared:
    """The rows of two configurations, and sentences on what is missing.

    Attributes:
        rows: One for every protocol and metric.
        left_out: Why protocols are missing.
        note: Why intervals are not over images as well, though they were asked for; or ''.
    """

    rows: list[Row]
    left_out: list[str]
    note: str = ""


@dataclass(frozen=True)
class _Runs:
    """The runs of a comparison and what is known of them."""

    pairs: Mapping[int, tuple[RunRecord, RunRecord]]
    names: Mapping[int, Pair]
    metrics: Sequence[str]
    measured: Measured

    @classmethod
    def of(cls, pairing: Pairing) -> _Runs:
        """Read the numbers of the runs, which folders tell apart: names may be the same."""
        folders = [run.folder for pair in pairing.pairs.values() for run in pair]
        known = {str(folder): folder for folder in folders}
        files = [
            read_csv(folder / "metrics.csv", METRIC_COLUMNS).assign(run_id=name)
            for name, folder in known.items()
        ]
        metrics = pd.concat(files)
        names = {seed: (str(a.folder), str(b.folder)) for seed, (a, b) in pairing.pairs.items()}
        measured = Measured(values_of(metrics), PerImage(known, tables=True))
        return cls(pairing.pairs, names, metric_names(metrics), measured)

    def protocols(self, wanted: str | None) -> list[str]:
        """Return the protocols that all runs were measured under, or the one that is wanted."""
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
    """Return what differs between the runs of A and of B.

    Args:
        pairing: The runs.
        protocol: The only one to compare under.
        over: ``seeds-and-images``, or ``seeds`` for Student's t about these test images alone.

    Raises:
        UsageError: If there is no such protocol, or one pair of runs for an interval over seeds.
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
    """Yield the rows of what tables do not give: several seeds, no tables, metrics of others."""
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
    """Raise where a pair was not measured on the same images by the same protocol."""
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


def better(difference: Difference) -> str:
    """Return which is better: ``A``, ``B``, or nothing where the interval contains 0.

    >>> better(Difference("consistency", 0.8, 0.9, 0.1, 0.05, 0.15))
    'B'
    >>> better(Difference("top1_change", 0.1, 0.2, 0.1, 0.05, 0.15))
    'A'
    >>> better(Difference("consistency", 0.8, 0.9, 0.1, -0.05, 0.15))
    ''
    """
    known = about(difference.metric)
    higher = known.higher_is_better if known else None
    apart = difference.ci_low > 0 or difference.ci_high < 0
    if not apart or higher is None:
        return ""
    return "B" if (difference.difference > 0) == higher else "A"
