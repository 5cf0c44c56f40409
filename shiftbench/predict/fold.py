"""Fold BatchNorm into the convolution before it, for inference."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from shiftbench import padding
from shiftbench.predict.layer_code import runs_as
from shiftbench.predict.logits import Rounding, change, scale
from shiftbench.predict.noise import noise_like

log = logging.getLogger(__name__)


def folded(model: nn.Module, images: Tensor, rounding: Rounding | None = None) -> nn.Module:
    """Return a copy of ``model`` in which BatchNorm layers are folded into their convolutions.

    Which BatchNorm follows which convolution is seen by running ``images``, so it holds for any
    ``nn.Module``. A pair is folded where nothing but the BatchNorm reads what the convolution
    returns, nothing writes into it, and nothing else reads the convolution's weights. The copy's
    logits are then compared with the model's on ``images`` and on noise; where they differ by more
    than rounding, the model itself is returned.

    Args:
        model: In eval mode.
        images: ``(N, C, H, W)`` as the model takes them.
        rounding: Of the model's arithmetic; float32 by default.
    """
    pairs = _pairs(model, images)
    if not pairs:
        return model
    rounding = rounding or Rounding()
    fused = copy.deepcopy(model)
    for convolution, norm in pairs:
        _fold(fused, convolution, norm)
    for inputs in (images, noise_like(images, 2, torch.Generator().manual_seed(0))):
        with torch.inference_mode():
            before, after = model(inputs).float(), fused(inputs).float()
        moved = change(after[:, None], before[:, None]).squeeze(1)
        if not bool((moved <= rounding.engines * scale(before, rounding)).all()):
            log.debug("BatchNorm is not folded: logits would change by %g", float(moved.max()))
            return model
    return fused


class _Uses(TorchDispatchMode):
    """Counts, by their memory, how often tensors are read or written by an operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.of: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in pytree.tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
        self.of.update({_memory(tensor) for tensor in tensors})
        return func(*args, **(kwargs or {}))


def _memory(tensor: Tensor) -> int:
    """Return what a tensor shares with its views, and with itself written to in place."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a sparse tensor
        return 0


def _pairs(model: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """Return the names of (convolution, BatchNorm) of which one can be folded into the other."""
    made_by: dict[int, tuple[str, Tensor]] = {}
    calls: Counter[str] = Counter()
    found: list[tuple[str, str, Tensor]] = []
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def after(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] += 1
            if isinstance(module, nn.Conv2d):
                made_by[id(output)] = (
                    name,
                    output,
                )  # holding it keeps its memory from being reused
            elif inputs and id(inputs[0]) in made_by:
                found.append((made_by[id(inputs[0])][0], name, inputs[0]))

        handles.append(module.register_forward_hook(after))

    for name, module in model.named_modules():
        if _is_plain(module):
            watch(name, module)
    uses = _Uses()
    try:
        # Not in inference mode, in which torch does not dispatch to Python.
        with torch.no_grad(), uses:
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return [
        (convolution, norm)
        for convolution, norm, between in found
        if calls[convolution] == calls[norm] == 1
        and uses.of[_memory(between)] == 1
        and uses.of[_memory(model.get_submodule(convolution).weight)] == 1  # type: ignore[arg-type]
    ]


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is a convolution or a BatchNorm that runs torch's code and no hook."""
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or nn.utils.parametrize.is_parametrized(module)
    ):
        return False
    if isinstance(module, nn.Conv2d):
        return runs_as(module, nn.Conv2d, padding.Conv2d) and "weight" in module._parameters
    return (
        isinstance(module, nn.BatchNorm2d)
        and runs_as(module, nn.BatchNorm2d)
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
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module is batch_norm:  # under every name that it has
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, nn.Identity())
