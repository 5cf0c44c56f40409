"""Offsets by parts of a pixel."""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.errors import UsageError
from shiftbench.shift.plan import Grid, span


def fractional_grid(
    key: str,
    fraction: float,
    max_shift: float,
    offsets: Sequence[float] | None,
    image_size: tuple[int, int],
) -> Grid:
    """Return every multiple of ``fraction`` px in ``offsets``, or in ±``max_shift`` if None.

    Args:
        key: What to call the protocol in an error, as ``shift.subpixel``.
        fraction: Step in pixels, 1/n.
        max_shift: Largest offset per axis in pixels, end included.
        offsets: First and last offset per axis in pixels, ends included.
        image_size: ``(H, W)``; the range has to be shorter than either.

    Raises:
        UsageError: If an end is no multiple of ``fraction`` or the range does not fit.
    """
    parts = parts_of_a_pixel(f"{key}.fraction", fraction)
    name = f"{key}.max_shift" if offsets is None else f"{key}.offsets"
    around = (-max_shift, max_shift) if offsets is None else (offsets[0], offsets[1])
    shown = f"{max_shift}" if offsets is None else f"[{around[0]},{around[1]}]"
    side = min(image_size)
    beyond = any(abs(end) >= side for end in around)
    if beyond or around[0] >= around[1] or around[1] - around[0] >= side:
        raise UsageError(
            f"{name}={shown} does not fit images of {image_size[0]}×{image_size[1]}; "
            f"allowed: a range of more than 0 and less than {side} px"
        )
    if any(abs(end * parts - round(end * parts)) > 1e-6 for end in around):
        raise UsageError(f"{name}={shown} is no multiple of fraction={fraction}; change one")
    return span([round(end * parts) for end in around], parts)


def parts_of_a_pixel(key: str, fraction: float) -> int:
    """Return how many times ``fraction`` goes into a pixel.

    Raises:
        UsageError: If that is not a whole number from 1 to 16.

    >>> parts_of_a_pixel("shift.subpixel.fraction", 0.25)
    4
    """
    parts = round(1 / fraction) if 0.05 <= fraction <= 1 else 0
    if not 1 <= parts <= 16 or abs(fraction * parts - 1) > 1e-6:
        raise UsageError(f"{key}={fraction} is not allowed; give 1, 0.5, 0.25 or another 1/n px")
    return parts
