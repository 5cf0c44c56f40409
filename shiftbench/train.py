"""The training loop: SGD with momentum on batches that are already on the device."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench import checkpoint
from shiftbench.data.images import Dataset, Split
from shiftbench.errors import ShiftbenchError
from shiftbench.predict.network import PixelModel
from shiftbench.seeds import derive_seed

log = logging.getLogger(__name__)

CHECK_EVERY = 20  # steps between looks at the loss; each look waits for the device


Augment = Callable[[Tensor, torch.Generator], Tensor]


class Settings(Protocol):
    """What the loop reads of the ``train`` group; see ``configs/train``."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup: float
    label_smoothing: float


class Watcher(Protocol):
    """Told how training goes; see :mod:`shiftbench.report.progress`."""

    def step(self, images: int) -> None:
        """One step of so many images is done."""
        ...

    def look(self, epoch: int, loss: float, accuracy: float) -> None:
        """Mean loss and accuracy of the epoch so far."""
        ...

    def epoch(self, row: EpochRow) -> None:
        """One epoch is done."""
        ...


@dataclass(frozen=True)
class EpochRow:
    """One row of ``train.csv``."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    seconds: float
    images_per_second: float


def learning_rate(settings: Settings, progress: float) -> float:
    """Return the learning rate when the share ``progress`` (0..1) of all steps is done.

    ``onecycle`` rises linearly over the first ``warmup`` of the steps, then follows half a cosine
    to 0 (after Smith & Topin, arXiv 1708.07120); ``cosine`` starts at the top.
    """
    warmup = settings.warmup if settings.schedule == "onecycle" else 0.0
    if progress < warmup:
        return settings.lr * (0.04 + 0.96 * progress / warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup + 1e-9)))


@dataclass
class Trainer:
    """One training job; :meth:`run` does it.

    Order and augmentation of every epoch have their own seeds, so a run that was stopped goes on
    exactly as if it had not been. The weights of the last epoch are the result: no data set picks.

    Args:
        network: The network behind its normalisation.
        data: Its batches on the network's device.
        augment: ``augment(images, generator) -> images``.
        settings: The ``train`` group.
        seed: The run's seed.
        path: Where the checkpoint goes after every epoch; continued where there is one.
        run_id: Written into the checkpoint; one of another run is refused.
        watcher: Told how it goes.
    """

    network: PixelModel
    data: Dataset
    augment: Augment
    settings: Settings
    seed: int
    path: Path
    run_id: str
    watcher: Watcher
    history: list[EpochRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.SGD(
            self.network.model.parameters(),
            lr=self.settings.lr,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
        )
        self.steps = steps_per_epoch(len(self.data.train), self.settings.batch_size)

    def run(self) -> list[EpochRow]:
        """Train to the last epoch and return a row for each.

        Raises:
            ShiftbenchError: If the loss is not finite.
        """
        self._continue()
        for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
            started = time.perf_counter()
            loss, accuracy, images = self._epoch(epoch)
            seconds = time.perf_counter() - started
            rate = float(self.optimizer.param_groups[0]["lr"])
            val = top1_accuracy(self.network, self.data.val)
            row = EpochRow(epoch, rate, loss, accuracy, val, seconds, images / seconds)
            self.history.append(row)
            self._save()
            self.watcher.epoch(row)
        return self.history

    def _epoch(self, epoch: int) -> tuple[float, float, int]:
        """Return the mean loss, the accuracy on the augmented images and how many there were."""
        self.network.model.train()
        generator = _generator(self.seed, "augment", epoch)
        tally = Tally(epoch, self.watcher, self.network.device)
        for step, (images, labels) in enumerate(self._batches(epoch)):
            progress = (epoch - 1 + step / self.steps) / self.settings.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.settings, progress)
            logits = self.network(self.augment(images, generator))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            tally.add(loss.detach(), logits.detach(), labels)
        return tally.close()

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(
            len(self.data.train), generator=_generator(self.seed, "train-order", epoch)
        )
        size = self.settings.batch_size
        return self.data.train.batches(size, order[: self.steps * size])

    def _save(self) -> None:
        content = {
            "run_id": self.run_id,
            "model": self.network.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [asdict(row) for row in self.history],
        }
        checkpoint.save(self.path, content)

    def _continue(self) -> None:
        if not self.path.is_file():
            return
        content = checkpoint.load(self.path)
        if content.get("run_id") != self.run_id:
            raise ShiftbenchError(
                f"{self.path} belongs to run {content.get('run_id')}, not to {self.run_id}; "
                "move it away or use force=true"
            )
        self.network.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = [EpochRow(**row) for row in content["history"]]
        if self.history:
            log.info("continuing after epoch %d of %d", len(self.history), self.settings.epochs)


class Tally:
    """Loss and accuracy of an epoch, kept on the device and looked at only now and then."""

    def __init__(self, epoch: int, watcher: Watcher, device: torch.device) -> None:
        self.epoch, self.watcher = epoch, watcher
        self.losses: list[Tensor] = []
        self.correct = torch.zeros((), device=device)
        self.images = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one step."""
        self.losses.append(loss)
        self.correct += (logits.argmax(1) == labels).sum()
        self.images += len(labels)
        if len(self.losses) % CHECK_EVERY == 0:
            self._look()
        self.watcher.step(len(labels))

    def close(self) -> tuple[float, float, int]:
        """Return mean loss, accuracy, images."""
        loss, accuracy = self._look()
        return loss, accuracy, self.images

    def _look(self) -> tuple[float, float]:
        losses = torch.stack(self.losses).cpu()
        if not bool(losses.isfinite().all()):
            step = int((~losses.isfinite()).nonzero()[0]) + 1
            raise ShiftbenchError(
                f"the loss became {float(losses[step - 1])} in epoch {self.epoch}, step {step}; "
                "lower train.lr, or use precision=fp32"
            )
        loss, accuracy = float(losses.mean()), float(self.correct) / self.images
        self.watcher.look(self.epoch, loss, accuracy)
        return loss, accuracy


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of whole batches; a smaller rest waits for another epoch's order."""
    return max(1, images // batch_size)


@torch.inference_mode()
def top1_accuracy(network: PixelModel, split: Split, batch_size: int = 500) -> float:
    """Return the share of images whose largest logit is the true class."""
    network.model.eval()
    correct = [(network(x).argmax(1) == y).sum() for x, y in split.batches(batch_size)]
    return float(torch.stack(correct).sum()) / len(split)


def _generator(seed: int, stream: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, stream, epoch))
