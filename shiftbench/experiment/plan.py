"""What the jobs of a command need: counted without running them, timed on a few batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from omegaconf import DictConfig, OmegaConf

from shiftbench.data.images import Dataset
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import ShiftbenchError
from shiftbench.experiment import build, test_time, timing
from shiftbench.experiment.device_placement import check_machine
from shiftbench.experiment.timing import Rates
from shiftbench.infer.single import Single
from shiftbench.model import checkpoint
from shiftbench.model.cost import Cost, cost
from shiftbench.model.stride import total_stride
from shiftbench.predict.protocol import refuse
from shiftbench.report.progress import bar
from shiftbench.runs.plan import AT_MOST, BYTES_PER_VIEW, DENSE, DIRECT, TRAINING, Plan, Work
from shiftbench.runs.run import Run
from shiftbench.runtime.devices import describe_device, pick_device
from shiftbench.runtime.failures import is_out_of_memory
from shiftbench.runtime.keep_last import KeepLast
from shiftbench.shift.base import ShiftProtocol
from shiftbench.storage import spilled
from shiftbench.training.trainer import steps_per_epoch

MOST_TIMED = 8  # networks; the others are scaled by their multiply-adds
STATES = 2  # weights and momentum, of a checkpoint of a network that was not timed
# Settings that decide how long a network takes, besides padding and precision.
_ARCHITECTURE = (
    "model.", "pool.", "head.", "infer.", "augment.", "optimizer.",
    "train.compile", "measure.precision", "measure.engine",
)  # fmt: skip

Job = tuple[DictConfig, Run]


@dataclass
class _Network:
    """One architecture, with the first job that has it and the protocols of all jobs."""

    config: DictConfig
    run: Run
    cost: Cost
    stride: int
    sized: dict[tuple[int, int], int] = field(default_factory=dict)  # multiply-adds by image size
    protocols: dict[str, ShiftProtocol] = field(default_factory=dict)  # by :func:`_protocol_key`


@dataclass(frozen=True)
class _Counted:
    """The images of one job, and of each protocol columns and multiply-adds of a view."""

    config: DictConfig
    run: Run
    network: str
    images: int  # of training in an epoch, whole batches only
    val: int
    test: int
    views: Mapping[str, tuple[ShiftProtocol, int, int]]  # columns, multiply-adds of a view


def plan_of(jobs: Sequence[Job], *, total: int, done: int, refused: Sequence[str]) -> Plan:
    """Return the plan of ``jobs``, none of which is finished.

    Args:
        jobs: Configurations and runs of the jobs to run.
        total: Number of jobs of the command, finished and refused ones included.
        done: Number of finished jobs.
        refused: Why other jobs would fail.
    """
    sentences, counted = list(refused), []
    networks: dict[str, _Network] = {}
    kept: KeepLast[Dataset] = KeepLast()
    for config, run in sorted(jobs, key=lambda job: str(job[0].data)):
        try:
            counted.append(_count(config, run, build.dataset(config, kept), networks))
        except ShiftbenchError as error:
            if total == 1:
                raise
            sentences.append(str(error))
    used = {job.network: networks[job.network] for job in counted}
    timed = _timed(used, kept)
    trainings = _Trainings()
    work = [part for job in counted for part in _work(job, used, timed, trainings)]
    device = describe_device(pick_device(counted[0].config.device)) if timed else ""
    return Plan(
        total, done, tuple(sentences), trainings.before, trainings.jobs, tuple(work),
        len(used), len(timed), device, max((one.memory for one in timed.values()), default=0.0),
        max((_tables(job, used, timed) for job in counted), default=0.0),
    )  # fmt: skip


def _count(config: DictConfig, run: Run, data: Dataset, networks: dict[str, _Network]) -> _Counted:
    """Count the work of a job; build its network if no earlier job has the same one.

    Raises:
        ShiftbenchError: If the job would fail, e.g. since this machine lacks its device.
    """
    check_machine(config)
    name = _architecture(config, run, data)
    if name not in networks:
        build.fetch_weights(config)
        model = build.model(config, run.names, data)
        stride = total_stride(model, data.image_shape)
        test_time.refuse(test_time.option(config), model, data, stride)
        networks[name] = _Network(config, run, cost(model, data.image_shape), stride)
    views = {}
    for protocol_name, protocol in build.protocols(config).items():
        refuse(protocol, data)
        columns = len(protocol.plan(1, data.image_shape[1:]))
        views[protocol_name] = protocol, columns, _macs(networks[name], data, protocol)
    for protocol_name, (protocol, _, _) in views.items():
        networks[name].protocols.setdefault(_protocol_key(config, protocol_name), protocol)
    batch = min(config.train.batch_size, max(1, len(data.train)))
    images = steps_per_epoch(len(data.train), batch) * batch if len(data.train) else 0
    return _Counted(config, run, name, images, len(data.val), len(data.test), views)


def _architecture(config: DictConfig, run: Run, data: Dataset) -> str:
    """Return a key that networks share if a step takes them equally long."""
    settings = run.identity.settings
    own = {key: settings[key] for key in settings if key.startswith(_ARCHITECTURE)}
    return str((own, run.names.head, config.padding, config.precision, data.image_shape,
                data.num_classes, config.checkpoint, bool(config.train.epochs)))  # fmt: skip


def _protocol_key(config: DictConfig, name: str) -> str:
    """Return a protocol's name with its settings, which may differ between jobs."""
    return f"{name} {OmegaConf.to_container(config.shift[name], resolve=True)}"


