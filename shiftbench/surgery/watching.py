"""A forward pass, watched function by function: also the steps that no module stands for."""

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
        module: Dotted name of the innermost module that makes it, or of the module itself.
        function: Name of the torch function (``conv2d``, ``pad``, ``__getitem__``), "" for a
            module.
        args: Its arguments.
        kwargs: Its keyword arguments.
        output: What it returned.
    """

    module: str
    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any

    def inputs(self) -> list[Tensor]:
        """Return the tensors among the arguments, those in lists included."""
        return [*tensors(self.args), *tensors(self.kwargs)]

    def outputs(self) -> list[Tensor]:
        """Return the tensors that it returned."""
        return list(tensors(self.output))

    def written(self) -> list[Tensor]:
        """Return the tensors that it returned or wrote to, and those that they are parts of."""
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
    """Reports the calls that work on what was computed from the images.

    What is computed from parameters alone (a normalised weight) is not reported, nor is what an
    observer itself computes.
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
        """Let the observer see a call, unless it is one on constants."""
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
    """Run ``images`` through ``model`` in eval mode; ``see`` every call when it has returned.

    Of TorchScript and of custom autograd functions, only what they return is seen.

    Args:
        model: It is left as it was.
        images: ``(N, C, H, W)``.
        see: Given every call, in the order in which they return.
        entering: Given a module's name, arguments and keyword arguments before it runs.

    Returns:
        What the network returns.
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

        # Not the module's own methods, which TorchScript takes away.
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
    """Return the names of the parameters of ``forward`` that a call gives values to."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    return set(bound.arguments)


def titled(model: nn.Module, name: str) -> str:
    """Return a module's name and class for a sentence: ``layer1.0.conv1 (Conv2d)``."""
    # TorchScript has no get_submodule().
    kind = type(dict(model.named_modules(remove_duplicate=False))[name]).__name__
    return f"{name} ({kind})" if name else f"the network ({kind})"
