"""Test of networks whose logits no circular shift changes."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError
from shiftbench.surgery.copying import ImageShape, for_trial, noise, trial_run
from shiftbench.surgery.rolling import TOLERANCE


def is_invariant(model: nn.Module, shape: ImageShape) -> bool:
    """Return whether circular shifts of a noise image leave the logits unchanged.

    By one pixel along each axis, by several along both, and by about half of the image; relative
    to the difference between the logits of two images, without constant parameters, in float64 if
    the network can.

    Args:
        model: In any mode; it is not modified.
        shape: ``(C, H, W)`` of the images.
    """
    with suppress(Exception):  # some networks always compute in float32
        return _unchanged(for_trial(model, torch.float64), shape)
    return _unchanged(for_trial(model), shape)


def require_invariant(model: nn.Module, shape: ImageShape) -> None:
    """Refuse a network with circular borders whose logits a circular shift changes.

    Raises:
        ShiftbenchError: With what to do.
    """
    if not is_invariant(model, shape):
        raise ShiftbenchError(
            "padding=circular cannot be given to this network: it was anchored, and circular "
            f"shifts of images of {'×'.join(map(str, shape))} still change its logits; anchor it "
            "for images of this size"
        )


def _unchanged(model: nn.Module, shape: ImageShape) -> bool:
    image, other = noise(model, 2, shape).split(1)
    height, width = shape[1:]
    shifts = [(1, 0), (0, 1), (5, 3), (height // 2 + 1, width // 2 + 2)]
    shifted = [image.roll(shift, (2, 3)) for shift in shifts]
    with trial_run(model):
        logits = model(torch.cat([image, *shifted, other]))
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        return False
    spread = (logits[0] - logits[-1]).abs().max()
    tolerance, rounding = TOLERANCE.get(logits.dtype, TOLERANCE[torch.float32])
    resolved = spread > 10 * rounding * logits.abs().max()
    return bool(resolved and (logits[1:-1] - logits[0]).abs().max() <= tolerance * spread)