def _view_size(protocol: ShiftProtocol, data: Dataset) -> tuple[int, int]:
    """Return ``(h, w)`` of the views, which a canvas can make larger than the images."""
    channels, height, width = data.image_shape
    if protocol.from_scenes:
        return height, width
    blank = ShownSplit.of(torch.zeros(1, channels, height, width), data.mean)
    shifts = protocol.plan(1, (height, width)).rows(0, 1)[:, 0]
    shape = protocol.views(blank, torch.zeros(1, dtype=torch.long), shifts).shape
    return int(shape[2]), int(shape[3])


def _macs(network: _Network, data: Dataset, protocol: ShiftProtocol) -> int:
    """Return the multiply-adds of a view, at most: an average may take a dense pass instead."""
    size, infer = _view_size(protocol, data), test_time.option(network.config)
    if size == data.image_shape[1:] and isinstance(infer, Single):
        return network.cost.macs
    if size not in network.sized:
        model = build.model(network.config, network.run.names, data)
        plain, shape = network.cost, (data.image_shape[0], *size)
        if size != data.image_shape[1:]:
            refuse(protocol, data, model)
            plain = cost(model, shape)
        wrapper = infer.wrap(model, network.stride)
        network.sized[size] = test_time.view_cost(wrapper, plain, shape).macs
    return network.sized[size]


def _timed(networks: Mapping[str, _Network], kept: KeepLast[Dataset]) -> dict[str, Rates]:
    """Time at most eight networks, spread evenly from the smallest to the largest."""
    ordered = sorted(networks, key=lambda name: networks[name].cost.macs)
    count = min(MOST_TIMED, len(ordered))
    last = len(ordered) - 1
    chosen = [ordered[round(index * last / max(count - 1, 1))] for index in range(count)]
    found = {}
    shown = any(networks[name].config.progress for name in chosen)
    with bar(count, "networks", "timing a few batches", shown) as progress:
        for index, name in enumerate(chosen, 1):
            one = networks[name]
            data = build.dataset(one.config, kept)
            with _memory_reported(one):
                found[name] = timing.rates(one.config, one.run, data, one.protocols, one.cost.macs)
            progress.reach(index, count)
    return found


@contextmanager
def _memory_reported(network: _Network) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ShiftbenchError(
            f"out of memory while timing {network.run.id}, as its run would be; lower "
            f"train.batch_size (now {network.config.train.batch_size}) or measure.batch_size "
            f"(now {network.config.measure.batch_size})"
        ) from error


