"""The direct engine: a forward pass for every shifted view."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shiftbench.data.shown import ShownSplit
from shiftbench.ops.autocast import at_least_single
from shiftbench.predict.engine_base import Engine
from shiftbench.predict.logits import FLOAT32, Rounding
from shiftbench.predict.table_columns import answers
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Plan


class DirectEngine(Engine):
    """A forward pass for every view.

    Args:
        model: Maps pixels ``(N, C, H, W)`` to logits ``(N, classes)``.
        protocol: The shift protocol.
        plan: The shifts of every image.
        batch_size: Views per forward pass.
        rounding: The model's rounding.
    """

    name = "direct"

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        protocol: ShiftProtocol,
        plan: Plan,
        batch_size: int,
        rounding: Rounding = FLOAT32,
    ) -> None:
        self.model, self.protocol, self.plan = model, protocol, plan
        self.batch_size, self.rounding = batch_size, rounding
        self.meta: dict[str, int] = {}

    def answer(self, split: ShownSplit, labels: Tensor, shifts: Tensor) -> dict[str, Tensor]:
        """Return the table's columns for the fetched images under their ``shifts (N, K, A)``."""
        logits = self.logits(split, split.positions, shifts)
        return answers(logits, labels, self.plan.previous.to(labels.device), self.rounding)

    @torch.inference_mode()
    def logits(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return ``(N, K, classes)`` for the images at positions ``index (N,)`` of a split.

        Views of one image are adjacent in a batch.
        """
        count, columns = shifts.shape[:2]
        flat = shifts.reshape(count * columns, -1)
        image = index.repeat_interleave(columns)
        groups = self.protocol.size_groups(flat)
        if groups is None:
            return self._of_views(split, image, flat).reshape(count, columns, -1)
        places = [(groups == group).nonzero().squeeze(1) for group in groups.unique()]
        logits = torch.cat([self._of_views(split, image[at], flat[at]) for at in places])
        order = torch.cat(places).argsort().to(logits.device)
        return logits[order].reshape(count, columns, -1)

    def _of_views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return ``(V, classes)`` for views of one size, a batch at a time."""
        size = self.batch_size
        logits = [
            at_least_single(self.model(self.protocol.views(split, part, moves)))
            for part, moves in zip(torch.split(index, size), torch.split(shifts, size), strict=True)
        ]
        return torch.cat(logits)
