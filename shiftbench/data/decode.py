"""One image file to one uint8 array of a fixed size.

Pixels of more than 8 bits are scaled by the bit depth that the file states, never by its content:
a dark image stays dark. Pixels whose range no file states are refused: floating-point,
signed and 32-bit numbers. Transparency is dropped, EXIF orientation and colour profiles are
ignored, as by ``PIL.Image.convert`` and torchvision's ``ImageFolder``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

Pixels = NDArray[np.uint8]

# Tags of TIFF 6.0.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# Formats whose pixels PIL returns in 16 bits, whatever the depth of the file.
_SCALED_TO_16_BITS = ("PNG", "PPM", "JPEG2000")
# Modes that PIL converts in one step; premultiplied alpha is divided first.
_FIRST_TO = {"La": "LA", "RGBa": "RGBA", "LAB": "RGB"}
_KNOWN = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", *_FIRST_TO)


class UnreadableImage(Exception):
    """The file is not an image, or a damaged one; the message is the short reason."""


def decode_image(
    path: Path,
    size: int,
    channels: int,
    short_side: int | None = None,
    interpolation: str = "bilinear",
    squash: bool = False,
) -> Pixels:
    """Return the image as ``(channels, size, size)`` uint8.

    The short side is resized to ``short_side`` (antialiased) and the centre is cropped, as
    torchvision's ``Resize`` and ``CenterCrop`` do with PIL images; an image that already has
    this size keeps its pixels.

    Args:
        path: File in a format that PIL reads; of an animation, the first frame.
        size: Height and width of the result in pixels.
        channels: 3 for RGB, 1 for grey.
        short_side: Short side before the centre crop, in pixels; None is ``size``.
        interpolation: Name of a PIL filter, in lower case.
        squash: Resize both sides to ``short_side``, without keeping the aspect ratio.

    Raises:
        UnreadableImage: If PIL cannot make an image of the file, or the range of its pixels is not
            known.
    """
    with _with_reasons(), Image.open(path) as image:
        pixels = _convert(image, "L" if channels == 1 else "RGB")
        resampling = Image.Resampling[interpolation.upper()]
        fitted = _fit(pixels, size, short_side or size, resampling, squash)
        return np.asarray(fitted, dtype=np.uint8).reshape(size, size, channels).transpose(2, 0, 1)


def decode_windows(
    path: Path,
    boxes: Sequence[Sequence[float]],
    size: tuple[int, int],
    channels: int,
    interpolation: str = "bilinear",
    squash: bool = False,
) -> Pixels:
    """Return windows of the image, each resized once (antialiased), ``(V, channels, *size)`` uint8.

    Args:
        path: As for :func:`decode_image`.
        boxes: Top, left, height and width of each window, in 0..1 of the whole central square;
            their borders may lie between pixels.
        size: ``(h, w)`` of the result.
        channels: 3 for RGB, 1 for grey.
        interpolation: Name of a PIL filter, in lower case.
        squash: Whether boxes are in 0..1 of the whole image instead.

    Raises:
        UnreadableImage: As :func:`decode_image`.
    """
    resampling, views = Image.Resampling[interpolation.upper()], []
    with _with_reasons(), Image.open(path) as image:
        pixels = _convert(image, "L" if channels == 1 else "RGB")
        width, height = pixels.size
        wide, high = (width, height) if squash else (min(pixels.size),) * 2
        left, top = (width - wide) / 2, (height - high) / 2
        for y, x, rows, columns in boxes:
            box = (left + x * wide, top + y * high, left + (x + columns) * wide,
                   top + (y + rows) * high)  # fmt: skip
            view = pixels.resize((size[1], size[0]), resampling, box=_inside(box, pixels.size))
            views.append(np.asarray(view, dtype=np.uint8).reshape(*size, channels))
    return np.stack(views).transpose(0, 3, 1, 2)


@contextmanager
def _with_reasons() -> Iterator[None]:
    """Make whatever a decoder raises an :class:`UnreadableImage` with a short reason."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image") from error
    except Exception as error:
        # On damaged files PIL's decoders raise almost any exception, even SyntaxError.
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


def _inside(box: tuple[float, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a box that rounding may have left the image with, within it."""
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        raise UnreadableImage("its pixels are signed numbers without a known range")
    if image.mode.startswith("I"):
        return _in_8_bits(image).convert(mode)
    if image.mode == "F":
        raise UnreadableImage("its pixels are floating-point numbers without a known range")
    if image.mode not in _KNOWN:
        raise UnreadableImage(f"its pixels are of an unknown kind, {image.mode}")
    # Direct conversion of a palette with transparency gives the same result, but with a warning.
    palette = image.mode == "P" and "transparency" in image.info
    first = "RGBA" if palette else _FIRST_TO.get(image.mode)
    return (image.convert(first) if first else image).convert(mode)


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Return grey pixels of up to 16 bits as 8 bits, which ``convert`` would clip to white."""
    bits = 16 if image.format in _SCALED_TO_16_BITS else int(_tag(image, _BITS) or 32)
    if bits > 16:
        raise UnreadableImage(
            "its pixels are 32-bit numbers without a known range; save them with 8 or 16 bits"
        )
    levels = np.asarray(image).astype(np.int64) >> (bits - 8)
    if image.mode == "I;16" and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = 255 - levels  # PIL does so with 8 bits and fewer
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _tag(image: Image.Image, number: int) -> int | None:
    """Return the first value of a tag of a TIFF, None in other files."""
    value = image.tag_v2.get(number) if isinstance(image, TiffImageFile) else None
    return value[0] if isinstance(value, tuple) else value


def _fit(
    image: Image.Image,
    size: int,
    short_side: int,
    interpolation: Image.Resampling,
    squash: bool,
) -> Image.Image:
    width, height = image.size
    short = min(width, height)
    if squash:
        width, height = short_side, short_side
    elif short != short_side:
        # Multiplied first and then truncated to an integer, as torchvision does.
        width, height = (short_side * side // short for side in (width, height))
    if (width, height) != image.size:
        image = image.resize((width, height), interpolation)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))