@dataclass
class _Trainings:
    """The trainings counted so far: each once, by the hash of what can change the weights."""

    seen: set[str] = field(default_factory=set)
    jobs: int = 0
    before: int = 0

    def epochs_left(self, config: DictConfig, run: Run) -> int:
        """Return how many epochs a job has to train, 0 if an earlier job counts for it."""
        if not config.train.epochs:
            return 0
        self.jobs += 1
        if run.identity.train_id in self.seen:
            return 0
        self.seen.add(run.identity.train_id)
        left = int(config.train.epochs) - (0 if config.force else _epochs_done(run))
        self.before += left <= 0
        return max(0, left)


def _epochs_done(run: Run) -> int:
    """Return the number of epochs in the run's checkpoint, 0 if it is missing or not its own."""
    if not run.checkpoint.is_file():
        return 0
    try:
        content = checkpoint.load(run.checkpoint)
    except ShiftbenchError:
        return 0
    return (
        len(content.get("history", ())) if content.get("train_id") == run.identity.train_id else 0
    )


def _work(
    job: _Counted,
    networks: Mapping[str, _Network],
    timed: Mapping[str, Rates],
    trainings: _Trainings,
) -> Iterator[Work]:
    """Yield the training of a job, if no earlier job counts for it, and its measurements."""
    cost, nearest = networks[job.network].cost, _nearest(job.network, networks, timed)
    other, rates = networks[nearest].cost, timed[nearest]
    scale = cost.macs / max(other.macs, 1)
    if epochs := trainings.epochs_left(job.config, job.run):
        images, val = job.images * epochs, job.val * epochs
        passes = 3.0 * images + val
        per_image = math.nan if rates.training is None else rates.training * scale
        states = rates.checkpoint / max(other.params, 1) or 4 * STATES
        yield Work(
            TRAINING, "", 1, images, passes, passes * cost.macs,
            images * per_image + val * rates.direct * scale, states * cost.params,
        )  # fmt: skip
    yield from _measuring(job, cost, timed, rates.direct * scale)


def _measuring(
    job: _Counted, cost: Cost, timed: Mapping[str, Rates], per_pass: float
) -> Iterator[Work]:
    """Yield the measurements of a job, given the seconds of a forward pass."""
    for name, (protocol, columns, macs) in job.views.items():
        tested = timed[job.network].dense if job.network in timed else {}
        key = _protocol_key(job.config, name)
        if (dense := tested.get(key)) is not None:
            engine, views = DENSE, job.test * dense.views
            passes, seconds = job.test * dense.macs / max(cost.macs, 1), job.test * dense.seconds
        else:
            engine, views = _without_dense(job, protocol, key in tested), job.test * columns
            passes = views * macs / max(cost.macs, 1)
            seconds = passes * per_pass
        disk = views * BYTES_PER_VIEW
        yield Work(name, engine, 1, views, passes, passes * cost.macs, seconds, disk)


def _without_dense(job: _Counted, protocol: ShiftProtocol, tested: bool) -> str:
    """Return ``direct``, or ``direct at most`` where the dense engine may turn out to apply."""
    if not protocol.circular or job.config.measure.engine == "direct":
        return DIRECT
    return DIRECT if tested else AT_MOST


def _nearest(name: str, networks: Mapping[str, _Network], timed: Mapping[str, Rates]) -> str:
    """Return the timed network that is nearest in multiply-adds, itself if it was timed."""
    if name in timed:
        return name
    own = networks[name].cost.macs
    alike = [
        other for other in timed
        if bool(networks[other].config.train.epochs) == bool(networks[name].config.train.epochs)
    ] or list(timed)  # fmt: skip
    return min(alike, key=lambda other: abs(networks[other].cost.macs - own))


def _tables(job: _Counted, networks: Mapping[str, _Network], timed: Mapping[str, Rates]) -> float:
    """Return the bytes of a job's prediction tables in memory, where large columns are not kept."""
    parts = _measuring(job, networks[job.network].cost, timed, 0.0)
    return sum(min(part.disk, spilled.LARGE / 4 * BYTES_PER_VIEW) for part in parts)
