"""Which configurations of a table cannot be distinguished from its best.

Multiple comparison with the best (Hsu, Multiple comparisons, 1996, ch. 4): the differences of all
configurations from the best one get simultaneous intervals; those whose interval contains 0 cannot
be distinguished from the best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shiftbench.inference.crossed import CONFIDENCE, Deviation, deviation
from shiftbench.inference.kinds import over
from shiftbench.inference.sample import Sample
from shiftbench.inference.simultaneous import simultaneous_confidence
from shiftbench.metric import about
from shiftbench.report.load.per_image import Measured, PerImage, values_of
from shiftbench.report.load.records import Collection

DRAWS = 10_000  # of the errors of a column: enough for 200 configurations
MEANING = "not distinguishable from the best: simultaneous 95 % intervals over "


@dataclass(frozen=True)
class Marked:
    """The configurations of a column that cannot be distinguished from its best.

    Attributes:
        config_ids: Their ids, including the best one's; empty if the errors are unknown.
        kinds: What the intervals cover, e.g. ``3 seeds × images``.
    """

    config_ids: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = ()


NONE = Marked()


def meaning(columns: Iterable[Marked]) -> str:
    """Return what the marks of a table mean, '' if it has none.

    >>> meaning([Marked(frozenset(["a"]), ("3 seeds × images",)), Marked()])
    'not distinguishable from the best: simultaneous 95 % intervals over 3 seeds × images'
    """
    kinds = dict.fromkeys(kind for column in columns for kind in column.kinds)
    return MEANING + " or ".join(kinds) if kinds else ""


@dataclass(frozen=True)
class Best:
    """Computes the marks of a column, cached.

    Attributes:
        seeds: Runs by seed, for every configuration.
        measured: The metrics of these runs.
    """

    seeds: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    measured: Measured | None = field(default=None, repr=False)
    _found: dict[tuple[str, ...], Marked] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, collection: Collection) -> Best:
        """Return an instance for the finished runs; their ``images.npz`` are read on demand."""
        done = collection.done()
        seeds: dict[str, dict[int, str]] = {}
        for name, run in done.items():
            seeds.setdefault(run.config_id, {}).setdefault(run.seed, name)
        present = map(str, collection.metrics["metric"].unique())
        directed = [name for name in present if higher_is_better(name) is not None]
        images = PerImage({name: run.folder for name, run in done.items()}, directed)
        return cls(seeds, Measured(values_of(collection.metrics), images))

    def marked(self, config_ids: Sequence[str], protocol: str, metric: str) -> Marked:
        """Return which of these configurations cannot be distinguished from the best of them.

        Args:
            config_ids: Rows of a table on the same data; repeated ones count once.
            protocol: Protocol under which they are compared.
            metric: The column. Without a better direction, a metric has no best.
        """
        key = (protocol, metric, *dict.fromkeys(config_ids))
        if key not in self._found:
            self._found[key] = self._marked(key[2:], protocol, metric)
        return self._found[key]

    def columns(
        self, rows: Sequence[Mapping[str, Any]], protocol: str, metrics: Sequence[str]
    ) -> dict[tuple[str, str], Marked]:
        """Return the marks by data set and metric; only rows on the same data are compared.

        Args:
            rows: Rows of a summary, with ``data`` and ``config_id`` among their columns.
            protocol: Protocol under which they are compared.
            metrics: The columns.
        """
        by_data: dict[str, list[str]] = {}
        for row in rows:
            by_data.setdefault(str(row["data"]), []).append(str(row["config_id"]))
        return {
            (data, name): self.marked(config_ids, protocol, name)
            for data, config_ids in by_data.items()
            for name in metrics
        }

    def _marked(self, config_ids: Sequence[str], protocol: str, metric: str) -> Marked:
        higher = higher_is_better(metric)
        means = self._means(config_ids, protocol, metric)
        if higher is None or len(means) < 2:
            return NONE
        best = (max if higher else min)(means, key=lambda one: means[one])
        samples: dict[str, Sample] = {}
        for other in means:
            if other != best:
                sample = self.difference(best, other, protocol, metric)
                if sample is None:
                    return NONE
                samples[other] = sample
        return _not_apart(best, samples)

    def difference(self, first: str, second: str, protocol: str, metric: str) -> Sample | None:
        """Return second − first over the seeds that both configurations have, None without any."""
        if self.measured is None:
            return None
        ours, theirs = self.seeds.get(first, {}), self.seeds.get(second, {})
        pairs = {seed: (ours[seed], run) for seed, run in theirs.items() if seed in ours}
        return self.measured.difference(pairs, protocol, metric)

    def _means(self, config_ids: Sequence[str], protocol: str, metric: str) -> dict[str, float]:
        """Return the means over all seeds for the configurations that have the metric."""
        values = self.measured.values if self.measured else {}
        found = {}
        for name in config_ids:
            runs = self.seeds.get(name, {}).values()
            seeds = [values[key] for run in runs if (key := (run, protocol, metric)) in values]
            mean = math.fsum(seeds) / len(seeds) if seeds else math.nan
            if not math.isnan(mean):
                found[name] = mean
        return found


NO_MARKS = Best()


def higher_is_better(metric: str) -> bool | None:
    """Whether higher is better, None for a metric without a better direction."""
    known = about(metric)
    return known.higher_is_better if known else None


def _not_apart(best: str, samples: Mapping[str, Sample]) -> Marked:
    """Return the best configuration and those that cannot be distinguished from it."""
    errors = {name: deviation(sample) for name, sample in samples.items()}
    if not all(is_known(samples[name], error) for name, error in errors.items()):
        return NONE
    level = joint_level([(errors[name], abs(one.mean)) for name, one in samples.items()])
    kept = [name for name, one in samples.items() if contains_zero(one.mean, errors[name], level)]
    kinds = tuple(dict.fromkeys(over(sample) for sample in samples.values()))
    return Marked(frozenset([best, *kept]), kinds)


def is_known(sample: Sample, error: Deviation) -> bool:
    """Whether the error is known; without images, identical seeds do not determine it."""
    return bool(sample.images) or (len(sample.values) > 1 and error.variance > 0)


def contains_zero(difference: float, error: Deviation, level: float) -> bool:
    """Whether the interval contains 0; without an error, only a difference of 0 does."""
    return difference == 0 or abs(difference) <= error.half(level)


def joint_level(found: Sequence[tuple[Deviation, float]]) -> float:
    """Return the confidence of each interval at which all hold simultaneously.

    It lies between that of a single interval and Bonferroni's. If both give the same marks, the
    former is returned without a simulation.
    """
    errors = [error for error, _ in found]
    number = sum(error.variance > 0 for error in errors)
    most = 1 - (1 - CONFIDENCE) / max(number, 1)
    if not any(error.half(CONFIDENCE) < size <= error.half(most) for error, size in found):
        return CONFIDENCE
    return simultaneous_confidence(errors, draws=DRAWS)
