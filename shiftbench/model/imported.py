"""Any network that a Python function or class returns, by its dotted name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from shiftbench.errors import UsageError, shown
from shiftbench.model.external import Foreign, made


@dataclass(frozen=True)
class ImportedNetwork(Foreign):
    """The network that ``target(**kwargs)`` returns; importing and calling it runs its code.

    ``num_classes`` is handed over where the target has such an argument and ``kwargs`` has not.

    Args:
        name: What it is called in tables; None is the target.
        weights: Path of a state dict, or None.
        stem: See :class:`~shiftbench.model.external.Foreign`, as the field below.
        target: Dotted name of a function, a class or a method of a class, ``package.module.make``.
        kwargs: Its arguments.
    """

    brings_weights: ClassVar[bool] = True

    target: str | None = None
    kwargs: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Refuse, before any work, what cannot be imported."""
        if self.target is None:
            raise UsageError(
                "model=import needs what to call; give model.target=package.module.function"
            )
        if self.weights is not None and self.weights_file is None:
            raise UsageError(
                f"model.weights={shown(self.weights)} is not a path; model=import takes the path "
                "of a state dict, or null"
            )
        found(self.target)

    def network(self, num_classes: int, in_chans: int) -> nn.Module:
        """Return what the target returns."""
        make = found(str(self.target))
        arguments = dict(self.kwargs or {})
        if _takes(make, "num_classes"):
            arguments.setdefault("num_classes", num_classes)
        return made(f"model.target={self.target}", make, **arguments)


def found(target: str) -> Callable[..., Any]:
    """Return the function or class of a dotted name.

    Raises:
        UsageError: If there is none.
    """
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"model.target={shown(target)} is not a dotted name; give package.module.function"
        )
    thing, rest = _imported(target, parts)
    for name in rest:
        if not hasattr(thing, name):
            where = getattr(thing, "__name__", type(thing).__name__)
            raise UsageError(
                f"model.target={target} does not exist ({where} has no {name}); check its spelling"
            )
        thing = getattr(thing, name)
    if not callable(thing):
        raise UsageError(
            f"model.target={target} is a {type(thing).__name__}, which cannot be called; "
            "name a function or a class"
        )
    make: Callable[..., Any] = thing
    return make


def _imported(target: str, parts: list[str]) -> tuple[Any, list[str]]:
    """Return the longest module that a dotted name begins with, and the rest of the name."""
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            return importlib.import_module(module), parts[length:]
        except ModuleNotFoundError as error:
            missing = error.name
            if missing is not None and (module == missing or module.startswith(f"{missing}.")):
                if length > 1:
                    continue
                raise UsageError(
                    f"model.target={target} cannot be imported (no module {missing}); install "
                    "its package, or put the module's folder on PYTHONPATH"
                ) from error
            raise _broken(target, error) from error
        except Exception as error:  # whatever importing somebody's module raises
            raise _broken(target, error) from error
    raise AssertionError("a dotted name has a first part")


def _broken(target: str, error: Exception) -> UsageError:
    return UsageError(
        f"model.target={target} cannot be imported ({shown(error, 300)}); correct or install what "
        "its module needs"
    )


def _takes(make: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(make).parameters
    except (TypeError, ValueError):  # written in C
        return False
