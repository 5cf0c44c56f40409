"""Conversion and validation of the images, labels and means that a program passes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from shiftbench.errors import UsageError, printable

log = logging.getLogger(__name__)

# Largest overshoot at edges after resizing pixels in 0..1.
OVERSHOOT = 0.5
Numbers = float | Sequence[float] | Tensor | ArrayLike


def as_images(images: Tensor | ArrayLike, normalised: bool) -> Tensor:
    """Return images ``(N, C, H, W)`` as uint8 in 0..255 or as floats.

    Args:
        images: A tensor or array of uint8, of floats, of other integers in 0..255, which are
            converted to uint8, or of booleans: False is black, True is white.
        normalised: Whether the caller then normalises them by a mean and standard deviation in
            0..1.

    Raises:
        UsageError: If they have another shape, or their range of values is ambiguous.
    """
    pixels = _tensor("images", images)
    if pixels.ndim != 4 or 0 in pixels.shape:
        raise UsageError(
            f"images have shape {tuple(pixels.shape)}; measuring needs (N, C, H, W), none of them 0"
        )
    if pixels.shape[1] > 4 and pixels.shape[3] <= 4:
        raise UsageError(
            f"images have shape {tuple(pixels.shape)}, which is (N, H, W, C); "
            "give images.transpose(0, 3, 1, 2) of an array, images.permute(0, 3, 1, 2) of a tensor"
        )
    if pixels.dtype == torch.bool:
        return pixels.to(torch.uint8) * 255
    if not pixels.is_floating_point():
        return _whole(pixels)
    return _floating(pixels, normalised)


def _whole(pixels: Tensor) -> Tensor:
    """Return integers in 0..255 as uint8."""
    if pixels.dtype == torch.uint8:
        if int(pixels.max()) == 1:
            log.warning("no pixel of the images is above 1 of 255; give floats if they are 0 and 1")
        return pixels
    wide = pixels.to(torch.int64)  # larger numbers of uint64 become negative and are refused
    low, high = int(wide.min()), int(wide.max())
    found = f"images are whole numbers ({_kind(pixels)}) from {low} to {high}"
    if low < 0 or high > 255:
        raise UsageError(
            f"{found}, and it is not known which of them is white; give uint8 of 0 to 255, "
            "or floats of 0 to 1"
        )
    if high == 1:
        raise UsageError(
            f"{found}, which may range to 255 or to 1; give uint8 of 0 to 255, or floats of 0 to 1"
        )
    log.info("%s; they are taken for pixels of 0 to 255", found)
    return wide.to(torch.uint8)


def _floating(pixels: Tensor, normalised: bool) -> Tensor:
    """Return floats of at least single precision; refuse ranges that do not fit a normalisation."""
    unit = pixels if pixels.dtype == torch.float64 else pixels.float()
    if not bool(unit.isfinite().all()):
        count = int((~unit.isfinite()).flatten(1).any(1).sum())
        raise UsageError(
            f"{count} of {len(unit)} images hold NaN or infinity; give finite numbers, "
            "of 0 to 1 for pixels"
        )
    low, high = float(unit.min()), float(unit.max())
    if not normalised or 0 <= low <= high <= 1:
        return unit
    found = f"images run from {low:.3g} to {high:.3g}, and mean and std are of pixels in 0 to 1"
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise UsageError(
            f"{found}; give pixels of 0 to 1, or leave mean and std out if the images are "
            "normalised already"
        )
    log.warning("%s", found)
    return unit


def as_labels(labels: Tensor | ArrayLike, count: int) -> Tensor:
    """Return ``(N,)`` int64 classes.

    Raises:
        UsageError: If they are not integers, one per image.
    """
    classes = _tensor("labels", labels)
    if classes.shape != (count,):
        hint = ""
        if classes.ndim == 2 and len(classes) == count:
            hint = f"; give labels.{'argmax(1)' if classes.shape[1] > 1 else 'reshape(-1)'}"
        raise UsageError(
            f"labels have shape {tuple(classes.shape)}; there must be {count} whole numbers, "
            f"one per image{hint}"
        )
    if classes.is_floating_point() and not bool((classes == classes.round()).all()):
        raise UsageError(
            f"labels have type {_kind(classes)} and hold fractions; there must be {count} "
            "whole numbers, one per image"
        )
    return classes.long()


def per_channel(name: str, value: Numbers | None, channels: int) -> tuple[float, ...] | None:
    """Return a mean or a standard deviation, of pixels in 0..1, as one number per channel.

    Args:
        name: ``mean`` or ``std``.
        value: One number for all channels, or one for each.
        channels: Number of channels of the images.

    Raises:
        UsageError: If the count is wrong, or the values do not belong to pixels in 0..1.
    """
    if value is None:
        return None
    try:
        numbers = _tensor(name, value).double().cpu()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}={printable(value)} is not a number for each channel") from error
    given = numbers.flatten().tolist()
    if numbers.ndim == 0:
        given = given * channels
    if len(given) != channels:
        raise UsageError(
            f"{name} has {len(given)} numbers and the images have {channels} channels; give "
            "one number for each channel, or a single one for all"
        )
    low = 0.0 if name == "mean" else 1e-6
    if not all(low <= number <= 1 for number in given):
        raise UsageError(
            f"{name}={printable(given)} is not within the range of pixels, 0 to 1; divide "
            f"values of 0 to 255 by 255" + ("" if name == "mean" else ", and give no 0")
        )
    return tuple(given)


def whole(name: str, value: object) -> int:
    """Return an integer of Python or numpy as int.

    Raises:
        UsageError: If ``value`` is not an integer.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise UsageError(f"{name}={printable(value)} is not a whole number; give one, e.g. 256")


def _tensor(name: str, values: Any) -> Tensor:
    """Return a tensor without gradients, negative strides and foreign byte order.

    Raises:
        UsageError: If the values are not numbers, or are lists of different lengths.
    """
    if isinstance(values, Tensor):
        plain = values.layout == torch.strided and not (values.is_quantized or values.is_meta)
        if values.is_complex() or not plain:
            raise UsageError(
                f"{name} is a tensor of {_kind(values)}, {values.layout}, on {values.device}; "
                "give plain real numbers"
            )
        return values.detach()
    if isinstance(values, list | tuple) and any(isinstance(value, Tensor) for value in values):
        values = [v.detach().cpu().numpy() if isinstance(v, Tensor) else v for v in values]
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise UsageError(
            f"{name} cannot be converted to an array ({printable(error)}); give one"
        ) from error
    if array.dtype.kind not in "buif":
        first = array.flat[0] if array.size else "nothing"
        raise UsageError(
            f"{name} has type {array.dtype} (e.g. {printable(first, 40)}), which is not a "
            f"number; give "
            + ("the index of each class, from 0" if name == "labels" else "numbers")
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    # torch does not accept negative strides, and warns of read-only arrays.
    usable = native.flags.writeable and all(stride >= 0 for stride in native.strides)
    return torch.from_numpy(native if usable else native.copy())


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
