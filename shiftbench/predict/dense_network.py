"""A network that computes its answers to all circular shifts in one pass."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from shiftbench.predict.dense_layers import densify
from shiftbench.predict.phases import NotDenseError, Trace


class DenseNetwork:
    """A network that answers for every circular shift of its images in one pass.

    Args:
        model: The network in eval mode; it is copied, not modified.

    Raises:
        NotDenseError: If a layer does not lie on a torus.
    """

    def __init__(self, model: nn.Module) -> None:
        self.trace = Trace()
        self.model = densify(own_copy(model), self.trace)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits ``(N, V, classes)`` of the V distinct views of every image."""
        self.trace.start(len(images))
        logits: Tensor = self.model(images)
        return logits.reshape(len(images), -1, logits.shape[-1])

    @property
    def plain(self) -> DenseNetwork:
        """The part that the self-check compares with plain passes: all of it."""
        return self

    def columns(self, shifts: Tensor) -> Tensor:
        """Return, after a pass, which of the V views answers each of the ``shifts (K, 2)``."""
        offset, index = shifts.long(), torch.zeros(len(shifts), dtype=torch.long)
        for _, stride in sorted(self.trace.strides.items()):
            step = torch.tensor(stride)
            grid = -offset % step
            offset = (offset + grid) // step
            index = (index * stride[0] + grid[:, 0]) * stride[1] + grid[:, 1]
        if self.trace.shifts is not None:
            height, width = self.trace.shifts
            index = (index * height + offset[:, 0] % height) * width + offset[:, 1] % width
        return index


def own_copy(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` that may be modified.

    Raises:
        NotDenseError: If it contains something that cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # __deepcopy__ or __reduce__ of a class may raise anything
        reason = str(error).splitlines() or [type(error).__name__]
        raise NotDenseError(f"it cannot be copied ({reason[0]})") from error
