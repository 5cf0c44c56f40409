"""A network behind a step that moves the view to a place that depends on its content."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Moved(nn.Module):
    """A network of ``move(x)``; one forward pass.

    ``x: (N, C, H, W) -> (N, num_classes)``. If ``move`` gives the same pixels for all circular
    shifts of a view, the answer is exactly invariant to them, for any network.

    Args:
        network: Any network.
        move: Canonical form of views, ``(N, C, H, W) -> (N, C, h, w)``.
    """

    def __init__(self, network: nn.Module, move: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.move = network, move

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the moved views."""
        logits: Tensor = self.network(self.move(x))
        return logits


def channel_sum(x: Tensor) -> Tensor:
    """Return the sum over channels, ``(N, H, W)``, in float64 where the device has it.

    Channels are added one after the other, so that a rolled view has the rolled sum to the last
    bit.
    """
    kind = torch.float32 if x.device.type == "mps" else torch.float64
    total = x[:, 0].to(kind)
    for channel in range(1, x.shape[1]):
        total = total + x[:, channel].to(kind)
    return total
