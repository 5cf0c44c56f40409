"""One training step, and the augmentation of its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.augment.base import Augmentation, Draws
from shiftbench.pool.base import Downsampling
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.distributed.team import Team
from shiftbench.training.pool_steps import with_pool_losses

Augment = Callable[[Tensor, torch.Generator], Tensor]


class TrainingStep(Protocol):
    """A training step, plain or captured."""

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Update the weights; return the loss and the number of correct answers, on the device."""
        ...


@dataclass(frozen=True)
class Step:
    """The plain training step.

    Attributes:
        network: The network behind its normalisation, in training mode.
        augmentation: Applied to the images with the draws of the step.
        optimizer: Of the network's parameters, its learning rate already set.
        label_smoothing: Of the cross entropy.
        share: Share of the batch that this process has.
        processes: Number of processes, whose gradients are averaged.
        pools: The pools of the network that may add to the loss.
    """

    network: PixelModel
    augmentation: EpochDraws
    optimizer: torch.optim.Optimizer
    label_smoothing: float = 0.0
    share: float = 1.0
    processes: int = 1
    pools: Sequence[Downsampling] = ()

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Update the weights; return the loss and the number of correct answers, on the device."""
        logits = self.network(self.augmentation.apply(images, draws))
        mean = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        loss = with_pool_losses(mean, self.pools) * self.share
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.processes).backward()
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()


class EpochDraws:
    """The random draws of an epoch, for the images of one process of a team.

    Args:
        augment: An :class:`Augmentation`, whose draws are made ahead for the whole epoch, or a
            plain callable, which draws in each step.
        batch: Images of a whole batch, of all processes together.
        team: The processes that share a batch.
    """

    def __init__(self, augment: Augment, batch: int, team: Team) -> None:
        self.augment, self.batch, self.team = augment, batch, team
        self._own = slice(team.rank, None, team.size)
        self._generator = torch.Generator()

    @property
    def is_ahead(self) -> bool:
        """Whether the draws are made ahead, so that applying them copies nothing from the host."""
        return isinstance(self.augment, Augmentation)

    def of_epoch(
        self, steps: int, size: tuple[int, int], generator: torch.Generator, device: torch.device
    ) -> Sequence[Draws] | Iterator[Draws]:
        """Return the draws of every step of an epoch, on ``device``."""
        if not isinstance(self.augment, Augmentation):
            self._generator = generator
            return [()] * steps
        made = [self.augment.draw(self.batch, size, generator) for _ in range(steps)]
        # One copy of each kind of draws: a copy in every step would wait for the device.
        kinds = [torch.stack(kind)[:, self._own].to(device) for kind in zip(*made, strict=True)]
        return zip(*kinds, strict=True) if kinds else [()] * steps

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Return the augmented images of this process, ``(N, C, H, W)``."""
        if isinstance(self.augment, Augmentation):
            return self.augment.apply(images, *draws)
        if self.team.size == 1:
            return self.augment(images, self._generator)
        # The draws that the images have in the whole batch.
        whole = images.new_zeros(self.batch, *images.shape[1:])
        whole[self._own] = images
        return self.augment(whole, self._generator)[self._own]
