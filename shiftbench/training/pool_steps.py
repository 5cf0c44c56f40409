"""What pools contribute to a training: preparation before each step, and losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shiftbench.pool.base import Downsampling, StepStart
from shiftbench.runtime.distributed.team import Team
from shiftbench.seeds import derive_seed


class PoolSteps:
    """The pools of a network that depend on the progress of its training.

    The random numbers of every epoch have their own seed, so a resumed training draws the same.

    Args:
        model: The network.
        device: The device of its images.
        seed: The run's seed.
        batch: Images of a whole batch, of all processes together.
        team: The processes that share a batch.
    """

    def __init__(
        self, model: nn.Module, device: torch.device, seed: int, batch: int, team: Team
    ) -> None:
        self._pools = [pool for pool in pools_of(model) if _overrides(pool, "start_step")]
        self._seed, self._batch = seed, batch
        self._own = slice(team.rank, None, team.size)
        self._generator = torch.Generator(device) if self._pools else torch.Generator()

    def start_epoch(self, epoch: int) -> None:
        """Seed the random numbers of an epoch."""
        self._generator.manual_seed(derive_seed(self._seed, "pool", epoch))

    def start_step(self, progress: float) -> None:
        """Prepare the pools for a step, after the share ``progress`` of all steps."""
        for pool in self._pools:
            pool.start_step(StepStart(progress, self._batch, self._own, self._generator))


def pools_with_loss(model: nn.Module) -> tuple[Downsampling, ...]:
    """Return the pools of a network that may add to the loss."""
    return tuple(pool for pool in pools_of(model) if _overrides(pool, "added_loss"))


def with_pool_losses(task_loss: Tensor, pools: Sequence[Downsampling]) -> Tensor:
    """Return the loss of a batch plus the mean of what pools add to it."""
    losses = (pool.added_loss(task_loss) for pool in pools)
    added = [loss for loss in losses if loss is not None]
    return task_loss + torch.stack(added).mean() if added else task_loss


def pools_of(model: nn.Module) -> list[Downsampling]:
    """Return the pools of a network, in the order of its modules."""
    return [module for module in model.modules() if isinstance(module, Downsampling)]


def _overrides(pool: Downsampling, name: str) -> bool:
    return getattr(type(pool), name) is not getattr(Downsampling, name)
