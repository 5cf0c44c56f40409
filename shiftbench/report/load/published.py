"""Selection of the published findings that a report judges, and the evidence for the claims."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Names
from pathlib import Path

import pandas as pd
from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from shiftbench.claims import CLAIMS, Evidence, Judged, Number, Run, find_claim, judge
from shiftbench.claims.evidence import Influence
from shiftbench.report.load.per_image import PerImage
from shiftbench.report.load.read_runs import read_layers, read_shifts
from shiftbench.report.load.records import Collection, RunRecord

METRICS = ("accuracy", "chance_consistency", "consistency", "correct_consistency", "top1_change",
           "mean_absolute_change", "exact_fraction")  # fmt: skip

log = logging.getLogger(__name__)


def published_findings(collection: Collection, *, every: bool = False) -> list[Judged]:
    """Return the verdicts on published findings; empty if the study concerns none.

    Judged are the claims that the sweeps' experiments name, including those that lack their runs;
    none if no experiment names a claim, or if no run belongs to any claim.

    Args:
        collection: The runs.
        every: Whether to judge all claims, whether or not an experiment names them.
    """
    if every:
        return judge(evidence_of(collection))
    named = claims_of(collection.sweeps)
    judged = judge(evidence_of(collection), named) if named else []
    return judged if any(one.finding or one.near_chance for one in judged) else []


def claims_of(sweeps: Sequence[Path]) -> list[str]:
    """Return the distinct keys of the claims that the experiments of these sweeps name."""
    named = dict.fromkeys(name for sweep in sweeps for name in _named(sweep / "multirun.yaml"))
    unknown = [name for name in named if find_claim(name) is None]
    if unknown:
        log.warning("study.claims names %s, which is not a claim; known: %s",
                    ", ".join(unknown), ", ".join(CLAIMS))  # fmt: skip
    return list(dict.fromkeys(claim.key for name in named if (claim := find_claim(name))))


def _named(path: Path) -> list[str]:
    """Return ``study.claims`` of the configuration that Hydra saved, [] if it has none."""
    try:
        named = OmegaConf.select(OmegaConf.load(path), "study.claims")
    except (OSError, ValueError, TypeError, AttributeError, YAMLError, OmegaConfBaseException):
        return []  # from an older version, or not written by Hydra
    return [str(key) for key in named] if isinstance(named, ListConfig) else []


def evidence_of(collection: Collection) -> Evidence:
    """Return the finished runs with their metrics; shifts and layers are read on demand."""
    done = collection.done()
    numbers = _numbers(collection.metrics)
    images = PerImage({name: run.folder for name, run in done.items()}, METRICS)
    params = _parameters(collection.metrics)
    runs = [
        Run(name, run.labels, run.settings, numbers[name],
            _influence(name, numbers[name], images), run.smoke, params.get(name, 0))
        for name, run in done.items()
        if name in numbers
    ]  # fmt: skip

    def chosen(names: Names[str]) -> list[RunRecord]:
        return [done[name] for name in names if name in done]

    return Evidence(
        runs,
        shifts=lambda names: read_shifts(chosen(names)),
        layers=lambda names: read_layers(chosen(names)),
    )


def _influence(
    name: str, numbers: Mapping[tuple[str, str], Number], images: PerImage
) -> Callable[[str, str], Influence | None]:
    """Return a function that gives the influence of each image on a metric of a run."""

    def influence(protocol: str, metric: str) -> Influence | None:
        number = numbers.get((protocol, metric))
        return None if number is None else images.of(name, protocol, metric, number.value)

    return influence


def _parameters(metrics: pd.DataFrame) -> dict[str, int]:
    if "params" not in metrics:  # results of an early version
        return {}
    known = metrics.dropna(subset=["params"]).drop_duplicates("run_id")
    return dict(zip(known["run_id"].tolist(), known["params"].astype(int).tolist(), strict=True))


def _numbers(metrics: pd.DataFrame) -> dict[str, dict[tuple[str, str], Number]]:
    rows = metrics[metrics["metric"].isin(METRICS)]
    names = ("run_id", "protocol", "metric", "value", "ci_low", "ci_high", "n_shifts",
             "n_images")  # fmt: skip
    found: dict[str, dict[tuple[str, str], Number]] = {}
    for run_id, protocol, metric, *values in zip(*(rows[name].tolist() for name in names),
                                                 strict=True):  # fmt: skip
        found.setdefault(run_id, {})[protocol, metric] = Number(*values)
    return found
