"""The output of a run: result files and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from shiftbench.data.images import Dataset
from shiftbench.metric import Metric
from shiftbench.metric.influence import NAME, Influences
from shiftbench.metric.result_rows import (
    curve_texts,
    metric_rows,
    phase_rows,
    radius_rows,
    shift_rows,
    shifts_of,
)
from shiftbench.model.cost import Cost
from shiftbench.predict.layer_probe import probe
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.rotation_probe import probe_rotations
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.attempts import attempt
from shiftbench.runs.run import Run
from shiftbench.shift.base import ShiftProtocol
from shiftbench.storage import result_files
from shiftbench.storage.atomic import write_text
from shiftbench.training.epoch_stats import EpochRow

PROBED_IMAGES = 8


@dataclass(frozen=True)
class Reductions:
    """Reductions of a run's prediction tables, for its figures.

    Attributes:
        shifts: Means for every shift, by protocol.
        radius: Rows of ``radius.csv``.
        phase: Rows of ``phase.csv``.
    """

    shifts: Mapping[str, pd.DataFrame]
    radius: pd.DataFrame
    phase: pd.DataFrame


def record(
    config: DictConfig,
    run: Run,
    cost: Cost,
    history: Sequence[EpochRow],
    tables: Mapping[str, PredictionTable],
    metrics: Sequence[Metric],
    stride: int,
) -> Reductions:
    """Write a run's result files, ``metrics.csv`` last.

    Args:
        config: The run's configuration.
        run: The run.
        cost: The cost of its network.
        history: The rows of its epochs.
        tables: Prediction tables by the name of the protocol.
        metrics: The metrics of the run.
        stride: The network's total stride in pixels.
    """
    shifts = shifts_of(tables)
    frame = pd.DataFrame(history).assign(run_id=run.id)
    result_files.write_csv(frame, run.folder / "train.csv", result_files.TRAIN_COLUMNS)
    rows = shift_rows(shifts, run.id)
    # A protocol may have other axes.
    columns = result_files.in_order(result_files.SHIFT_COLUMNS, rows.columns)
    result_files.write_csv(rows, run.folder / result_files.SHIFTS_CSV, columns)
    resamples = config.measure.resamples
    radius, phase = radius_rows(tables, run.id, resamples), phase_rows(shifts, run.id, stride)
    for name, text in curve_texts(radius, phase).items():
        write_text(run.folder / name, text)
    Influences.from_tables(tables, metrics).save(run.folder / NAME)
    identity = _identity(config, run, cost)
    rows = metric_rows(tables, identity, resamples, metrics)
    shown = result_files.metric_columns(rows.columns)
    result_files.write_csv(rows, run.folder / result_files.METRICS_CSV, shown)
    return Reductions(shifts, radius, phase)


def record_layers(config: DictConfig, run: Run, network: PixelModel, data: Dataset) -> pd.DataFrame:
    """Write and return how much each layer deviates from commuting with shifts."""
    images, _ = next(data.test.batches(PROBED_IMAGES))
    with network.autocasting():
        rows = probe(network.model, network.normalise(images), memory_gb=config.measure.memory_gb)
    rows = rows.assign(run_id=run.id)
    result_files.write_csv(rows, run.folder / "layers.csv", result_files.LAYER_COLUMNS)
    return rows


def record_rotations(run: Run, network: PixelModel, data: Dataset) -> pd.DataFrame:
    """Write and return how much each layer deviates from commuting with rotations."""
    images, _ = next(data.test.batches(PROBED_IMAGES))
    with network.autocasting():
        rows = probe_rotations(network.model, network.normalise(images))
    rows = rows.assign(run_id=run.id)
    result_files.write_csv(rows, run.folder / "rotations.csv", result_files.ROTATION_COLUMNS)
    return rows


def draw(
    run: Run,
    data: Dataset,
    protocols: Mapping[str, ShiftProtocol],
    tables: Mapping[str, PredictionTable],
    reduced: Reductions,
    layers: pd.DataFrame | None,
    rotations: pd.DataFrame | None,
) -> None:
    """Draw a run's figures; one that cannot be drawn causes a warning, as results are written.

    Args:
        run: The run.
        data: The data set with the test images.
        protocols: Protocols by name.
        tables: Prediction tables by the same names.
        reduced: The result of :func:`record`.
        layers: The result of :func:`record_layers`, None if layers were not probed.
        rotations: The result of :func:`record_rotations`, None if no protocol rotates.
    """
    folder = run.folder / "figures"
    with attempt(f"the figures in {folder}"):  # importing matplotlib may fail, too
        from shiftbench.experiment.figures import (
            draw_curves,
            draw_layers,
            draw_protocols,
            draw_rotations,
        )

        draw_protocols(folder, run.names.pool, data, protocols, tables, reduced.shifts)
        draw_curves(folder, reduced.radius, reduced.phase)
        if layers is not None:
            draw_layers(folder, layers)
        if rotations is not None:
            draw_rotations(folder, rotations)


def _identity(config: DictConfig, run: Run, cost: Cost) -> dict[str, Any]:
    names = run.names
    return {
        "run_id": run.id, "experiment": names.experiment, "data": names.data,
        "model": names.model, "pool": names.pool, "head": names.head,
        "padding": config.padding, "augment": names.augment, "seed": config.seed,
        "params": cost.params, "macs": cost.macs, "schema_version": result_files.SCHEMA_VERSION,
    }  # fmt: skip
