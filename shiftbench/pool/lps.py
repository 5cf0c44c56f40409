"""Learned polyphase sampling (Rojas-Gomez et al., arXiv 2210.08001)."""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import require_within
from shiftbench.pool.base import StepStart
from shiftbench.pool.polyphase import keep, mixture
from shiftbench.pool.selector import RatingPool2d

# Share of the training after which the temperature is constant: × 0.85 in every 10 of 250 epochs
# takes 228 from 1 to 0.025.
FALL = 0.91


class LearnedPolyphase2d(RatingPool2d):
    """Keep, for each image, the sampling grid that a small network rates highest (``pool=lps``).

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. In training, the output is a mixture of all
    grids with weights softmax((rating + Gumbel noise) / temperature), whose temperature falls with
    the progress of the training. Otherwise, one grid is kept: as with ``aps``, a network with
    circular padding and a global head is then exactly invariant to integer circular shifts, trained
    or not, if the input size is divisible by the total stride and no two ratings are equal. In
    training, and with other padding, it is not.

    The shortcut of a residual block has no selector; it takes the grid or weights of the main
    branch. ``train.weight_decay`` does not apply to selectors.

    Args:
        channels: Channels of ``x``.
        stride: Subsampling factor.
        padding: The network's padding, also of the selector.
        selector_width: Channels of the selector as a share of ``channels``, up to 8; 0.125 as
            published for ImageNet, 1 as published for CIFAR.
        temperature: At the beginning of a training, 0.001 to 1000.
        final_temperature: After 91 % of it, up to ``temperature``; geometrically between.
        filter_size: Taps of a binomial blur before the subsampling, 1 to 7; 1 is no blur. The
            grid is selected on the map before the blur.

    Raises:
        UsageError: If a value is out of range.
    """

    current_temperature: Tensor

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        selector_width: float = 0.125,
        temperature: float = 1.0,
        final_temperature: float = 0.025,
        filter_size: int = 1,
    ) -> None:
        super().__init__(channels, stride, padding, selector_width, filter_size)
        require_within("pool.temperature", temperature, 0.001, 1000)
        require_within("pool.final_temperature", final_temperature, 0.001, temperature)
        self.temperature, self.final_temperature = temperature, final_temperature
        self.register_buffer(
            "current_temperature", torch.tensor(float(temperature)), persistent=False
        )
        self._uniform: Tensor | None = None  # of the step; drawn in each forward pass if None

    def phase(self, x: Tensor) -> Tensor:
        """Return the grid ``(N,)`` with the highest rating; in training, weights ``(N, s²)``."""
        ratings = self.ratings(x)
        if not self.training:
            return ratings.argmax(1)
        noise = -torch.log(-torch.log(self._noise(ratings)))
        return torch.softmax((ratings + noise) / self.current_temperature, 1)

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Keep or mix grids as ``phase`` says, by default what :meth:`phase` returns."""
        chosen = self.phase(x) if phase is None else phase
        combine = keep if chosen.ndim == 1 else mixture
        return combine(self._filtered(x), chosen, self.stride)

    def start_step(self, start: StepStart) -> None:
        """Set the temperature and draw the noise of a step, in place."""
        if self.selector is None:
            return
        ratio = self.final_temperature / self.temperature
        self.current_temperature.fill_(self.temperature * ratio ** min(1.0, start.progress / FALL))
        drawn = start.per_image(self.stride**2)
        if self._uniform is None or self._uniform.shape != drawn.shape:
            self._uniform = drawn
        else:
            self._uniform.copy_(drawn)

    def _noise(self, ratings: Tensor) -> Tensor:
        """Return uniform numbers above 0 and below 1, in the shape of ``ratings``."""
        drawn = self._uniform
        if drawn is None or drawn.shape != ratings.shape:
            drawn = torch.rand_like(ratings)
        return drawn.to(ratings).clamp_min(torch.finfo(torch.float32).tiny)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return (
            f"stride={self.stride}, temperature={self.temperature}, "
            f"final_temperature={self.final_temperature}"
        )
