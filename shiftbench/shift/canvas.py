"""Pasting an object on a canvas and filling the pixels around it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from shiftbench.ops.geometry import as_float, fill_value, paste
from shiftbench.shift.inpaint import inpaint

FILLS = ("black", "mean", "inpaint")


def on_canvas(
    objects: Tensor,
    corners: Tensor,
    canvas: tuple[int, int],
    fill: str,
    mean: Sequence[float] | None,
) -> Tensor:
    """Paste object n on a canvas, with its upper left pixel at ``corners[n]``.

    Args:
        objects: ``(N, C, h, w)`` pixels before normalisation.
        corners: ``(N, 2)`` integers (y, x).
        canvas: ``(H, W)``.
        fill: ``black``, ``mean`` (of the training pixels) or ``inpaint``.
        mean: Per-channel pixel mean in 0..1, required for ``mean``.

    Returns:
        ``(N, C, H, W)`` in the dtype of ``objects``; with ``mean``, float in 0..1.
    """
    objects = as_float(objects) if fill == "mean" else objects
    placed, known = paste(objects, corners, canvas)
    if fill == "inpaint":
        return inpaint(placed, known)
    if fill == "mean":
        return placed.where(known, fill_value(placed, fill, mean)[:, None, None])
    return placed
