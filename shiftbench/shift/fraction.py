"""Offsets by fractions of a pixel."""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.errors import UsageError
from shiftbench.shift.plan import Grid, box

MOST_PARTS = 16  # parts per pixel


def fractional_grid(
    key: str,
    fraction: float,
    max_shift: float,
    offsets: Sequence[float] | None,
    image_size: tuple[int, int],
) -> Grid:
    """Return the grid from the first to the last of ``offsets``, in steps of ``fraction`` px.

    Args:
        key: Name of the protocol in error messages, e.g. ``shift.subpixel``.
        fraction: Step in pixels, 1/n.
        max_shift: Largest offset per axis in pixels, inclusive, used if ``offsets`` is None; the
            offsets are then all multiples of ``fraction`` in ±``max_shift``.
        offsets: First and last offset per axis in pixels, inclusive; None for ±``max_shift``.
        image_size: ``(H, W)``; the range has to be shorter than both.

    Raises:
        UsageError: If the range does not fit, or its length is not a whole number of steps.
    """
    steps = parts_of_a_pixel(f"{key}.fraction", fraction)
    name = f"{key}.max_shift" if offsets is None else f"{key}.offsets"
    first, last = (-max_shift, max_shift) if offsets is None else (offsets[0], offsets[1])
    shown = f"{max_shift}" if offsets is None else f"[{first},{last}]"
    side = min(image_size)
    if any(abs(end) >= side for end in (first, last)) or not 0 < last - first < side:
        raise UsageError(
            f"{name}={shown} does not fit images of {image_size[0]}×{image_size[1]}; "
            f"allowed: a range of more than 0 and less than {side} px"
        )
    even = _is_whole((last - first) * steps) if offsets is not None else _is_whole(last * steps)
    if not even:
        what = "is no multiple" if offsets is None else "is no whole number of steps"
        raise UsageError(f"{name}={shown} {what} of fraction={fraction}; change one")
    parts = _common_parts(name, shown, first, steps)
    axis = range(round(first * parts), round(last * parts) + 1, parts // steps)
    return box(axis, axis, parts)


def _common_parts(name: str, shown: str, first: float, steps: int) -> int:
    """Return the number of parts per pixel for which the first offset and a step are integers."""
    for parts in range(steps, MOST_PARTS + 1, steps):
        if _is_whole(first * parts):
            return parts
    raise UsageError(
        f"{name}={shown} is not allowed; offsets begin at a whole number of 1/{MOST_PARTS} px or "
        "larger parts of a pixel, e.g. 0.5"
    )


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6


def parts_of_a_pixel(key: str, fraction: float) -> int:
    """Return 1/``fraction``, the number of steps per pixel.

    Raises:
        UsageError: If it is not an integer from 1 to 16.

    >>> parts_of_a_pixel("shift.subpixel.fraction", 0.25)
    4
    """
    parts = round(1 / fraction) if 0.05 <= fraction <= 1 else 0
    if not 1 <= parts <= MOST_PARTS or abs(fraction * parts - 1) > 1e-6:
        raise UsageError(f"{key}={fraction} is not allowed; give 1, 0.5, 0.25 or another 1/n px")
    return parts
