"""Extraction of logits from the output of networks, and functions as networks."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError, UsageError, printable

WANTED = "it must map (N, C, H, W) to logits (N, classes)"


def logits_of(answer: object, images: int) -> Tensor:
    """Return the logits ``(N, classes)`` in the output of a network.

    The output is a tensor, whose further axes may have length 1; an object or a dict with
    ``logits``; or a dict, a tuple or a list with exactly one such tensor.

    Args:
        answer: The output of the network.
        images: The number of images in its input.

    Raises:
        ShiftbenchError: If there are no logits, or several candidates.
    """
    found = _candidates(answer, images)
    if len(found) == 1:
        return found[0]
    count = "one image" if images == 1 else f"{images} images"
    problem = f"the network returned {_described(answer)} for {count}"
    if len(found) > 1:
        raise ShiftbenchError(
            f"{problem}, and which of them are the logits is unknown; return only these, or "
            "name them, e.g. {'logits': ...}"
        )
    raise ShiftbenchError(f"{problem}; {WANTED}")


def give_logits(model: nn.Module) -> None:
    """Make ``model`` return only its logits; the names of its parts stay the same."""
    model.register_forward_hook(_take_logits)


def _take_logits(_: nn.Module, inputs: tuple[Any, ...], answer: object) -> Tensor:
    return logits_of(answer, len(inputs[0]))


def named_logits(answer: object) -> object:
    """Return the attribute ``logits`` of what a network returned, None where there is none."""
    # The outputs of transformers, torchvision and others have no class in common.
    return getattr(answer, "logits", None)


def _candidates(answer: object, images: int) -> list[Tensor]:
    if isinstance(answer, Tensor):
        logits = _as_logits(answer, images)
        return [] if logits is None else [logits]
    named = answer.get("logits") if isinstance(answer, Mapping) else None
    named = named_logits(answer) if named is None else named
    if isinstance(named, Tensor):
        return _candidates(named, images)
    held = list(answer.values()) if isinstance(answer, Mapping) else answer
    if not isinstance(held, tuple | list):
        return []
    tensors = [value for value in held if isinstance(value, Tensor)]
    return [logits for t in tensors if (logits := _as_logits(t, images)) is not None]


def _as_logits(tensor: Tensor, images: int) -> Tensor | None:
    """Return ``(N, classes)`` if the tensor has this shape up to axes of length 1."""
    if tensor.is_complex() or not tensor.numel():
        return None
    if images == 1 and tensor.ndim == 1:  # a network that squeezes its answer
        return tensor[None]
    if tensor.ndim < 2 or any(side != 1 for side in tensor.shape[2:]):
        return None
    return tensor.flatten(1) if tensor.ndim > 2 else tensor


def _described(answer: object) -> str:
    """Return a short description of a network's output."""
    if isinstance(answer, Tensor):
        kind = "complex numbers of " if answer.is_complex() else ""
        return f"{kind}shape {tuple(answer.shape)}"
    kind = type(answer).__name__
    if isinstance(answer, Mapping):
        return printable(
            f"{kind} of {', '.join(f'{k} {_inner(v)}' for k, v in answer.items())}", 200
        )
    if isinstance(answer, tuple | list):
        return printable(f"{kind} of {', '.join(map(_inner, answer))}", 200)
    return kind


def _inner(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


class Function(nn.Module):
    """A function of images as a module.

    ``x: (N, C, H, W)`` to the function's return value. The networks that the function refers to
    (as closure, global, argument, attribute) are its children, so that their modes and devices
    can be set.
    """

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.used = nn.ModuleList(_modules_in(function, set()))

    def forward(self, x: Tensor) -> Any:
        """Return the function's value."""
        return self.function(x)


def as_module(what: str, model: object) -> nn.Module:
    """Return a network or a function as a module.

    Args:
        what: Description of its source, for the error.
        model: A module, or a callable of images.

    Raises:
        UsageError: If it is neither.
    """
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, type):
        raise UsageError(f"{what} is the class {model.__name__}; give an object of it")
    if not callable(model):
        raise UsageError(
            f"{what} is of type {type(model).__name__}, not a torch.nn.Module or a function of "
            "images; give a network"
        )
    return Function(model)


def _modules_in(thing: Any, seen: set[int]) -> Iterator[nn.Module]:
    """Yield the modules that a function refers to."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        yield thing
        return
    for part in _parts(thing):
        yield from _modules_in(part, seen)


def _parts(thing: Any) -> list[Any]:
    """Return the objects that a callable refers to."""
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.FunctionType):
        try:
            variables = inspect.getclosurevars(thing)
        except ValueError:  # an unset variable
            return []
        defaults = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        theirs = [*variables.nonlocals.values(), *variables.globals.values(), *defaults]
        return [part for part in theirs if _is_theirs(part)]
    if isinstance(thing, list | tuple):
        return list(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    try:
        return list(vars(thing).values()) if callable(thing) else []
    except TypeError:  # of an object without variables
        return []


def _is_theirs(part: Any) -> bool:
    """Return whether a variable may hold a network, i.e. is not a Python module or a class."""
    if isinstance(part, nn.Module | list | tuple | dict):
        return True
    # Not every callable has one: those that C code makes do not.
    library = str(getattr(part, "__module__", "")).partition(".")[0] in ("torch", "torchvision")
    return callable(part) and not isinstance(part, type) and not library
