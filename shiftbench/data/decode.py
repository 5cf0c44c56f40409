"""One image file to one uint8 array of a fixed size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Pixels = NDArray[np.uint8]


class UnreadableImage(Exception):
    """The file is no image, or a damaged one; the message is the short reason."""


def decode_image(
    path: Path,
    size: int,
    channels: int,
    short_side: int | None = None,
    interpolation: str = "bilinear",
) -> Pixels:
    """Return the image as ``(channels, size, size)`` uint8.

    The short side is resized to ``short_side`` (antialiased) and the centre is cut out, as
    torchvision's ``Resize`` and ``CenterCrop`` do with PIL images; an image that already has
    this size keeps its pixels.

    Args:
        path: File in a format that PIL reads; of an animation, the first frame.
        size: Height and width of the result in pixels.
        channels: 3 for RGB, 1 for grey.
        short_side: Of the image from which the centre is cut, in pixels; None is ``size``.
        interpolation: A filter of PIL's, in lower case.

    Raises:
        UnreadableImage: If PIL cannot make an image of the file.
    """
    try:
        with Image.open(path) as image:
            pixels = _convert(image, "L" if channels == 1 else "RGB")
            fitted = _fit(pixels, size, short_side or size, Image.Resampling[interpolation.upper()])
        return np.asarray(fitted, dtype=np.uint8).reshape(size, size, channels).transpose(2, 0, 1)
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image") from error
    except Exception as error:
        # On damaged files PIL's decoders raise nearly anything, SyntaxError and struct.error too.
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits per pixel, which convert() would clip to white instead of scaling.
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(mode)
    if image.mode == "F":
        raise UnreadableImage("its pixels are floating-point numbers without a known range")
    if image.mode == "P" and "transparency" in image.info:
        # Straight to RGB would do the same, with a warning.
        image = image.convert("RGBA")
    return image.convert(mode)


def _fit(
    image: Image.Image, size: int, short_side: int, interpolation: Image.Resampling
) -> Image.Image:
    width, height = image.size
    short = min(width, height)
    if short != short_side:
        # Multiplied first and then cut down to a whole number, as torchvision does.
        width, height = (short_side * side // short for side in (width, height))
        image = image.resize((width, height), interpolation)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))
