"""What the network sees: example views of a protocol, as arrays for a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shiftbench.data.images import Split
from shiftbench.ops.geometry import to_unit
from shiftbench.predict.protocol import ShiftProtocol, source


def example_views(
    split: Split,
    protocol: ShiftProtocol,
    mean: Sequence[float] | None = None,
    count: int = 4,
) -> dict[str, NDArray[Any]]:
    """Return the first images of ``split`` as a protocol shows them, unmoved and moved.

    Args:
        split: The images.
        protocol: What moves.
        mean: Per-channel pixel mean in 0..1, for protocols that fill with it.
        count: How many images.

    Returns:
        ``base`` and ``moved``, ``(count, H, W, C)`` float32 in 0..1, and the shift of each,
        ``shifts (count, A)``, from all over the set.

    Raises:
        UsageError: If the protocol cannot show this split.
    """
    pixels, _ = next(iter(split.batches(count)))
    shown, views_from = source(protocol, split)
    images, labels = next(iter(views_from.batches(count)))
    height, width = pixels.shape[-2:]
    shifts = shown.plan(len(labels), (height, width)).rows(0, len(labels))
    moves = _spread(shifts)
    return {
        "base": _array(shown.views(images, shifts[:, 0], mean)),
        "moved": _array(shown.views(images, moves, mean)),
        "shifts": moves.cpu().numpy().astype(np.float32),
    }


def _spread(shifts: Tensor) -> Tensor:
    """Return one of ``shifts (N, K, A)`` for each image, ``(N, A)``: from all over the set."""
    count, columns = shifts.shape[:2]
    chosen = torch.linspace(1, columns - 1, count + 1)[1:].round().long()
    return shifts[torch.arange(count), chosen]


def _array(views: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = to_unit(views).cpu().permute(0, 2, 3, 1).numpy()
    return array
