"""The direct engine: make every shifted view, run the network on it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from shiftbench.data.images import Split
from shiftbench.errors import ShiftbenchError
from shiftbench.predict.answers import answers, check_labels
from shiftbench.predict.fold import folded
from shiftbench.shift.plan import Plan
from shiftbench.table import PredictionTable

LOGIT_BUDGET = 32_000_000  # logits held at once, 128 MB in float32


class ShiftProtocol(Protocol):
    """What the engine needs of a protocol; see :mod:`shiftbench.shift`."""

    axes: tuple[str, ...]

    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown."""
        ...

    def views(self, images: Tensor, shifts: Tensor, mean: Sequence[float] | None) -> Tensor:
        """Return image n moved by ``shifts[n]``."""
        ...


def predict(
    model: Callable[[Tensor], Tensor],
    split: Split,
    image_shape: tuple[int, int, int],
    protocol: ShiftProtocol,
    *,
    batch_size: int = 256,
    mean: Sequence[float] | None = None,
    advance: Callable[[int], None] = lambda views: None,
) -> PredictionTable:
    """Show ``model`` every view of every image and keep what it answered.

    Args:
        model: Maps pixels ``(N, C, H, W)`` (uint8 or float in 0..1) to logits ``(N, classes)``.
        split: The test images.
        image_shape: ``(C, H, W)`` of the images.
        protocol: What moves.
        batch_size: Views per forward pass.
        mean: Per-channel pixel mean, for protocols that fill with it.
        advance: Called with the number of views done, for a progress bar.
    """
    plan = protocol.plan(len(split), image_shape[1:])
    num_classes = _num_classes(model, split, protocol, mean)
    check_labels(split.labels, num_classes)
    columns: dict[str, list[Tensor]] = {}
    for images, labels, shifts in _chunks(split, plan, num_classes):
        logits = _logits(model, images, shifts, protocol, batch_size, mean)
        for name, values in answers(logits, labels, plan.previous.to(labels.device)).items():
            columns.setdefault(name, []).append(values.cpu())
        advance(logits.shape[0] * logits.shape[1])
    meta = {"protocol": describe(protocol), "engine": "direct", "num_classes": num_classes,
            "exhaustive": plan.exhaustive}  # fmt: skip
    return _table({name: torch.cat(parts) for name, parts in columns.items()}, split, plan,
                  protocol.axes, meta)  # fmt: skip


def describe(protocol: Any) -> dict[str, Any]:
    """Return a protocol's name and every field, for the table's meta."""
    return {"name": type(protocol).__name__.lower(), **dataclasses.asdict(protocol)}


def _num_classes(
    model: Callable[[Tensor], Tensor], split: Split, protocol: ShiftProtocol,
    mean: Sequence[float] | None,
) -> int:  # fmt: skip
    images, _ = next(iter(split.batches(1)))
    zero = torch.zeros(1, len(protocol.axes), device=images.device)
    with torch.inference_mode():
        logits = model(protocol.views(images, zero, mean))
    if logits.ndim != 2:
        raise ShiftbenchError(
            f"the network returned shape {tuple(logits.shape)} for one image; "
            "it must map (N, C, H, W) to logits (N, classes)"
        )
    return int(logits.shape[1])


def _chunks(split: Split, plan: Plan, num_classes: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield images, labels and their shifts, so many that their logits fit the budget."""
    size = max(1, min(len(split), LOGIT_BUDGET // (len(plan) * num_classes)))
    start = 0
    for images, labels in split.batches(size):
        stop = start + len(labels)
        yield images, labels, plan.rows(start, stop)
        start = stop


@torch.inference_mode()
def _logits(
    model: Callable[[Tensor], Tensor], images: Tensor, shifts: Tensor, protocol: ShiftProtocol,
    batch_size: int, mean: Sequence[float] | None,
) -> Tensor:  # fmt: skip
    """Return ``(N, K, C)`` logits of all views; views of one image lie side by side in a batch."""
    count, columns = shifts.shape[:2]
    flat = shifts.reshape(count * columns, -1)
    image = torch.arange(count, device=images.device).repeat_interleave(columns)
    logits = [
        model(protocol.views(images[part], moves, mean)).float()
        for part, moves in zip(
            torch.split(image, batch_size), torch.split(flat, batch_size), strict=True
        )
    ]
    return torch.cat(logits).reshape(count, columns, -1)


def _table(
    columns: dict[str, Tensor], split: Split, plan: Plan, axes: tuple[str, ...],
    meta: dict[str, Any],
) -> PredictionTable:  # fmt: skip
    arrays: dict[str, Any] = {
        name: values.numpy().astype(np.int32 if name in ("top1", "rank_true") else np.float32)
        for name, values in columns.items()
    }
    return PredictionTable(
        **arrays,
        labels=split.labels.cpu().numpy().astype(np.int32),
        shifts=plan.shifts.numpy().astype(np.float32),
        sampled=plan.sampled.numpy(),
        previous=plan.previous.numpy().astype(np.int32),
        axes=axes,
        meta=meta,
    )


class PixelModel:
    """A network behind its normalisation: pixels in, logits out.

    Args:
        model: Maps normalised ``(N, C, H, W)`` to logits.
        mean: Per-channel pixel mean in 0..1.
        std: Per-channel standard deviation in 0..1.
        device: Where ``model`` is.
        precision: ``fp32`` or ``bf16`` (autocast).
        dtype: Of the network's parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        precision: str = "fp32",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.scale = (1 / torch.tensor(std, device=device))[:, None, None]
        self.offset = -torch.tensor(mean, device=device)[:, None, None] * self.scale
        self.autocast = precision == "bf16"

    def folded(self, images: Tensor) -> PixelModel:
        """Return the same network with BatchNorm folded, for measuring; see ``predict.fold``."""
        network = copy.copy(self)
        network.model = folded(self.model, self.normalise(images))
        return network

    def normalise(self, images: Tensor) -> Tensor:
        """Return ``(images − mean) / std`` in channels-last memory."""
        unit = images.float().div(255) if images.dtype == torch.uint8 else images
        scaled = unit * self.scale + self.offset
        return scaled.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits of pixels ``(N, C, H, W)``."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits: Tensor = self.model(self.normalise(images))
        return logits.float()
