"""The influence of each test image on the metrics of runs, read on demand."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from shiftbench.claims.evidence import Influence
from shiftbench.errors import ShiftbenchError
from shiftbench.inference.sample import Floats, Sample
from shiftbench.metric.influence import NAME, Influences
from shiftbench.prediction_table import PredictionTable

log = logging.getLogger(__name__)

Key = tuple[str, str, str]  # run, protocol, metric
Pair = tuple[str, str]  # two runs


class PerImage:
    """The ``images.npz`` files of runs.

    Args:
        folders: Run folders by run name.
        metrics: Metrics to read; all by default.
        tables: Whether to compute the influences from prediction tables for runs that lack the
            file, which takes about a second for a large table.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        metrics: Collection[str] | None = None,
        *,
        tables: bool = False,
    ) -> None:
        self._folders, self._metrics, self._tables = folders, metrics, tables
        self._read: dict[tuple[str, str], Influences | None] = {}

    def of(self, run: str, protocol: str, metric: str, value: float) -> Influence | None:
        """Return the influences on a metric, None if they are unknown for this value."""
        found = self._content(run, protocol)
        rows = None if found is None else found.of(protocol, metric, value)
        return None if found is None or rows is None else Influence(found.images[protocol], rows)

    def images(self, run: str, protocol: str) -> str | None:
        """Return the digest of the test images, '' or None if it is unknown."""
        found = self._content(run, protocol)
        return None if found is None else found.images.get(protocol)

    def _content(self, run: str, protocol: str) -> Influences | None:
        path = self._folders[run] / NAME
        if (run, "") not in self._read:
            self._read[run, ""] = self._of_file(path) if path.is_file() else None
        whole = self._read[run, ""]
        if whole is not None or not self._tables:
            return whole
        if (run, protocol) not in self._read:
            self._read[run, protocol] = self._of_table(self._folders[run], protocol)
        return self._read[run, protocol]

    def _of_file(self, path: Path) -> Influences | None:
        try:
            return Influences.load(path, self._metrics)
        except ShiftbenchError as reason:
            log.warning("%s", reason)
            return None

    def _of_table(self, folder: Path, protocol: str) -> Influences | None:
        path = folder / "predictions" / f"{protocol}.npz"
        return (
            Influences.from_tables({protocol: PredictionTable.load(path)})
            if path.is_file()
            else None
        )


@dataclass(frozen=True)
class Measured:
    """The metrics of runs, and the influence of each test image on them.

    Attributes:
        values: Values by run, protocol and metric.
        images: Influences for the same runs.
    """

    values: Mapping[Key, float]
    images: PerImage = field(repr=False)

    def difference(
        self, pairs: Mapping[int, Pair], protocol: str, metric: str, *, over_images: bool = True
    ) -> Sample | None:
        """Return second − first for the pairs in which both have the metric, None if none has.

        Args:
            pairs: Pairs of runs by seed.
            protocol: Protocol under which both were measured.
            metric: Name of the metric.
            over_images: Whether to include the influence of each image.

        Returns:
            A sample with images if all pairs are known to share their images, otherwise without.
        """
        found = {
            seed: values
            for seed, pair in pairs.items()
            if not any(map(math.isnan, values := self.pair(pair, protocol, metric)))
        }
        if not found:
            return None
        differences = np.array([second - first for first, second in found.values()])
        parts = [
            self._images(pairs[seed], protocol, metric, both) for seed, both in found.items()
        ] if over_images else []  # fmt: skip
        return Sample(differences, _joined(parts), tuple(found))

    def sample(self, runs: Mapping[int, str], protocol: str, metric: str) -> Sample | None:
        """Return the values of a metric by seed, None if no run has it.

        Args:
            runs: Runs of one configuration by seed.
            protocol: Protocol under which they were measured.
            metric: Name of the metric.

        Returns:
            A sample with images if all runs are known to share their images, otherwise without.
        """
        values = {seed: self.values.get((run, protocol, metric), math.nan)
                  for seed, run in runs.items()}  # fmt: skip
        known = {seed: value for seed, value in values.items() if not math.isnan(value)}
        if not known:
            return None
        parts = [self.images.of(runs[seed], protocol, metric, known[seed]) for seed in known]
        return Sample(np.array(list(known.values())), _joined(parts), tuple(known))

    def pair(self, pair: Pair, protocol: str, metric: str) -> tuple[float, float]:
        """Return the values of both runs, NaN if a run lacks the metric."""
        first, second = (self.values.get((run, protocol, metric), math.nan) for run in pair)
        return first, second

    def protocols(self, run: str) -> list[str]:
        """Return the protocols that a run was measured under."""
        return self._by_run.get(run, [])

    @cached_property
    def _by_run(self) -> dict[str, list[str]]:
        found: dict[str, dict[str, None]] = {}
        for run, protocol, _ in self.values:
            found.setdefault(run, {})[protocol] = None
        return {run: list(protocols) for run, protocols in found.items()}

    def _images(
        self, pair: Pair, protocol: str, metric: str, values: tuple[float, float]
    ) -> Influence | None:
        first, second = (
            self.images.of(run, protocol, metric, value)
            for run, value in zip(pair, values, strict=True)
        )
        if first is None or second is None or not same_images(first.images, second.images):
            return None
        if len(first.numbers) != len(second.numbers):
            return None
        return Influence(first.images or second.images, second.numbers - first.numbers)


def same_images(first: str, second: str) -> bool:
    """Whether two digests are of the same images, as far as known."""
    return first == second or not (first and second)


def _joined(parts: Sequence[Influence | None]) -> dict[str, Floats]:
    known = [part for part in parts if part is not None]
    if not parts or len(known) < len(parts):
        return {}
    if len({(part.images, len(part.numbers)) for part in known}) > 1:
        return {}
    return {known[0].images: np.array([part.numbers for part in known])}


def values_of(metrics: pd.DataFrame) -> dict[Key, float]:
    """Return the values of ``results.csv`` by run, protocol and metric."""
    columns = (metrics[name].tolist() for name in ("run_id", "protocol", "metric", "value"))
    return {(run, protocol, name): float(value)
            for run, protocol, name, value in zip(*columns, strict=True)}  # fmt: skip
