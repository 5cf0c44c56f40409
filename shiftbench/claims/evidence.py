"""The evidence for claims: finished runs with their settings and metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from shiftbench.claims.names import is_in
from shiftbench.inference.sample import Floats

Rows = Callable[[Collection[str]], pd.DataFrame]
# Settings that name the weights of external networks.
WEIGHTS = ("model.weights", "model.target")
# Settings by which a network departs from those that most claims are about.
VARIANTS = (
    "activation", "infer", "model.placement", "model.match_macs", "model.anchor", "pool.taps",
    "pool.gain", "pool.max_first",
)  # fmt: skip


@dataclass(frozen=True)
class Number:
    """A row of ``metrics.csv``: value, interval over images, shifts per image, images."""

    value: float
    low: float
    high: float
    n_shifts: int = 0
    n_images: int = 0


@dataclass(frozen=True)
class Influence:
    """The influence of each test image on a metric, see :mod:`shiftbench.metric.influence`.

    Attributes:
        images: A digest of the test images.
        numbers: ``(N,)`` with mean 0.
    """

    images: str
    numbers: Floats = field(repr=False)

    @property
    def error(self) -> float:
        """The standard error of the metric over images."""
        return float(np.std(self.numbers, ddof=1) / np.sqrt(len(self.numbers)))


Influences = Callable[[str, str], "Influence | None"]


def _unknown(protocol: str, metric: str) -> Influence | None:
    return None


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        run_id: Name of the run.
        labels: Its labels in tables, ``{"pool": "blur[filter_size=5]", "seed": 0}``.
        settings: Every setting that can change a result, flattened: ``{"pool.filter_size": 5}``.
        numbers: Its metrics by (protocol, metric).
        influence: Returns the influence of each image on a metric under a protocol, None if the
            run does not have it.
        smoke: Whether its experiment marks its numbers as no evidence, see ``Study``.
        params: Number of parameters of its network, 0 if unknown.
    """

    run_id: str
    labels: Mapping[str, Any]
    settings: Mapping[str, Any]
    numbers: Mapping[tuple[str, str], Number] = field(repr=False)
    influence: Influences = field(default=_unknown, repr=False)
    smoke: bool = False
    params: int = 0

    @property
    def seed(self) -> int:
        """Seed of its random streams."""
        return int(self.labels["seed"])

    @property
    def protocols(self) -> list[str]:
        """The protocols under which it was measured."""
        return list(dict.fromkeys(protocol for protocol, _ in self.numbers))

    def option(self, group: str) -> str:
        """Return the option of a group: ``blur`` of ``blur[filter_size=5]``."""
        return str(self.labels.get(group, "")).partition("[")[0]

    def has(self, protocol: str, *metrics: str) -> bool:
        """Whether it has all of these metrics under a protocol."""
        return all((protocol, metric) in self.numbers for metric in metrics)

    @property
    def pool(self) -> str:
        """The pool, with the taps of its blur if they are not the default: ``blur5``, ``aps3``."""
        name, taps = self.option("pool"), self.settings.get("pool.filter_size")
        usual = {"blur": 3, "aps": 1}
        return f"{name}{taps}" if name in usual and taps not in (None, usual[name]) else name

    @property
    def is_variant(self) -> bool:
        """Whether its network has a setting of :data:`VARIANTS`, each recorded if not default."""
        return any(is_in(key, VARIANTS) for key in self.settings)

    @property
    def is_trained(self) -> bool:
        """Whether its weights are trained or loaded, not only initialised at random."""
        given = any(self.settings.get(key) for key in ("checkpoint", *WEIGHTS))
        return given or int(self.settings.get("train.epochs") or 0) > 0


@dataclass(frozen=True)
class Evidence:
    """All evidence by which claims are judged.

    Attributes:
        runs: The finished runs.
        shifts: Returns the rows of ``shifts.csv`` of the runs with these names.
        layers: Returns the rows of ``layers.csv`` of the runs with these names.
    """

    runs: Sequence[Run]
    shifts: Rows = field(default=lambda _: pd.DataFrame(), repr=False)
    layers: Rows = field(default=lambda _: pd.DataFrame(), repr=False)

    def without_variants(self) -> Evidence:
        """Return the evidence of the runs that are no variants."""
        runs = [run for run in self.runs if not run.is_variant]
        return replace(self, runs=runs)
