"""The pictures that a network was shown: strips of shifted views, for figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from shiftbench.data.images import Split
from shiftbench.ops.geometry import to_unit
from shiftbench.predict.protocol import ShiftProtocol, source


def strips(
    split: Split,
    protocol: ShiftProtocol,
    images: Iterable[int],
    shifts: ArrayLike,
    mean: Sequence[float] | None = None,
) -> dict[int, NDArray[np.uint8]]:
    """Return the views of some images under some shifts, as pixels.

    Args:
        split: The test images.
        protocol: What moves.
        images: Indices into ``split``.
        shifts: ``(V, A)``, the same for every image.
        mean: Per-channel pixel mean, for protocols that fill with it.

    Returns:
        For every index ``(V, H, W, C)`` uint8 in 0..255.
    """
    protocol, split = source(protocol, split)
    moves = torch.as_tensor(np.asarray(shifts, dtype=np.float32))
    pictures = {}
    for index in images:
        image, _ = next(iter(split.batches(1, torch.tensor([int(index)]))))
        views = protocol.views(image.expand(len(moves), *image.shape[1:]), moves, mean)
        unit = to_unit(views).clamp(0, 1).mul(255).round()
        pictures[int(index)] = unit.byte().permute(0, 2, 3, 1).cpu().numpy()
    return pictures
