"""The execution of one run: data, network, training, predictions, metrics, figures."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from shiftbench.content.sources import require_unedited
from shiftbench.data.images import Dataset
from shiftbench.errors import ShiftbenchError
from shiftbench.experiment import build, test_time
from shiftbench.infer.single import Single
from shiftbench.metric import Metric
from shiftbench.metric.about import description
from shiftbench.metric.options import standard
from shiftbench.model.cost import Cost, cost
from shiftbench.model.layout import home
from shiftbench.model.stride import total_stride
from shiftbench.optimizer.contract import MakeOptimizer
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import refuse
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.progress import bar
from shiftbench.runs.run import Run
from shiftbench.runtime.allocator import keep_freed_memory
from shiftbench.runtime.devices import describe_device, pick_device, use_precision
from shiftbench.runtime.distributed.team import Team
from shiftbench.runtime.failures import is_out_of_memory
from shiftbench.runtime.keep_last import KeepLast
from shiftbench.shift.base import ShiftProtocol
from shiftbench.storage.atomic import remove_leftovers
from shiftbench.storage.locks import exclusive
from shiftbench.training.epoch_stats import EpochRow
from shiftbench.training.trainer import Augment, Trainer, steps_per_epoch

log = logging.getLogger(__name__)


def run(
    config: DictConfig, this: Run, team: Team, datasets: KeepLast[Dataset] | None = None
) -> None:
    """Train a network, predict every shifted view, and reduce the predictions to metrics.

    All output is written to ``this.folder``; figures are drawn last, after all result files. The
    processes of ``team`` share training and measuring; the first one does the rest. ``datasets``
    holds the data set of the previous job.
    """
    keep_freed_memory()
    device = pick_device(config.device)
    use_precision(config.precision, device)
    team.connect(device)
    protocols = build.protocols(config)
    trained_by = build.augmentation(config), build.optimizer(config)
    metrics, infer = build.metrics(config), test_time.option(config)
    build.fetch_weights(config)
    with _phase("loading the data", config, "data.limit_train", "data.train_images"):
        data = build.dataset(config, datasets)
    model = build.model(config, this.names, data)
    require_unedited()
    for protocol in protocols.values():  # refuse inapplicable protocols before any work
        refuse(protocol, data, model)
    stride = total_stride(model, data.image_shape)
    test_time.refuse(infer, model, data, stride)
    if team.is_first:
        this.note(preprocessing=data.preprocessing, total_stride=stride, **_described(metrics))
    price = cost(model, data.image_shape)
    _announce(config, this, device, data, price)

    layout, (_, dtype) = build.memory_format(config, model, data), home(model, device)
    model = model.to(device, memory_format=layout)  # type: ignore[call-overload]
    network = PixelModel(model, data.mean, data.std, device, config.precision, dtype, layout)
    data = data.to(device)
    with _phase("training", config, "train.batch_size"):
        history = _train(config, this, network, data, *trained_by, team)
    with _phase("measuring", config, "measure.batch_size", "measure.memory_gb"):
        dense = config.measure.engine != "direct"
        measured = test_time.wrapped(infer, network, data, stride, dense=dense)
        tables = _measure(config, this, measured, data, protocols, team)
        if not isinstance(infer, Single):
            price = test_time.price(measured.model, price, data.image_shape)
    if not team.is_first:
        return
    # Imported late: it loads pandas, which would delay the first training step.
    from shiftbench.experiment import outputs

    with _phase("reporting", config, "measure.resamples"):
        reduced = outputs.record(config, this, price, history, tables, metrics, stride)
    layers = None
    if config.measure.layers:
        with _phase("probing the layers", config, "measure.memory_gb"):
            layers = outputs.record_layers(config, this, network, data)
    if config.figures:
        with _phase("drawing", config):
            outputs.draw(this, data, protocols, tables, reduced, layers)


def _described(metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return descriptions of metrics for ``run.json``, as a report may lack their code."""
    found = description(one for one in metrics if one not in standard())
    return {"metrics": found} if found else {}


