"""TIPS, translation-invariant polyphase sampling (Saha & Gokhale, arXiv 2404.07410)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import require_within
from shiftbench.ops.autocast import at_least_single
from shiftbench.ops.padding import pad2d
from shiftbench.pool.base import Downsampling, StepStart
from shiftbench.pool.polyphase import mixture


class TipsPool2d(Downsampling):
    """A mixture of the sampling grids, weighted channel by channel (``pool=tips``), as published.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. A depthwise 3×3 convolution with ReLU is
    averaged over s×s blocks of the map; a softmax over these s² numbers, each scaled by a learned
    factor of the channel, weighs the s² grids. Two losses are added to the cross entropy from
    ``wake_up`` on: 1 − ‖weights‖₂, and the squared difference between the convolution's output and
    the input, shifted circularly at random by up to a quarter of its size. With factors 1, 1 − α
    and α for the first loss, the cross entropy and the second loss, means over pools.

    The publication states exact invariance to circular shifts; it is not invariant: weights are
    indexed by the place in the image, grids by the phase. A shift by one pixel permutes the grids
    and hardly changes the weights.

    Each branch of a residual block has weights of its own. An odd side is extended by one reflected
    pixel at its beginning.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding; the convolution pads with zeros in any case.
        alpha: α, 0 to 1.
        wake_up: Share of the training after which the losses are added, 0 to 1; the publication's
            example adds them after 100 of 480 epochs.

    Raises:
        UsageError: If a value is out of range.
    """

    stride: int
    pad = "zeros"
    max_first = True
    has_parameters = True
    awake: Tensor

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        alpha: float = 0.35,
        wake_up: float = 0.21,
    ) -> None:
        super().__init__()
        require_within("pool.alpha", alpha, 0, 1)
        require_within("pool.wake_up", wake_up, 0, 1)
        self.stride, self.alpha, self.wake_up = stride, alpha, wake_up
        self.respond = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.scale = nn.Parameter(torch.ones(channels, 1))
        self.register_buffer("awake", torch.ones(()), persistent=False)
        self._uniform: Tensor | None = None  # of the step; drawn in each forward pass if None
        self._terms = _Terms()

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixture; in training, hold the terms of the loss."""
        x = pad2d(x, (-x.shape[3] % self.stride, 0, -x.shape[2] % self.stride, 0), "reflect")
        response = F.relu(self.respond(x))
        weights = self._weights(response)
        if self.training and torch.is_grad_enabled():
            target = self._shifted(x.detach())
            undo = F.mse_loss(at_least_single(response), at_least_single(target))
            self._terms.put((1 - weights.norm(dim=2)).mean(), undo)
        return mixture(x, weights, self.stride)

    def _weights(self, response: Tensor) -> Tensor:
        """Return the weights ``(N, C, s²)``, from the means over s×s blocks of the map."""
        blocks = response.unflatten(3, (self.stride, -1)).unflatten(2, (self.stride, -1))
        means = at_least_single(blocks).mean((3, 5)).flatten(2)
        return torch.softmax(self.scale * means, 2)

    def _shifted(self, x: Tensor) -> Tensor:
        """Return ``x`` shifted circularly at random, the same for all images."""
        drawn = torch.rand(2, device=x.device) if self._uniform is None else self._uniform
        for axis in (2, 3):
            size = x.shape[axis]
            offset = (drawn[axis - 2] * (2 * (size // 4) + 1)).long() - size // 4
            x = x.index_select(axis, (torch.arange(size, device=x.device) - offset) % size)
        return x

    def start_step(self, start: StepStart) -> None:
        """Decide whether the losses are added, and draw the shift of a step, in place."""
        self.awake.fill_(float(start.progress >= self.wake_up))
        drawn = start.per_batch(2)
        if self._uniform is None:
            self._uniform = drawn
        else:
            self._uniform.copy_(drawn)

    def added_loss(self, task_loss: Tensor) -> Tensor | None:
        """Return what the two losses of the last forward pass add, None without one in training."""
        terms = self._terms.take()
        if terms is None:
            return None
        peaked, undo = terms
        return self.awake * (peaked + self.alpha * (undo - task_loss))

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"stride={self.stride}, alpha={self.alpha}, wake_up={self.wake_up}"


class _Terms:
    """The terms of a loss between a forward pass and their use; copies hold none."""

    def __init__(self) -> None:
        self._held: tuple[Tensor, Tensor] | None = None

    def put(self, peaked: Tensor, undo: Tensor) -> None:
        self._held = peaked, undo

    def take(self) -> tuple[Tensor, Tensor] | None:
        held, self._held = self._held, None
        return held

    def __deepcopy__(self, memo: dict[int, Any]) -> _Terms:
        return _Terms()
