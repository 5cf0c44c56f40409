"""Fold BatchNorm into the preceding convolution, for inference."""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from shiftbench.ops import padding
from shiftbench.ops.autocast import at_least_single
from shiftbench.predict.logits import FLOAT32, change, scale
from shiftbench.predict.noise import noise_like
from shiftbench.predict.tensor_uses import Uses

log = logging.getLogger(__name__)

NOISE = 2  # noise images, added because the given images may be constant


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of ``model`` in which BatchNorm layers are folded into their convolutions.

    The pairs of convolution and BatchNorm are found by tracing a forward pass of ``images``, so
    any ``nn.Module`` is supported. A pair is folded if both layers run exactly once, without hooks,
    parametrisation or an overridden forward pass, and if only the BatchNorm reads or modifies the
    convolution's output. The logits of the copy are then compared with those of the model, on
    ``images`` and on noise. If they differ by more than rounding, the model itself is returned.

    Args:
        model: The network in eval mode.
        images: ``(N, C, H, W)``, normalised input of the model.
    """
    layers = {name: module for name, module in model.named_modules() if _is_norm(module)}
    if not layers:
        return model
    layers |= {name: m for name, m in model.named_modules() if _is_convolution(m)}
    inputs = torch.cat([images, noise_like(images, NOISE, torch.Generator().manual_seed(0))])
    try:
        before, pairs = _watched(model, layers, inputs)
        if not pairs or not isinstance(before, Tensor):
            return model
        fused = _fused(model, pairs)
        with torch.inference_mode():
            after = fused(inputs)
    except Exception as error:  # e.g. a fixed batch size, or a model that cannot be copied
        log.debug("BatchNorm is not folded: %s", error)
        return model
    if not _same(before, after):
        log.debug("BatchNorm is not folded: logits would change by more than rounding")
        return model
    return fused


@torch.inference_mode()
def _same(before: Tensor, after: Tensor) -> bool:
    """Whether the logits ``(N, C)`` of every image are equal up to rounding."""
    if before.ndim != 2 or before.shape != after.shape:
        return False
    before, after = at_least_single(before), at_least_single(after)
    moved = change(after[:, None], before[:, None]).squeeze(1)
    both_failed = before.isnan().any(1) & after.isnan().any(1)
    return bool(((moved <= FLOAT32.engines * scale(before, FLOAT32)) | both_failed).all())


def _watched(
    model: nn.Module, layers: dict[str, nn.Module], images: Tensor
) -> tuple[Tensor, list[tuple[str, str]]]:
    """Return the logits, and the names of the (convolution, BatchNorm) pairs to fold."""
    uses, handles = Uses(), []
    for name, module in layers.items():
        handles += uses.watch(name, module, is_source=_is_convolution(module))
    try:
        with torch.inference_mode(), uses:
            logits: Tensor = model(images)
    finally:
        for handle in handles:
            handle.remove()
    return logits, uses.pairs(logits)


def _is_convolution(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d) or not _is_plain(module):
        return False
    own = type(module)._conv_forward
    kinds = (nn.Conv2d._conv_forward, padding.Conv2d._conv_forward)
    return type(module).forward is nn.Conv2d.forward and own in kinds


def _is_norm(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.BatchNorm2d)
        and _is_plain(module)
        and type(module).forward is nn.BatchNorm2d.forward
        and module.running_mean is not None
        and not module.training
    )


def _is_plain(module: nn.Module) -> bool:
    """Whether a layer runs the forward pass of its class, without hooks or parametrisation."""
    changed = {"forward", "_conv_forward"} & set(vars(module))
    return not (
        changed
        or module._forward_hooks
        or module._forward_pre_hooks
        or nn.utils.parametrize.is_parametrized(module)
    )


def _fused(model: nn.Module, pairs: list[tuple[str, str]]) -> nn.Module:
    """Return a copy of ``model`` in which every pair is one convolution."""
    fused = copy.deepcopy(model)
    norms = {}
    for convolution, name in pairs:
        norm = fused.get_submodule(name)
        _fold(fused.get_submodule(convolution), norm)
        norms[id(norm)] = norm
    for parent in list(fused.modules()):  # a layer may be registered in several places
        for leaf, child in list(parent._modules.items()):
            if id(child) in norms:
                setattr(parent, leaf, nn.Identity())
    return fused


def _fold(conv: nn.Module, batch_norm: nn.Module) -> None:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(batch_norm, nn.BatchNorm2d)
    assert batch_norm.running_mean is not None
    assert batch_norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, batch_norm.running_mean, batch_norm.running_var, batch_norm.eps,
        batch_norm.weight, batch_norm.bias,
    )  # fmt: skip
