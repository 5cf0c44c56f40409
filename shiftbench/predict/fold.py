"""Fold BatchNorm into the convolution before it, for inference."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of the largest logit; folding only reorders the same arithmetic


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of ``model`` in which BatchNorm layers are folded into their convolutions.

    Which BatchNorm follows which convolution is seen by running ``images``, so it holds for any
    ``nn.Module``. The copy's logits are compared with the model's; where they differ by more than
    rounding (a convolution's output that is used twice, say) the model itself is returned.

    Args:
        model: In eval mode.
        images: ``(N, C, H, W)`` as the model takes them.
    """
    pairs = _pairs(model, images)
    if not pairs:
        return model
    fused = copy.deepcopy(model)
    for convolution, norm in pairs:
        _fold(fused, convolution, norm)
    with torch.inference_mode():
        before, after = model(images).float(), fused(images).float()
    error = (after - before).abs().max()
    if not bool(error <= TOLERANCE * before.abs().max()):
        log.debug("BatchNorm is not folded: logits would change by %g", float(error))
        return model
    return fused


def _pairs(model: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """Return the names of (convolution, BatchNorm) where one's output is the other's input."""
    made_by: dict[int, tuple[str, Tensor]] = {}
    calls: dict[str, int] = {}
    pairs: list[tuple[str, str]] = []
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def after(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            if isinstance(module, nn.Conv2d):
                made_by[id(output)] = (name, output)  # holding it keeps its id from being reused
            elif id(inputs[0]) in made_by:
                pairs.append((made_by[id(inputs[0])][0], name))

        handles.append(module.register_forward_hook(after))

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) or _is_foldable(module):
            watch(name, module)
    try:
        with torch.inference_mode():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1]


def _is_foldable(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.BatchNorm2d)
        and module.running_mean is not None
        and not module.training
    )


def _fold(model: nn.Module, convolution: str, norm: str) -> None:
    conv, batch_norm = model.get_submodule(convolution), model.get_submodule(norm)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(batch_norm, nn.BatchNorm2d)
    assert batch_norm.running_mean is not None
    assert batch_norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, batch_norm.running_mean, batch_norm.running_var, batch_norm.eps,
        batch_norm.weight, batch_norm.bias,
    )  # fmt: skip
    parent, _, leaf = norm.rpartition(".")
    setattr(model.get_submodule(parent), leaf, nn.Identity())
