"""The training loop, for batches that are already on the device."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from shiftbench.augment.base import Draws
from shiftbench.data.images import Dataset, Split
from shiftbench.errors import UsageError
from shiftbench.model import checkpoint
from shiftbench.model.pointwise import subsampled_first
from shiftbench.optimizer.contract import MakeOptimizer, Rates
from shiftbench.optimizer.sgd import Sgd
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.distributed.team import Team
from shiftbench.seeds import derive_seed
from shiftbench.storage.atomic import set_aside
from shiftbench.training import capture
from shiftbench.training.compiling import explained_failures
from shiftbench.training.epoch_stats import EpochRow, Tally, Watcher
from shiftbench.training.pool_steps import PoolSteps, pools_with_loss
from shiftbench.training.step import Augment, EpochDraws, Step, TrainingStep

log = logging.getLogger(__name__)
_ALONE = Team()


class Settings(Rates, Protocol):
    """The settings of the ``train`` group that the loop uses; see ``configs/train``."""

    epochs: int
    batch_size: int
    schedule: str
    warmup: float
    label_smoothing: float
    capture: Any
    compile: bool


def learning_rate(settings: Settings, progress: float) -> float:
    """Return the learning rate after the share ``progress`` (0..1) of all steps.

    ``onecycle`` rises linearly over the first ``warmup`` of the steps, then follows half a cosine
    to 0 (after Smith & Topin, arXiv 1708.07120); ``cosine`` starts at the top.
    """
    warmup = settings.warmup if settings.schedule == "onecycle" else 0.0
    if progress < warmup:
        return settings.lr * (0.04 + 0.96 * progress / warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup + 1e-9)))


@dataclass
class Trainer:
    """One training job, executed by :meth:`run`.

    Order and augmentation of every epoch have their own seeds, so a resumed training is identical
    to an uninterrupted one. The result is the weights of the last epoch; there is no selection by
    validation data.

    Args:
        network: The network behind its normalisation.
        data: The data set, with batches on the network's device.
        augment: ``augment(images, generator) -> images``, see :mod:`shiftbench.augment`.
        settings: The ``train`` group.
        seed: The run's seed.
        path: Path of the checkpoint, which is written after every epoch; training resumes from it
            if it exists.
        train_id: Written into the checkpoint; a checkpoint of another training is set aside.
        watcher: Listener for the progress.
        team: The processes that share every batch; the first one writes the checkpoint.
        make_optimizer: Factory of the optimizer, see :mod:`shiftbench.optimizer`.

    Raises:
        UsageError: If a batch is smaller than the team, or ``make_optimizer`` returns something
            else than an optimizer.
    """

    network: PixelModel
    data: Dataset
    augment: Augment
    settings: Settings
    seed: int
    path: Path
    train_id: str
    watcher: Watcher
    team: Team = field(default_factory=Team)
    make_optimizer: MakeOptimizer = field(default_factory=Sgd)
    history: list[EpochRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = self._new_optimizer()
        self._step: TrainingStep | None = None
        self.steps = steps_per_epoch(len(self.data.train), self.settings.batch_size)
        self.batch = min(self.settings.batch_size, len(self.data.train))
        if self.batch < self.team.size:
            raise UsageError(
                f"a batch of {self.batch} images is too few for {self.team.size} processes; "
                "raise train.batch_size, or start fewer"
            )
        self.draws = EpochDraws(self.augment, self.batch, self.team)
        network, seed = self.network, self.seed
        self.pools = PoolSteps(network.model, network.device, seed, self.batch, self.team)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        made = self.make_optimizer(self.network.model, self.settings)
        if not isinstance(made, torch.optim.Optimizer):
            raise UsageError(
                f"optimizer makes a {type(made).__name__}, not a torch.optim.Optimizer; return one "
                "from the call (model, settings), or see shiftbench list optimizer"
            )
        self._move_rates(made)
        return made

    def _move_rates(self, optimizer: torch.optim.Optimizer) -> None:
        """Put learning rates on the GPU, where a captured step reads them at their address."""
        if self.network.device.type == "cuda" and capture.has_tensor_rate(optimizer):
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(float(group["lr"]), device=self.network.device)

    def run(self) -> list[EpochRow]:
        """Train to the last epoch and return one row per epoch.

        Raises:
            ShiftbenchError: If the loss is not finite.
        """
        self._continue()
        own = self.network.model
        with subsampled_first(own), explained_failures(), self.team.training(own) as model:
            forward: Any = model
            if self.settings.compile:
                forward = torch.compile(model, dynamic=False)
            network = self.network.around(forward)
            for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
                self.history.append(self._epoch(epoch, network))
                self._save()
                self.watcher.epoch(self.history[-1])
        return self.history

    def _epoch(self, epoch: int, network: PixelModel) -> EpochRow:
        started = time.perf_counter()
        loss, accuracy, images = self.one_epoch(epoch, network)
        seconds = time.perf_counter() - started
        rate = self._rate(epoch, self.steps - 1)
        val = top1_accuracy(self.network, self.data.val, team=self.team)
        return EpochRow(epoch, rate, loss, accuracy, val, seconds, images / seconds)

    def one_epoch(self, epoch: int, network: PixelModel) -> tuple[float, float, int]:
        """Return the mean loss, the accuracy on the augmented images and their number."""
        self.network.model.train()
        tally = Tally(epoch, self.watcher, self.network.device, self.team)
        self.pools.start_epoch(epoch)
        batches = zip(self._batches(epoch), self._draws(epoch), strict=True)
        for number, ((images, labels), draws) in enumerate(batches):
            self._set_rate(self._rate(epoch, number))
            self.pools.start_step(self._progress(epoch, number))
            step = self._step or self._first_step(network, images, labels, draws)
            tally.add(*step(images, labels, draws), self.batch)
        return tally.close()

    def _first_step(
        self, network: PixelModel, images: Tensor, labels: Tensor, draws: Draws
    ) -> TrainingStep:
        """Return the step of this training, captured if its settings and the device allow it."""
        share = len(labels) / self.batch
        plain = Step(network, self.draws, self.optimizer, self.settings.label_smoothing, share,
                     self.team.size, pools_with_loss(self.network.model))  # fmt: skip
        self._step = capture.fastest(self.settings.capture, plain, images, labels, draws)
        return self._step

    def _rate(self, epoch: int, step: int) -> float:
        return learning_rate(self.settings, self._progress(epoch, step))

    def _progress(self, epoch: int, step: int) -> float:
        """Return the share of all steps before ``step`` (from 0) of ``epoch`` (from 1)."""
        return (epoch - 1 + step / self.steps) / self.settings.epochs

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # a captured step reads it at its address
            else:
                group["lr"] = rate

    def _draws(self, epoch: int) -> Iterable[Draws]:
        height, width = self.data.image_shape[1:]
        generator = _generator(self.seed, "augment", epoch)
        return self.draws.of_epoch(self.steps, (height, width), generator, self.network.device)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = _generator(self.seed, "train-order", epoch)
        order = torch.randperm(len(self.data.train), generator=generator)
        whole = order[: self.steps * self.batch].reshape(self.steps, self.batch)
        own = whole[:, self.team.rank :: self.team.size]
        return self.data.train.batches(own.shape[1], own.flatten())

    def _save(self) -> None:
        if not self.team.is_first:
            return
        content = {
            "train_id": self.train_id,
            "model": self.network.model.state_dict(),
            "optimizer": self._optimizer_state(),
            "history": [asdict(row) for row in self.history],
        }
        checkpoint.save(self.path, content)

    def _optimizer_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, with learning rates as numbers on every device."""
        state = self.optimizer.state_dict()
        groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
        return {**state, "param_groups": groups}

    def _continue(self) -> None:
        """Resume from the checkpoint, which the first process reads and broadcasts."""
        content = self.team.broadcast(self._read() if self.team.is_first else None)
        if content is not None and not self.team.is_first:
            self._restore(content)

    def _read(self) -> dict[str, Any] | None:
        """Return the checkpoint that was restored, None if training starts from the beginning."""
        if not self.path.is_file():
            return None
        before = copy.deepcopy(self.network.model.state_dict())
        content = None
        try:
            content = checkpoint.load(self.path)
            self._restore(content)
        except (checkpoint.DamagedError, KeyError, RuntimeError, TypeError, ValueError) as error:
            kept = set_aside(self.path)
            reason = str(error).splitlines()[0]
            log.warning("%s; kept as %s, training starts from the beginning", reason, kept.name)
            self.network.model.load_state_dict(before)
            self.optimizer = self._new_optimizer()
            self.history, content = [], None
        done = len(self.history)
        if done == self.settings.epochs:
            log.info("trained before: %s", self.path)
        elif done:
            log.info("continuing after epoch %d of %d", done, self.settings.epochs)
        return content

    def _restore(self, content: dict[str, Any]) -> None:
        if content["train_id"] != self.train_id:
            raise ValueError(f"{self.path} belongs to {content['train_id']}")
        history = [EpochRow(**row) for row in content["history"]]
        self.network.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(self._for_device(content["optimizer"]))
        self._move_rates(self.optimizer)
        self.history = history

    def _for_device(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return a saved state with the implementation (``fused``, ...) chosen for this device."""
        chosen = [
            {key: group[key] for key in ("fused", "foreach", "capturable") if key in group}
            for group in self.optimizer.param_groups
        ]
        groups = [
            {**saved, **own} for saved, own in zip(state["param_groups"], chosen, strict=True)
        ]
        return {**state, "param_groups": groups}


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of whole batches; an incomplete last batch is dropped in every epoch."""
    return max(1, images // batch_size)


@torch.inference_mode()
def top1_accuracy(
    network: PixelModel, split: Split, batch_size: int = 500, team: Team = _ALONE
) -> float:
    """Return the share of images whose largest logit is the true class."""
    network.model.eval()
    part = team.share(len(split))
    correct = torch.zeros((), device=network.device)
    if part:
        for images, labels in split.batches(batch_size, torch.arange(part.start, part.stop)):
            correct += (network(images).argmax(1) == labels).sum()
    return float(team.sum(correct)) / len(split)


def _generator(seed: int, stream: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, stream, epoch))
