"""Copies of external networks, and forward passes without side effects."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer

from shiftbench.errors import ShiftbenchError, printable
from shiftbench.model.evaluating import keeping_global_state

ImageShape = tuple[int, int, int]

# Sizes to try if neither the caller nor the network states the size of its images.
SIDES = (64, 224, 32, 299, 256, 28, 384)


HIDDEN_NOISE = 0.1


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of ``model``.

    ``copy.deepcopy`` refuses tensors that were computed from parameters, which
    ``torch.nn.utils.weight_norm`` stores in place of a weight; they are copied as plain numbers and
    recomputed by the next forward pass. It also refuses uninitialised buffers of lazy layers, which
    get new ones.
    """
    memo: dict[int, object] = {}
    for module in model.modules():
        for buffer in module._buffers.values():
            if isinstance(buffer, UninitializedBuffer):
                memo[id(buffer)] = UninitializedBuffer(  # type: ignore[call-arg]
                    device=buffer.device, dtype=buffer.dtype
                )
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


def for_trial(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return a copy of ``model`` without constant parameters, which could hide errors.

    Initial scales of 1e-6 would hide their blocks, and a table of zeros its position embedding; the
    check must hold after training, too. Parameters with constant values get noise, the same in
    every copy.

    Args:
        model: The network; it is not changed.
        dtype: In float64, differences are not due to rounding.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # copies of TorchScript hold non-leaf tensors
        trial = copied(model).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(trial.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator) * HIDDEN_NOISE
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(noise.to(parameter))
    return trial


@contextmanager
def trial_run(model: nn.Module) -> Iterator[None]:
    """Put every module into eval mode without gradients, and restore its mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    # Not inference mode: tensors that a network caches could not be used in training.
    try:
        with keeping_global_state(model), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warnings concern the network, not this copy
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def noise(model: nn.Module, count: int, shape: ImageShape) -> Tensor:
    """Return ``(count, C, H, W)`` fixed standard normal pixels, in the dtype of ``model``."""
    images = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
    held = (t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point())
    example = next(held, images)
    return images.to(example.device, example.dtype)


def image_shape_of(
    model: nn.Module, given: ImageShape | None, setting: str = "image_shape=(C, H, W)"
) -> ImageShape:
    """Return ``(C, H, W)`` of images that ``model`` accepts; initialises lazy layers.

    Args:
        model: A copy; a forward pass is run on it.
        given: The shape that the caller gave.
        setting: The caller's argument, for the error.

    Raises:
        ShiftbenchError: If the network rejects this shape, or all common ones.
    """
    tried = [given] if given is not None else list(_usual_shapes(model))
    reasons: list[str] = []
    for shape in tried:
        try:
            with trial_run(model):
                model(noise(model, 2, shape))
        except Exception as error:  # a network may raise anything
            reasons.append(printable(" ".join(str(error).split()) or type(error).__name__, 200))
        else:
            return shape
    raise ShiftbenchError(_refusal(given, tried, reasons[0], setting))


def _refusal(
    given: ImageShape | None, tried: Sequence[ImageShape], reason: str, setting: str
) -> str:
    if given is not None:
        shape = "×".join(map(str, given))
        return f"the network does not take images of {shape} ({reason}); give another {setting}"
    sides = ", ".join(str(side) for side in dict.fromkeys(shape[1] for shape in tried))
    return (
        f"the network takes no square images of {sides} pixels ({reason}), so its layers cannot "
        f"be followed; give {setting}"
    )


def name_of(function: Any) -> str:
    """Return the name of a function, "" where it has none, as a partial of one."""
    try:
        return str(function.__name__)
    except AttributeError:
        return ""


def _usual_shapes(model: nn.Module) -> Iterator[ImageShape]:
    # What timm notes in its networks, today's and earlier ones; they have no class in common.
    about = vars(model).get("pretrained_cfg") or vars(model).get("default_cfg")
    size = about.get("input_size") if isinstance(about, dict) else None
    lazy = any(isinstance(module, LazyModuleMixin) for module in model.modules())
    convolutions = [m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    channels = [3] if lazy else [*(c for c in convolutions[:1] if c > 0), 3, 1]
    if size is not None:
        yield (int(size[0]), int(size[1]), int(size[2]))
    for count in dict.fromkeys(channels):
        for side in SIDES:
            yield (count, side, side)
