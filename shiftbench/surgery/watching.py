"""Observation of a forward pass, function by function, also outside of modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from shiftbench.surgery.copying import name_of, trial_run


@dataclass(frozen=True)
class Call:
    """One call of a torch function, or of a module.

    Attributes:
        module: Dotted name of the innermost calling module, or of the module itself.
        function: Name of the torch function (``conv2d``, ``pad``, ``__getitem__``), "" for a
            module.
        args: Its arguments.
        kwargs: Its keyword arguments.
        output: Its return value.
    """

    module: str
    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any

    def inputs(self) -> list[Tensor]:
        """Return the tensors among the arguments, also inside lists."""
        return [*tensors(self.args), *tensors(self.kwargs)]

    def outputs(self) -> list[Tensor]:
        """Return the tensors in its output."""
        return list(tensors(self.output))

    def written(self) -> list[Tensor]:
        """Return the tensors in its output or written to, and their base tensors."""
        in_place = self.function.endswith(("_", "__setitem__"))
        changed = [*self.outputs(), *tensors(self.args[:1] if in_place else ())]
        return [*changed, *(t._base for t in changed if t._base is not None)]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument by its position or its name."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)


See = Callable[[Call], None]
Enter = Callable[[str, tuple[Any, ...], Mapping[str, Any]], None]


class _Functions(TorchFunctionMode):
    """Reports the calls whose inputs depend on the images.

    Computations on parameters only (a normalised weight) and those of an observer itself are not
    reported.
    """

    def __init__(self, model: nn.Module, see: See) -> None:
        super().__init__()
        self.see = see
        self.inside = [""]
        self.busy = False
        self.constants: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        for module in model.modules():
            held = (vars(module), module._parameters, module._buffers)
            for tensor in (t for values in held for t in values.values() if isinstance(t, Tensor)):
                self.constants[tensor] = True

    def report(self, call: Call) -> None:
        """Pass a call to the observer, unless it is on constants."""
        if all(tensor in self.constants for tensor in call.inputs()):
            self.constants.update(dict.fromkeys(call.outputs(), True))
            return
        for tensor in call.written():
            self.constants.pop(tensor, None)
        self.see(call)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Report nothing."""
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if not self.busy and next(tensors(output), None) is not None:
            name = name_of(func)
            with self.quiet():
                self.report(Call(self.inside[-1], name, args, kwargs or {}, output))
        return output


def watch(model: nn.Module, images: Tensor, see: See, entering: Enter | None = None) -> Any:
    """Run ``images`` through ``model`` in eval mode; pass every completed call to ``see``.

    For TorchScript and custom autograd functions, only their outputs are observed.

    Args:
        model: The network; it is not modified.
        images: ``(N, C, H, W)``.
        see: Receives every call, in the order of completion.
        entering: Receives a module's name, arguments and keyword arguments before it runs.

    Returns:
        The output of the network.
    """
    functions, handles = _Functions(model, see), []

    def hook(name: str, module: nn.Module) -> None:
        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            functions.inside.append(name)
            if entering is not None:
                entering(name, args, kwargs)

        def after(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            functions.inside.pop()
            with functions.quiet():
                functions.report(Call(name, "", args, kwargs, output))

        # Not the module's own methods, which TorchScript removes.
        own = nn.Module
        handles.append(own.register_forward_pre_hook(module, before, with_kwargs=True))
        handles.append(own.register_forward_hook(module, after, with_kwargs=True))

    try:
        for name, module in model.named_modules():
            hook(name, module)
        with trial_run(model), functions:
            return model(images)
    finally:
        for handle in handles:
            handle.remove()


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)


def given_names(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> set[str]:
    """Return the names of the parameters of ``forward`` that a call sets."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    return set(bound.arguments)


def titled(model: nn.Module, name: str) -> str:
    """Return a module's name and class for a sentence: ``layer1.0.conv1 (Conv2d)``."""
    # TorchScript has no get_submodule().
    kind = type(dict(model.named_modules(remove_duplicate=False))[name]).__name__
    return f"{name} ({kind})" if name else f"the network ({kind})"
