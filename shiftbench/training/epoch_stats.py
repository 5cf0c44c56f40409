"""Running loss and accuracy of an epoch, and the listener protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError
from shiftbench.runtime.distributed.team import Team

CHECK_EVERY = 20  # steps between reads of the loss, each of which synchronises with the device
_ALONE = Team()


class Watcher(Protocol):
    """Listener for the progress of a training; see :mod:`shiftbench.report.progress`."""

    def step(self, images: int) -> None:
        """Called after a step on ``images`` images."""
        ...

    def look(self, epoch: int, loss: float, accuracy: float) -> None:
        """Called with the mean loss and accuracy of the epoch so far."""
        ...

    def epoch(self, row: EpochRow) -> None:
        """Called after an epoch."""
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


class Tally:
    """Loss and accuracy of an epoch, accumulated on the device and read only occasionally."""

    def __init__(self, epoch: int, watcher: Watcher, device: torch.device, team: Team) -> None:
        self.epoch, self.watcher, self.team = epoch, watcher, team
        self.losses: list[Tensor] = []
        self.correct = torch.zeros((), device=device)
        self.images = 0

    def add(self, loss: Tensor, correct: Tensor, batch: int) -> None:
        """Add one step: this process's share of a batch of ``batch`` images."""
        self.losses.append(loss)
        self.correct += correct
        self.images += batch
        if len(self.losses) % CHECK_EVERY == 0:
            self._look()
        self.watcher.step(batch)

    def close(self) -> tuple[float, float, int]:
        """Return mean loss, accuracy and number of images."""
        loss, accuracy = self._look()
        return loss, accuracy, self.images

    def _look(self) -> tuple[float, float]:
        losses = self.team.sum(torch.stack(self.losses)).cpu()
        if not bool(losses.isfinite().all()):
            step = int((~losses.isfinite()).nonzero()[0]) + 1
            raise ShiftbenchError(
                f"the loss became {float(losses[step - 1])} in epoch {self.epoch}, step {step}; "
                "lower train.lr, or use precision=fp32"
            )
        accuracy = float(self.team.sum(self.correct)) / self.images
        loss = float(losses.mean())
        self.watcher.look(self.epoch, loss, accuracy)
        return loss, accuracy
