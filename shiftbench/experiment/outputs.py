"""The output of a run: result files and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from shiftbench.data.images import Dataset
from shiftbench.metric import Metric
from shiftbench.metric.influence import NAME, Influences
from shiftbench.metric.result_rows import metric_rows, shift_rows, shifts_of
from shiftbench.model.cost import Cost
from shiftbench.predict.layer_probe import probe
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.attempts import attempt
from shiftbench.runs.run import Run
from shiftbench.shift.base import ShiftProtocol
from shiftbench.storage import result_files
from shiftbench.training.epoch_stats import EpochRow

PROBED_IMAGES = 8


def record(
    config: DictConfig,
    this: Run,
    price: Cost,
    history: Sequence[EpochRow],
    tables: Mapping[str, PredictionTable],
    metrics: Sequence[Metric],
) -> dict[str, pd.DataFrame]:
    """Write a run's result files, ``metrics.csv`` last.

    Args:
        config: The run's configuration.
        this: The run.
        price: The cost of its network.
        history: The rows of its epochs.
        tables: Prediction tables by the name of the protocol.
        metrics: The metrics of the run.

    Returns:
        The reductions of the tables by :func:`~shiftbench.metric.per_shift`, by the same names.
    """
    shifts = shifts_of(tables)
    frame = pd.DataFrame(history).assign(run_id=this.id)
    result_files.write_csv(frame, this.folder / "train.csv", result_files.TRAIN_COLUMNS)
    rows = shift_rows(shifts, this.id)
    columns = result_files.in_order(
        result_files.SHIFT_COLUMNS, rows.columns
    )  # a protocol may have other axes
    result_files.write_csv(rows, this.folder / "shifts.csv", columns)
    Influences.from_tables(tables, metrics).save(this.folder / NAME)
    identity = _identity(config, this, price)
    rows = metric_rows(tables, identity, config.measure.resamples, metrics)
    result_files.write_csv(rows, this.folder / "metrics.csv", result_files.METRIC_COLUMNS)
    return shifts


def record_layers(
    config: DictConfig, this: Run, network: PixelModel, data: Dataset
) -> pd.DataFrame:
    """Write and return how much each layer deviates from commuting with shifts."""
    images, _ = next(data.test.batches(PROBED_IMAGES))
    with network.autocasting():
        rows = probe(network.model, network.normalise(images), memory_gb=config.measure.memory_gb)
    rows = rows.assign(run_id=this.id)
    result_files.write_csv(rows, this.folder / "layers.csv", result_files.LAYER_COLUMNS)
    return rows


def draw(
    this: Run,
    data: Dataset,
    protocols: Mapping[str, ShiftProtocol],
    tables: Mapping[str, PredictionTable],
    shifts: Mapping[str, pd.DataFrame],
    layers: pd.DataFrame | None,
) -> None:
    """Draw a run's figures; one that cannot be drawn causes a warning, as results are written.

    Args:
        this: The run.
        data: The data set with the test images.
        protocols: Protocols by name.
        tables: Prediction tables by the same names.
        shifts: The result of :func:`record`.
        layers: The result of :func:`record_layers`, None if layers were not probed.
    """
    folder = this.folder / "figures"
    with attempt(f"the figures in {folder}"):  # importing matplotlib may fail, too
        from shiftbench.experiment.figures import draw_layers, draw_protocols

        draw_protocols(folder, this.names.pool, data, protocols, tables, shifts)
        if layers is not None:
            draw_layers(folder, layers)


def _identity(config: DictConfig, this: Run, price: Cost) -> dict[str, Any]:
    names = this.names
    return {
        "run_id": this.id, "experiment": names.experiment, "data": names.data,
        "model": names.model, "pool": names.pool, "head": names.head,
        "padding": config.padding, "augment": names.augment, "seed": config.seed,
        "params": price.params, "macs": price.macs, "schema_version": result_files.SCHEMA_VERSION,
    }  # fmt: skip
