"""How long a network takes, from a few batches; nothing is written to the output folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from shiftbench.data.images import Dataset, Split
from shiftbench.data.shown import ShownSplit
from shiftbench.experiment import build, test_time
from shiftbench.experiment.device_placement import device_of, on_device
from shiftbench.predict.batch_size import views_at_once
from shiftbench.predict.captured import FullBatches
from shiftbench.predict.dense import DenseEngine
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import plan_for
from shiftbench.report.progress import bar
from shiftbench.runs.run import Run
from shiftbench.runtime.devices import use_precision
from shiftbench.shift.base import ShiftProtocol
from shiftbench.training.trainer import Trainer

STEPS = 3  # timed steps of training, after as many to warm up
MOST_MACS = 3e10  # of a timed batch on a CPU, whose batches are smaller for large networks
FEWEST_IMAGES = 4


@dataclass(frozen=True)
class DenseRate:
    """The dense engine on one network: it applies, and what an image costs.

    Attributes:
        views: Shifts of an image, all of them.
        macs: Multiply-adds of an image, for all shifts.
        seconds: Time of an image.
    """

    views: int
    macs: float
    seconds: float


@dataclass(frozen=True)
class Rates:
    """What was timed of one network.

    Attributes:
        training: Seconds per augmented image; None without training.
        direct: Seconds per view.
        dense: By key of the protocol; None where the dense engine was refused.
        checkpoint: Bytes of a checkpoint, 0 without training.
        memory: Peak memory in bytes: of the device for CUDA, otherwise of this process.
    """

    training: float | None
    direct: float
    dense: dict[str, DenseRate | None]
    checkpoint: int
    memory: float


@dataclass(frozen=True)
class _First(Split):
    """The first images of a split."""

    split: Split
    labels: Tensor

    @classmethod
    def of(cls, split: Split, count: int) -> _First:
        return cls(split, split.labels[:count])

    def batches(
        self, batch_size: int, order: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.labels)) if order is None else order
        return self.split.batches(batch_size, order)

    def to(self, device: torch.device) -> _First:
        return _First(self.split.to(device), self.labels.to(device))


def rates(
    config: DictConfig,
    run: Run,
    data: Dataset,
    protocols: dict[str, ShiftProtocol],
    macs: int,
) -> Rates:
    """Time a few steps of training and a few batches of measuring.

    Args:
        config: The configuration of a job with this network.
        run: Its run; nothing is written to its folder.
        data: Its data set.
        protocols: Protocols of all jobs with this network; the first one provides the timed views.
        macs: Multiply-adds of one forward pass of one image.
    """
    network = _network(config, run, data)
    device = network.device
    # On a CPU, a batch of a large network would take long.
    most = int(MOST_MACS / max(macs, 1)) if device.type == "cpu" else sys.maxsize
    most = max(FEWEST_IMAGES, most)
    training, checkpoint = None, 0
    if config.train.epochs:
        batch = min(config.train.batch_size, max(FEWEST_IMAGES, most // 3))
        training, checkpoint = _training(config, network, data, batch)
    network.model.eval()
    use_precision(config.measure.precision)
    network = network.computing_in(config.measure.precision)
    data = replace(data, test=data.test.to(device))
    network = network.folded(next(data.test.batches(8))[0])
    direct = _direct(config, network, data, next(iter(protocols.values())), most)
    dense = {
        name: _dense(config, network, data, protocol)
        for name, protocol in protocols.items()
        if may_be_dense(config, protocol)
    }
    return Rates(training, direct, dense, checkpoint, _peak_memory(device))


def _network(config: DictConfig, run: Run, data: Dataset) -> PixelModel:
    """Return the untrained network on its device, in the precision of training."""
    device = device_of(config)
    use_precision(config.precision)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return on_device(config, build.model(config, run.names, data), data, device)


def may_be_dense(config: DictConfig, protocol: ShiftProtocol) -> bool:
    """Whether only a test of the network can tell if the dense engine applies."""
    wanted = protocol.circular and config.measure.engine != "direct"
    return wanted and config.padding == "circular" and not test_time.option(config).moves_by_content


def _training(
    config: DictConfig, network: PixelModel, data: Dataset, batch: int
) -> tuple[float, int]:
    """Return the seconds of an image, and the size of the checkpoint in bytes."""
    batch = min(batch, len(data.train))
    # With a learning rate of 0 the weights stay finite, whatever was typed.
    settings = OmegaConf.merge(config.train, {"epochs": 2, "batch_size": batch, "lr": 0.0})
    few = replace(
        data,
        train=_First.of(data.train, batch * min(STEPS, len(data.train) // batch)),
        val=_First.of(data.val, 1),
    ).to(network.device)
    with TemporaryDirectory() as folder, bar(1, "images", "", shown=False) as watcher:
        path = Path(folder) / "checkpoint.pt"
        trainer = Trainer(
            network, few, build.augmentation(config), settings,
            seed=config.seed, path=path, train_id="plan", watcher=watcher,
            make_optimizer=build.optimizer(config),
        )  # fmt: skip
        last = trainer.run()[-1]
        return 1 / last.images_per_second, path.stat().st_size


def _direct(
    config: DictConfig, network: PixelModel, data: Dataset, protocol: ShiftProtocol, most: int
) -> float:
    """Return the seconds of a view of the direct engine, the making of the view included."""
    shown = ShownSplit.of_test(data)
    wanted = views_at_once(config.measure.batch_size, network.device, shown.image_size)
    views = min(wanted, most)
    count = max(1, min(len(data.test), views // len(plan_for(protocol, shown, 1))))
    plan = plan_for(protocol, shown, count)
    sizes = protocol.source_sizes(shown.image_size)
    chunk, _ = next(shown.chunks(count, torch.arange(count), sizes))
    shifts = plan.rows(0, count)[:, : max(1, views // count)]
    model = FullBatches(network, count * shifts.shape[1])  # as a run does
    engine = DirectEngine(model, protocol, plan, views, network.rounding)
    seconds = _second_call(network.device, lambda: engine.logits(chunk, chunk.positions, shifts))
    return seconds / (count * shifts.shape[1])


def _dense(
    config: DictConfig, network: PixelModel, data: Dataset, protocol: ShiftProtocol
) -> DenseRate | None:
    """Return what an image costs the dense engine, None if it does not apply."""
    try:
        engine = DenseEngine.of(
            network, data.test, data.image_shape, protocol, config.measure.memory_gb
        )
    except NotDenseError:
        return None
    count = min(engine.images_at_once, len(data.test), 8)
    chunk, labels = next(ShownSplit.of_test(data).chunks(count, torch.arange(count)))
    shifts = engine.plan.rows(0, count)
    seconds = _second_call(network.device, lambda: engine.answer(chunk, labels, shifts))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        engine.dense(network.normalise(chunk.pixels(chunk.positions)))
    return DenseRate(len(engine.plan), counter.get_total_flops() / 2 / count, seconds / count)


def _second_call(device: torch.device, work: Callable[[], object]) -> float:
    """Return the seconds of the second of two calls; the first one warms up."""
    for _ in range(2):
        _wait_for(device)
        started = time.perf_counter()
        work()
        _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    if sys.platform == "win32":
        return 0.0
    import resource  # not on Windows

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(used) * (1 if sys.platform == "darwin" else 1024)