def _announce(
    config: DictConfig, this: Run, device: torch.device, data: Dataset, price: Cost
) -> None:
    names = this.names
    log.info("run %s", this.id)
    log.info(
        "%s, %s images for training, %s for testing · %s pool=%s head=%s padding=%s",
        names.data, f"{len(data.train):,}", f"{len(data.test):,}",
        names.model, names.pool, names.head, config.padding,
    )  # fmt: skip
    log.info(
        "%s parameters, %s multiply-adds per image · %s, %s",
        f"{price.params:,}", f"{price.macs:,}", describe_device(device), config.precision,
    )  # fmt: skip


def _train(
    config: DictConfig,
    this: Run,
    network: PixelModel,
    data: Dataset,
    augment: Augment,
    optimizer: MakeOptimizer,
    team: Team,
) -> list[EpochRow]:
    settings = config.train
    total = settings.epochs * steps_per_epoch(len(data.train), settings.batch_size)
    if not settings.epochs:
        return []
    with (
        _training_alone(this, team),
        bar(total * settings.batch_size, "images", "training", config.progress) as watcher,
    ):
        trainer = Trainer(
            network, data, augment, settings,
            seed=config.seed, path=this.checkpoint, train_id=this.identity.train_id,
            watcher=watcher, team=team, make_optimizer=optimizer,
        )  # fmt: skip
        return trainer.run()


@contextmanager
def _training_alone(this: Run, team: Team) -> Iterator[None]:
    """Let one run train a network; runs that differ only in what they measure wait for it."""
    if not team.is_first:
        yield
        return
    waiting = "another process trains this network; waiting for it"
    with exclusive(this.trained / ".lock", waiting):
        remove_leftovers(this.trained)
        yield


def _measure(
    config: DictConfig,
    this: Run,
    network: PixelModel,
    data: Dataset,
    protocols: dict[str, ShiftProtocol],
    team: Team,
) -> dict[str, PredictionTable]:
    """Return the prediction table of every protocol, each saved when it is finished.

    Only the first process receives them.
    """
    tables = {}
    for name, protocol in protocols.items():
        table = this.table(name) if team.is_first else None
        if team.broadcast(table is not None):
            log.info("measured %s before it was stopped", name)
        elif parts := team.gather(_answers(config, network, data, name, protocol, team)):
            table = PredictionTable.joined([part for part in parts if part is not None])
            table.meta["run_id"] = this.id
            table.save(this.table_path(name))
        if table is None:
            continue
        log.info(
            "measured %s: %s images × %s shifts, %s engine",
            name, f"{table.n_images:,}", f"{table.n_shifts:,}", table.meta["engine"],
        )  # fmt: skip
        tables[name] = table
    return tables


def _answers(
    config: DictConfig,
    network: PixelModel,
    data: Dataset,
    name: str,
    protocol: ShiftProtocol,
    team: Team,
) -> PredictionTable | None:
    """Return the table for this process's share of the test images, None if that is empty."""
    part = team.share(len(data.test))
    if not part:
        return None
    settings = config.measure
    options = Options(settings.engine, settings.batch_size, settings.memory_gb)
    with bar(len(part), "images", f"measuring {name}", config.progress) as progress:

        def advance(done: int, total: int) -> None:
            progress.reach(done, total)
            team.check()

        return predict(
            network, data.test, data.image_shape, protocol, options,
            mean=data.mean, advance=advance, part=part,
        )  # fmt: skip


@contextmanager
def _phase(what: str, config: DictConfig, *knobs: str) -> Iterator[None]:
    """Log the duration of a part; if it runs out of memory, name settings that reduce its use."""
    started = time.perf_counter()
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        settings = {knob: OmegaConf.select(config, knob) for knob in knobs}
        known = [f"{knob} (now {value})" for knob, value in settings.items() if value is not None]
        advice = f"; lower {' or '.join(known)}" if known else ""
        raise ShiftbenchError(f"out of memory while {what}{advice}") from error
    log.info("%s took %.1f s", what, time.perf_counter() - started)
