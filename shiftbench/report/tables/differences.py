"""``differences.csv``: every variant against a reference, paired run by run."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from shiftbench.claims.blocks import settings_key
from shiftbench.errors import ShiftbenchError, UsageError, did_you_mean
from shiftbench.inference.kinds import IMAGES
from shiftbench.inference.sample import Sample
from shiftbench.metric import compare
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.load.per_image import Measured, PerImage, values_of
from shiftbench.report.load.records import LABELS, Collection, RunRecord
from shiftbench.report.tables.labels import unlabelled_settings
from shiftbench.report.tables.paired_interval import PairedInterval, paired_intervals
from shiftbench.report.tables.summary import metric_names

log = logging.getLogger(__name__)

DIFFERENCE_COLUMNS = (
    "group", "reference", "variant", *LABELS, "settings", "config_id", "protocol", "metric",
    "seeds", "difference", "sd", "ci_low", "ci_high", "kind", "differs",
)  # fmt: skip

# What a pair may also differ in, if no stricter pair exists: the head that a model or a pool
# implies (pool=global implies gap), and weights that fit only one of the networks.
TOLERATED: tuple[tuple[str, ...], ...] = ((), ("head",), ("checkpoint",), ("head", "checkpoint"))


@dataclass
class Variant:
    """A configuration and, by seed, its runs paired with those of the reference."""

    differs: tuple[str, ...]
    pairs: list[tuple[RunRecord, RunRecord]] = field(default_factory=list)


def differences(collection: Collection, against: str, *, images: bool = False) -> pd.DataFrame:
    """Return variant − reference for every metric, paired by run.

    Two runs are a pair if they differ only in the group of the reference; all other settings and
    the seed are equal. ``differs`` names further groups in which the pairs had to be allowed to
    differ, '' if none. There is one row for every configuration, protocol and metric, labelled as
    the variant: ``difference`` is the mean over the paired seeds, ``sd`` their sample standard
    deviation. ``kind`` states what the 95 % interval covers: ``3 seeds × images`` (crossed random
    effects), ``3 seeds`` (Student's t, if a run lacks ``images.npz``), ``images, one seed``
    (resampled images); '' for no interval.

    Args:
        collection: The runs.
        against: The reference as label and value, e.g. ``pool=max``.
        images: Whether to read the prediction tables of single pairs of runs without ``images.npz``
            for their intervals; it takes about a second for a pair of large tables.

    Raises:
        UsageError: If ``against`` is not a label of any finished run.
        ShiftbenchError: If no run of another variant has otherwise equal settings.
    """
    done = list(collection.done().values())
    group, reference = _parse(against, done)
    variants = _pair(done, group, reference)
    if not variants:
        raise ShiftbenchError(
            f"no finished run differs from one with {against} in its {group} alone; "
            f"run the same command with {against} and with another {group}"
        )
    settings = unlabelled_settings({run.config_id: run for run in reversed(done)})
    folders = {run.run_id: run.folder for run in done}
    measured = Measured(values_of(collection.metrics), PerImage(folders))
    names = metric_names(collection.metrics)
    rows = [
        {"group": group, "reference": reference, "variant": variant.pairs[0][0].labels[group],
         **variant.pairs[0][0].labels, "settings": settings[config_id], "config_id": config_id,
         "differs": " ".join(variant.differs), **row}
        for config_id, variant in variants.items()
        for row in _rows(variant, measured, names, images)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))


def _parse(against: str, done: Sequence[RunRecord]) -> tuple[str, str]:
    group, equals, value = against.partition("=")
    if not equals or group not in LABELS:
        hint = did_you_mean(group, LABELS)
        raise UsageError(
            f"--against {against} is not a label{hint}; it takes LABEL=VALUE, e.g. pool=max; "
            f"labels: {', '.join(LABELS)}"
        )
    known = list(dict.fromkeys(run.labels[group] for run in done))
    if value not in known:
        there = ", ".join(known) or "none, no run is finished"
        raise UsageError(
            f"--against {against}: no finished run has it{did_you_mean(value, known)}; "
            f"{group}: {there}"
        )
    return group, value


def _pair(done: Sequence[RunRecord], group: str, reference: str) -> dict[str, Variant]:
    """Return the variants by ``config_id``, with the partners of their runs."""
    partners = [run for run in done if run.labels[group] == reference]
    others = [run for run in done if run.labels[group] != reference]
    found: dict[str, Variant] = {}
    alone: list[str] = []
    by_key = {tolerated: _grouped(partners, (group, *tolerated)) for tolerated in TOLERATED}
    for run in others:
        for tolerated in TOLERATED:
            candidates = by_key[tolerated].get(settings_key(run, (group, *tolerated)), [])
            if len(candidates) == 1:  # several candidates are ambiguous
                variant = found.setdefault(run.config_id, Variant(tolerated))
                variant.pairs.append((run, candidates[0]))
                break
        else:
            alone.append(run.run_id)
    if alone:
        log.warning(
            "%s=%s: %d of %d runs have no partner in it and are left out of the differences: %s",
            group, reference, len(alone), len(others),
            ", ".join(alone[:3]) + (", ..." if len(alone) > 3 else ""),
        )  # fmt: skip
    return found


def _grouped(runs: Iterable[RunRecord], free: Sequence[str]) -> dict[str, list[RunRecord]]:
    """Group the runs by the settings outside of ``free``."""
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(settings_key(run, free), []).append(run)
    return found


def _rows(
    variant: Variant, measured: Measured, names: Sequence[str], images: bool
) -> Iterator[dict[str, Any]]:
    pairs = {run.seed: (partner.run_id, run.run_id) for run, partner in variant.pairs}
    protocols = (name for run, _ in variant.pairs for name in measured.protocols(run.run_id))
    for protocol in dict.fromkeys(protocols):
        found = {name: measured.difference(pairs, protocol, name) for name in names}
        samples = {name: sample for name, sample in found.items() if sample is not None}
        intervals = paired_intervals(samples)
        if images and any(_lacks_images(sample) for sample in samples.values()):
            intervals |= _of_tables(variant.pairs, samples, protocol)
        for name, sample in samples.items():
            interval = intervals[name]
            yield {"protocol": protocol, "metric": name, "seeds": len(sample.values),
                   "difference": sample.mean, "sd": _sd(sample), "ci_low": interval.low,
                   "ci_high": interval.high, "kind": interval.kind}  # fmt: skip


def _sd(sample: Sample) -> float:
    return float(np.std(sample.values, ddof=1)) if len(sample.values) > 1 else math.nan


def _lacks_images(sample: Sample) -> bool:
    """Whether its interval requires the prediction tables."""
    return len(sample.values) == 1 and not sample.images


def _of_tables(
    pairs: Sequence[tuple[RunRecord, RunRecord]], samples: Mapping[str, Sample], protocol: str
) -> dict[str, PairedInterval]:
    """Return paired intervals over images, {} if the two runs have different test images."""
    seeds = {seed for sample in samples.values() if _lacks_images(sample) for seed in sample.seeds}
    if len(seeds) != 1:
        return {}
    [(run, partner)] = [pair for pair in pairs if pair[0].seed in seeds]
    try:
        tables = [
            PredictionTable.load(one.folder / "predictions" / f"{protocol}.npz")
            for one in (partner, run)
        ]
        rows = compare(*tables)
    except ShiftbenchError as reason:
        log.warning("no interval over images for %s under %s: %s", run.run_id, protocol, reason)
        return {}
    return {
        row.metric: PairedInterval(row.ci_low, row.ci_high, row.interval, IMAGES)
        for row in rows
        if not math.isnan(row.ci_low) and row.metric in samples
        and _lacks_images(samples[row.metric])
    }  # fmt: skip
