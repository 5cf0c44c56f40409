"""The execution of one run: data, network, training, predictions, metrics, figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from shiftbench.content.sources import require_unedited
from shiftbench.data.images import Dataset
from shiftbench.experiment import build, test_time
from shiftbench.experiment.device_placement import device_of, on_device
from shiftbench.experiment.measuring import measure
from shiftbench.experiment.phase import phase
from shiftbench.infer.base import Infer
from shiftbench.infer.single import Single
from shiftbench.metric import Metric
from shiftbench.metric.about import description
from shiftbench.metric.options import standard
from shiftbench.model.cost import Cost, cost
from shiftbench.model.stride import total_stride
from shiftbench.optimizer.contract import MakeOptimizer
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import refuse
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.progress import bar
from shiftbench.runs.run import Run
from shiftbench.runtime.allocator import keep_freed_memory
from shiftbench.runtime.busy_cores import warn_if_busy
from shiftbench.runtime.device_facts import arithmetic, device_facts
from shiftbench.runtime.devices import describe_device, release_cached_memory, use_precision
from shiftbench.runtime.distributed.team import Team
from shiftbench.runtime.keep_last import KeepLast
from shiftbench.shift.base import ShiftProtocol
from shiftbench.storage.atomic import remove_leftovers
from shiftbench.training.epoch_stats import EpochRow
from shiftbench.training.step import Augment
from shiftbench.training.trainer import Trainer, steps_per_epoch

log = logging.getLogger(__name__)


def run(
    config: DictConfig,
    run: Run,
    team: Team,
    datasets: KeepLast[Dataset] | None = None,
    trains_alone: AbstractContextManager[object] | None = None,
    begin: Callable[[], None] = lambda: None,
) -> None:
    """Train a network, predict every shifted view, and reduce the predictions to metrics.

    All output is written to ``run.folder``; figures are drawn last, after all result files. The
    processes of ``team`` share training and measuring; the first one does the rest. ``datasets``
    holds the data set of the previous job. ``trains_alone`` holds the lock of the training and is
    left when the network is trained; if None, the training takes the lock itself. ``begin`` is
    called when everything is built and nothing is written yet.
    """
    keep_freed_memory()
    try:
        ready = _prepared(config, run, team, datasets)
        if team.is_first:
            begin()
            _record_beginning(config, run, ready, team)
        _compute(ready, config, run, team, trains_alone)
    finally:
        release_cached_memory()  # other jobs may run on the same GPU


@dataclass(frozen=True)
class _Prepared:
    """The objects of a run, checked against each other before any work.

    Attributes:
        device: Where the network is to be.
        data: The data set, on the CPU.
        model: The network, on the CPU, not trained by this run.
        protocols: By name.
        augment: Augmentation of training images.
        optimizer: Makes the optimizer.
        metrics: Of every table.
        cost: Parameters and multiply-adds of the network.
        infer: The test-time wrapper.
        stride: The total stride of the network in pixels.
    """

    device: torch.device
    data: Dataset
    model: nn.Module
    protocols: dict[str, ShiftProtocol]
    augment: Augment
    optimizer: MakeOptimizer
    metrics: list[Metric]
    cost: Cost
    infer: Infer
    stride: int


def _prepared(
    config: DictConfig, run: Run, team: Team, datasets: KeepLast[Dataset] | None
) -> _Prepared:
    """Make the objects of a run and refuse what does not fit; nothing is written."""
    device = device_of(config)
    use_precision(config.precision)
    team.connect(device)
    protocols, metrics = build.protocols(config), build.metrics(config)
    augment, optimizer = build.augmentation(config), build.optimizer(config)
    infer = test_time.option(config)
    build.fetch_weights(config)
    with phase("loading the data", config, "data.limit_train", "data.train_images"):
        data = build.dataset(config, datasets)
    model = build.model(config, run.names, data)
    require_unedited()
    for protocol in protocols.values():
        refuse(protocol, data, model)
    stride = total_stride(model, data.image_shape)
    test_time.refuse(infer, model, data, stride)
    return _Prepared(
        device, data, model, protocols, augment, optimizer, metrics,
        cost(model, data.image_shape), infer, stride,
    )  # fmt: skip


def _compute(
    ready: _Prepared,
    config: DictConfig,
    run: Run,
    team: Team,
    trains_alone: AbstractContextManager[object] | None,
) -> None:
    """Train and measure; the first process writes the results."""
    network = on_device(config, ready.model, ready.data, ready.device)
    data = ready.data.to(ready.device)
    history = _train(config, run, network, data, ready.augment, ready.optimizer, team, trains_alone)
    release_cached_memory()  # training takes more than measuring
    _compute_in(config.measure.precision, "measuring", run, ready.device, team)
    network = network.computing_in(config.measure.precision)
    with phase("measuring", config, "measure.batch_size", "measure.memory_gb"):
        dense = config.measure.engine != "direct"
        measured = test_time.wrapped(ready.infer, network, data, ready.stride, dense=dense)
        tables = measure(config, run, measured, data, ready.protocols, team)
        view_cost = ready.cost
        if not isinstance(ready.infer, Single):
            view_cost = test_time.view_cost(measured.model, view_cost, data.image_shape)
    if team.is_first:
        _write(config, run, replace(ready, data=data, cost=view_cost), network, history, tables)


def _write(
    config: DictConfig,
    run: Run,
    ready: _Prepared,
    network: PixelModel,
    history: list[EpochRow],
    tables: dict[str, PredictionTable],
) -> None:
    """Write all result files, then the figures."""
    # Imported late: it loads pandas, which would delay the first training step.
    from shiftbench.experiment import outputs

    with phase("reporting", config, "measure.resamples"):
        reduced = outputs.record(
            config, run, ready.cost, history, tables, ready.metrics, ready.stride
        )
    layers = rotations = None
    if config.measure.layers:
        with phase("probing the layers", config, "measure.memory_gb"):
            layers = outputs.record_layers(config, run, network, ready.data)
            if _rotates(ready):
                rotations = outputs.record_rotations(run, network, ready.data)
    if config.figures:
        with phase("drawing", config):
            outputs.draw(run, ready.data, ready.protocols, tables, reduced, layers, rotations)


def _rotates(ready: _Prepared) -> bool:
    """Whether a protocol rotates the images, and they are square."""
    height, width = ready.data.image_shape[1:]
    return height == width and any("angle" in one.axes for one in ready.protocols.values())


def _record_beginning(config: DictConfig, run: Run, ready: _Prepared, team: Team) -> None:
    """Record what is known since data and network are built, and log what is going to run."""
    run.add_provenance(device=device_facts(ready.device))
    _compute_in(config.precision, "training", run, ready.device, team)
    noted = _described(ready.metrics)
    run.note(preprocessing=ready.data.preprocessing, total_stride=ready.stride, **noted)
    _announce(config, run, ready.device, ready.data, ready.cost)


def _compute_in(precision: str, part: str, run: Run, device: torch.device, team: Team) -> None:
    """Set the precision of training or of measuring, and record it with the run."""
    use_precision(precision)
    if team.is_first:
        run.add_provenance(**{part: arithmetic(precision, device)})


def _described(metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return descriptions of metrics for ``run.json``, as a report may lack their code."""
    found = description(one for one in metrics if one not in standard())
    return {"metrics": found} if found else {}


