"""What is known of a training while it runs, and who is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from shiftbench.distributed import Team
from shiftbench.errors import ShiftbenchError

CHECK_EVERY = 20  # steps between looks at the loss; each look waits for the device
_ALONE = Team()


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


class Tally:
    """Loss and accuracy of an epoch, kept on the device and looked at only now and then."""

    def __init__(self, epoch: int, watcher: Watcher, device: torch.device, team: Team) -> None:
        self.epoch, self.watcher, self.team = epoch, watcher, team
        self.losses: list[Tensor] = []
        self.correct = torch.zeros((), device=device)
        self.images = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, batch: int) -> None:
        """Count one step: what this process saw of a batch of so many images."""
        self.losses.append(loss)
        self.correct += (logits.argmax(1) == labels).sum()
        self.images += batch
        if len(self.losses) % CHECK_EVERY == 0:
            self._look()
        self.watcher.step(batch)

    def close(self) -> tuple[float, float, int]:
        """Return mean loss, accuracy, images."""
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
