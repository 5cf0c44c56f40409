"""What a claim is judged by: finished runs, their settings and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from shiftbench.inference.sample import Floats

Rows = Callable[[Collection[str]], pd.DataFrame]
OWN_MODELS = "shiftbench.model."
# Networks from elsewhere say which weights they bring.
WEIGHTS = ("model.weights", "model.target")


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
    """What each test image adds to a metric, see :mod:`shiftbench.metric.influence`.

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
        run_id: Its name.
        labels: What it is called in tables, ``{"pool": "blur[filter_size=5]", "seed": 0}``.
        settings: Every setting that can change a result, flattened: ``{"pool.filter_size": 5}``.
        numbers: Its metrics by (protocol, metric).
        influence: Returns what each image adds to a metric under a protocol, None where the run
            does not have it.
        smoke: Whether its experiment says that its numbers mean nothing, see ``Study``.
    """

    run_id: str
    labels: Mapping[str, Any]
    settings: Mapping[str, Any]
    numbers: Mapping[tuple[str, str], Number] = field(repr=False)
    influence: Influences = field(default=_unknown, repr=False)
    smoke: bool = False

    @property
    def seed(self) -> int:
        """The seed of its random streams."""
        return int(self.labels["seed"])

    @property
    def protocols(self) -> list[str]:
        """Under which protocols it was measured."""
        return list(dict.fromkeys(protocol for protocol, _ in self.numbers))

    def option(self, group: str) -> str:
        """Return the option of a group: ``blur`` of ``blur[filter_size=5]``."""
        return str(self.labels.get(group, "")).partition("[")[0]

    def has(self, protocol: str, *metrics: str) -> bool:
        """Whether it has all of these metrics under a protocol."""
        return all((protocol, metric) in self.numbers for metric in metrics)

    @property
    def pool(self) -> str:
        """The pool, the taps of a blur in its name where they are not 3: ``blur5``, ``aps3``."""
        name, taps = self.option("pool"), self.settings.get("pool.filter_size")
        usual = {"blur": 3, "aps": 1}
        return f"{name}{taps}" if name in usual and taps not in (None, usual[name]) else name

    @property
    def is_trained(self) -> bool:
        """Whether its weights are more than the draws they began as."""
        given = any(self.settings.get(key) for key in ("checkpoint", *WEIGHTS))
        return given or int(self.settings.get("train.epochs") or 0) > 0


@dataclass(frozen=True)
class Evidence:
    """Everything that claims are judged by.

    Attributes:
        runs: The finished runs.
        shifts: Returns the rows of ``shifts.csv`` of the runs with these names.
        layers: Returns the rows of ``layers.csv`` of the runs with these names.
    """

    runs: Sequence[Run]
    shifts: Rows = field(default=lambda _: pd.DataFrame(), repr=False)
    layers: Rows = field(default=lambda _: pd.DataFrame(), repr=False)