def _announce(
    config: DictConfig, run: Run, device: torch.device, data: Dataset, cost: Cost
) -> None:
    names = run.names
    log.info("run %s", run.id)
    log.info(
        "%s, %s images for training, %s for testing · %s pool=%s head=%s padding=%s",
        names.data, f"{len(data.train):,}", f"{len(data.test):,}",
        names.model, names.pool, names.head, config.padding,
    )  # fmt: skip
    log.info(
        "%s parameters, %s multiply-adds per image · %s, %s",
        f"{cost.params:,}", f"{cost.macs:,}", describe_device(device), _precision(config),
    )  # fmt: skip
    warn_if_busy(torch.get_num_threads() if device.type == "cpu" else 1)


def _precision(config: DictConfig) -> str:
    """Return the precision of training, and that of measuring if it differs."""
    measured: str = config.measure.precision
    if not config.train.epochs or measured == config.precision:
        return measured
    return f"{config.precision}, measured in {measured}"


def _train(
    config: DictConfig,
    run: Run,
    network: PixelModel,
    data: Dataset,
    augment: Augment,
    optimizer: MakeOptimizer,
    team: Team,
    trains_alone: AbstractContextManager[object] | None,
) -> list[EpochRow]:
    settings = config.train
    total = settings.epochs * steps_per_epoch(len(data.train), settings.batch_size)
    if not settings.epochs:
        return []
    with (
        phase("training", config, "train.batch_size"),
        _training_alone(run, team, trains_alone),
        bar(total * settings.batch_size, "images", "training", config.progress) as watcher,
    ):
        trainer = Trainer(
            network, data, augment, settings,
            seed=config.seed, path=run.checkpoint, train_id=run.identity.train_id,
            watcher=watcher, team=team, make_optimizer=optimizer,
        )  # fmt: skip
        return trainer.run()


@contextmanager
def _training_alone(
    run: Run, team: Team, lock: AbstractContextManager[object] | None
) -> Iterator[None]:
    """Let one run train a network; runs that differ only in what they measure wait for it."""
    if not team.is_first:
        yield
        return
    with lock or run.training_alone():
        remove_leftovers(run.trained)
        yield
