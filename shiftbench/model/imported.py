"""Any network that a Python function or class returns, given by its dotted name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from torch import nn

from shiftbench.errors import UsageError, printable
from shiftbench.model.external import Foreign, made


@dataclass(frozen=True)
class ImportedNetwork(Foreign):
    """The network that ``target(**kwargs)`` returns; importing and calling it runs its code.

    ``num_classes`` is passed if the target has such an argument and ``kwargs`` does not set it.

    Args:
        name: Its name in tables; None is the target.
        weights: Path of a state dict, or None.
        stem: See :class:`~shiftbench.model.external.Foreign`, as the fields below.
        target: Dotted name of a function, a class or a method of a class, ``package.module.make``.
        kwargs: Its arguments.
    """

    brings_weights: ClassVar[bool] = True

    target: str | None = None
    kwargs: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Refuse targets that cannot be imported before any work is done."""
        if self.target is None:
            raise UsageError(
                "model=import needs a function or class; give model.target=package.module.function"
            )
        if self.weights is not None and self.weights_file is None:
            raise UsageError(
                f"model.weights={printable(self.weights)} is not a path; model=import "
                "takes the path of a state dict, or null"
            )
        found(self.target)

    def network(self, num_classes: int, in_chans: int) -> nn.Module:
        """Return the network that the target returns."""
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
            f"model.target={printable(target)} is not a dotted name; give package.module.function"
        )
    thing, rest = _imported(target, parts)
    for name in rest:
        if not hasattr(thing, name):
            named = thing if isinstance(thing, ModuleType | type) else type(thing)
            where = named.__name__
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
    """Return the longest importable prefix of a dotted name, and the rest of the name."""
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
        except Exception as error:  # importing a third-party module may raise anything
            raise _broken(target, error) from error
    raise AssertionError("a dotted name has a first part")


def _broken(target: str, error: Exception) -> UsageError:
    return UsageError(
        f"model.target={target} cannot be imported ({printable(error, 300)}); correct or "
        "install what its module needs"
    )


def _takes(make: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(make).parameters
    except (TypeError, ValueError):  # written in C
        return False
