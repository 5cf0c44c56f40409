"""The direct engine: make every shifted view, run the network on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from shiftbench.ops.autocast import at_least_single
from shiftbench.predict.logits import FLOAT32, Rounding
from shiftbench.predict.protocol import ShiftProtocol
from shiftbench.predict.table_columns import answers
from shiftbench.shift.plan import Plan


class DirectEngine:
    """A forward pass for every view.

    Args:
        model: Maps pixels ``(N, C, H, W)`` to logits ``(N, classes)``.
        protocol: What moves.
        plan: Which shifts every image is shown.
        batch_size: Views per forward pass.
        mean: Per-channel pixel mean, for protocols that fill with it.
        rounding: Of the model.
    """

    name = "direct"

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        protocol: ShiftProtocol,
        plan: Plan,
        batch_size: int,
        mean: Sequence[float] | None,
        rounding: Rounding = FLOAT32,
    ) -> None:
        self.model, self.protocol, self.plan = model, protocol, plan
        self.batch_size, self.mean, self.rounding = batch_size, mean, rounding

    def answer(self, images: Tensor, labels: Tensor, shifts: Tensor) -> dict[str, Tensor]:
        """Return the table's columns for ``images`` under their ``shifts (N, K, A)``."""
        logits = self.logits(images, shifts)
        return answers(logits, labels, self.plan.previous.to(labels.device), self.rounding)

    @torch.inference_mode()
    def logits(self, images: Tensor, shifts: Tensor) -> Tensor:
        """Return ``(N, K, classes)``; views of one image lie side by side in a batch."""
        count, columns = shifts.shape[:2]
        flat = shifts.reshape(count * columns, -1)
        image = torch.arange(count, device=images.device).repeat_interleave(columns)
        size = self.batch_size
        logits = [
            at_least_single(self.model(self.protocol.views(images[part], moves, self.mean)))
            for part, moves in zip(torch.split(image, size), torch.split(flat, size), strict=True)
        ]
        return torch.cat(logits).reshape(count, columns, -1)
