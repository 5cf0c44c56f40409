"""Checks of values that several protocols take: ranges of offsets, side lengths in pixels."""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.errors import UsageError, printable

# Largest accepted side of a canvas, in pixels.
MAX_CANVAS = 4096
BASES = ("centre", "before_centre")


def base_corner(base: str, room: int) -> int:
    """Return the start of the base view on an axis along which it can move by ``room`` pixels.

    >>> base_corner("centre", 10), base_corner("centre", 9)
    (5, 4)
    >>> base_corner("before_centre", 10), base_corner("before_centre", 9)
    (4, 4)
    """
    return room // 2 if base == "centre" else (room - 1) // 2


def ends(
    key: str, value: Sequence[float] | None, whole: bool = True
) -> tuple[int | float, int | float] | None:
    """Return ``value`` as a tuple (first, last) of plain numbers; None stays None.

    Raises:
        UsageError: If it is not two numbers (integers if ``whole``), the smaller one first.
    """
    if value is None:
        return None
    numbers = [] if isinstance(value, str | int | float) else list(value)
    kinds = int if whole else int | float
    good = len(numbers) == 2 and all(isinstance(v, kinds) for v in numbers)
    if not good or numbers[0] >= numbers[1]:
        kind = "whole numbers" if whole else "numbers"
        raise UsageError(
            f"{key}={printable(value)} is not allowed; give two {kind}, smaller first, or null"
        )
    return numbers[0], numbers[1]


def side(key: str, value: float, canvas: tuple[int, int]) -> int:
    """Return a side in pixels; a ``value`` below 1 is a fraction of the canvas's shorter side.

    Raises:
        UsageError: If it is not between one pixel and the shorter side of ``canvas``.
    """
    shorter = min(canvas)
    pixels = round(value * shorter) if 0 < value < 1 else value
    if pixels != int(pixels) or not 1 <= pixels <= shorter:
        raise UsageError(
            f"{key}={value} does not fit a canvas of {canvas[0]}×{canvas[1]}; "
            f"allowed: 1 to {shorter} px, or a fraction between 0 and 1"
        )
    return int(pixels)


def canvas_size(key: str, value: int | None, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the canvas ``(H, W)``: a square of side ``value``, or the image size for None.

    Raises:
        UsageError: If ``value`` is not an integer from 1 to 4096.
    """
    if value is None:
        return image_size
    if not isinstance(value, int) or not 1 <= value <= MAX_CANVAS:
        raise UsageError(
            f"{key}={printable(value)} is not allowed; "
            f"give a whole number of px from 1 to {MAX_CANVAS}, or null"
        )
    return value, value


def object_size(shorter: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return ``(H, W)`` of an image resized to a shorter side of ``shorter``, aspect ratio kept.

    >>> object_size(100, (256, 512))
    (100, 200)
    """
    scale = shorter / min(image_size)
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))
