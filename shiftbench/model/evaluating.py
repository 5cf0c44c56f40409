"""Run a network in eval mode, and restore it and torch's global state afterwards."""

from __future__ import annotations

import random
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from shiftbench.errors import UsageError


def _matmul_precision() -> str | None:
    """Return torch's setting; None if it differs by backend, which torch refuses to report."""
    with suppress(RuntimeError):
        return torch.get_float32_matmul_precision()
    return None


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (_matmul_precision, torch.set_float32_matmul_precision),
    *((partial(getattr, torch.backends.cudnn, flag), partial(setattr, torch.backends.cudnn, flag))
      for flag in ("benchmark", "deterministic")),
)  # fmt: skip
_CONTAINERS = (dict, OrderedDict, defaultdict, list, set)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module of ``model`` into eval mode and restore everything afterwards.

    Restored, also after an error, are each module's own train or eval flag (a frozen BatchNorm
    stays in eval mode, a dropout layer kept in train mode stays in it), its attributes, hooks,
    buffers and caches, its parameters (LoRA merges its weights in ``train()``) with their types,
    memory formats and ``requires_grad`` (a ``train()`` that freezes a backbone may unfreeze it),
    the random states of torch, numpy and Python, the grad mode, torch's global settings and the
    warning filters.

    Raises:
        UsageError: If lazy layers have not yet seen a batch to infer their sizes from.
    """
    refuse_lazy(model)
    kept = [_Kept(module) for module in model.modules()]
    weights = _Values(list(model.parameters()))
    restore_globals = _global_state(model)
    try:
        # Libraries that are imported meanwhile add warning filters.
        with warnings.catch_warnings():
            _switch(model)
            yield
    finally:
        for one in kept:
            one.restore()
        weights.restore()
        restore_globals()


def training_modules(model: nn.Module) -> int:
    """Return the number of modules in train mode."""
    return sum(map(_is_training, model.modules()))


def _is_training(module: nn.Module) -> bool:
    try:
        return bool(module.training)
    except AttributeError:  # a frozen TorchScript program has no flag
        return False


def refuse_lazy(model: nn.Module) -> None:
    """Refuse lazy layers that have not yet inferred their sizes from a batch.

    Run without gradients, as here, they would create parameters that cannot be trained.

    Raises:
        UsageError: Naming the first of them.
    """
    if names := _lazy(model):
        raise UsageError(
            f"{len(names)} layers of the network have no sizes yet (first: {names[0]}); run it "
            "once on a batch of images, e.g. model(images[:1].float()), before it is measured"
        )


def initialise(model: nn.Module, images: Tensor) -> None:
    """Initialise lazy layers with a batch, in eval mode and with trainable parameters."""
    if not _lazy(model):
        return
    flags = [(module, _is_training(module)) for module in model.modules()]
    _switch(model)
    try:
        with torch.no_grad():
            model(images)
    finally:
        for module, training in flags:
            module.training = training


def _lazy(model: nn.Module) -> list[str]:
    # torch removes the hook when a layer has its sizes, and may leave the class.
    return [
        f"{type(module).__name__} {name}".strip()
        for name, module in model.named_modules()
        if isinstance(module, LazyModuleMixin) and hasattr(module, "_initialize_hook")
    ]


def _switch(model: nn.Module) -> None:
    with suppress(NotImplementedError):  # a program of torch.export: its mode is built in
        model.eval()
    for module in model.modules():
        if _is_training(module):  # its own train() keeps this mode
            module.training = False


class _Values:
    """Saved tensors: their memory, their values and their gradient flags."""

    def __init__(self, tensors: list[Tensor]) -> None:
        plain = [t for t in tensors if t.layout == torch.strided and not t.is_meta]
        self.kept = [(t, t.detach(), t.detach().clone(), t.requires_grad) for t in plain]

    def restore(self) -> None:
        for tensor, own, before, has_gradient in self.kept:
            with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                if _place(tensor) != _place(own):
                    tensor.data = own
                if not torch.equal(tensor, before):
                    tensor.copy_(before)
            if tensor.is_leaf and tensor.requires_grad != has_gradient:
                tensor.requires_grad_(has_gradient)


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.device, tensor.shape, tensor.stride()


class _Kept:
    """Saved attributes of a module: the objects, and the contents of containers and tensors."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.training = module, _is_training(module)
        self.attributes = dict(vars(module))
        self.contents = {
            name: value.copy()
            for name, value in self.attributes.items()
            if type(value) in _CONTAINERS
        }
        held = [*self.attributes.values(), *self.attributes.get("_buffers", {}).values()]
        self.values = _Values([value for value in held if isinstance(value, Tensor)])

    def restore(self) -> None:
        state = vars(self.module)
        for name in state.keys() - self.attributes.keys():
            del state[name]
        state.update(self.attributes)
        for name, before in self.contents.items():
            _refill(self.attributes[name], before)
        if _is_training(self.module) != self.training:  # not an attribute in compiled modules
            self.module.training = self.training
        self.values.restore()


def _refill(container: Any, before: Any) -> None:
    """Restore a container's content in place, since others may refer to the container."""
    if _identities(container) == _identities(before):
        return
    container.clear()
    add = container.extend if isinstance(container, list) else container.update
    add(before)


def _identities(container: Any) -> Any:
    """Return a comparable key of a content, since tensors have no truth value."""
    if isinstance(container, dict):
        return [(key, id(value)) for key, value in container.items()]
    return container if isinstance(container, set) else [id(value) for value in container]


@contextmanager
def keeping_global_state(model: nn.Module) -> Iterator[None]:
    """Restore every random state and torch's global settings after the block."""
    restore = _global_state(model)
    try:
        yield
    finally:
        restore()


def _global_state(model: nn.Module) -> Callable[[], None]:
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    on_devices = [(device, torch.cuda.get_rng_state(device)) for device in devices]
    own, pythons = torch.get_rng_state(), random.getstate()
    numpys = np.random.get_state()  # noqa: NPY002  (the one that a network may draw from)
    settings = [(get, set_value, get()) for get, set_value in _SETTINGS]

    def restore() -> None:
        torch.set_rng_state(own)
        for device, state in on_devices:
            torch.cuda.set_rng_state(state, device)
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)
        for get, set_value, value in settings:
            if get() != value:
                set_value(value)

    return restore
