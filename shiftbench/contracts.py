"""Functions shared by all extension points: contracts for plain classes, checks of names."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, TypeVar

from torch import nn

from shiftbench.errors import UsageError

Module = TypeVar("Module", bound=nn.Module)

# Threshold of difflib's ratio: "max_fist" is close to "max_first", "axis" to "axes"; "path" and
# "padding" are not close to "pad".
_CLOSE = 0.75


def names_of(contract: type) -> frozenset[str]:
    """Return the public names that ``contract`` declares, including ``forward`` for modules."""
    own = {name for name in own_names(contract) if not name.startswith("_") and len(name) > 2}
    return frozenset(own | ({"forward"} if issubclass(contract, nn.Module) else set()))


def refuse_misspelt(kind: type, contract: type, names: Iterable[str]) -> None:
    """Refuse public names of a user's class that resemble a name of the contract.

    Otherwise a default that the class intends to override would silently remain in effect. Other
    names are allowed, and so are names that contain a name of the contract as a whole word
    (``phase_of``).

    Args:
        kind: The user's class.
        contract: The base class that it is derived from.
        names: Its attributes, methods and fields.

    Raises:
        UsageError: With the attribute and the name that was probably intended.
    """
    known = names_of(contract)
    inherited = {name for base in kind.__mro__[1:] for name in vars(base)}
    for name in names:
        if name.startswith("_") or name in known or name in inherited:
            continue
        close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_CLOSE)
        if close and not name.startswith(f"{close[0]}_") and not name.endswith(f"_{close[0]}"):
            raise UsageError(
                f"{kind.__module__}.{kind.__qualname__} has an attribute '{name}', which is none "
                f"of {contract.__name__} (did you mean '{close[0]}'?); correct it, or call a "
                f"helper of your own '_{name}'"
            )


def own_names(kind: type) -> list[str]:
    """Return the names that the body of a class declares, with or without values."""
    return [*vars(kind), *inspect.get_annotations(kind)]


def with_contract(kind: type[nn.Module], contract: type[Module]) -> type[Module]:
    """Return a subclass of a plain module class that also has the defaults of ``contract``.

    Attributes of ``kind`` take precedence. The class keeps its name in reports and
    ``print(model)``.
    """
    if issubclass(kind, contract):
        return kind
    made: type[Module] = _mixed(kind, contract)  # type: ignore[arg-type]
    return made


@cache  # modules of one class remain of one class
def _mixed(kind: type[nn.Module], contract: type[nn.Module]) -> Any:
    about = {"__doc__": kind.__doc__, "__module__": kind.__module__}
    return type(kind.__name__, (kind, contract), about)


def give_contract(module: nn.Module, contract: type[Module]) -> Module:
    """Add the defaults of ``contract`` to a plain module in place.

    Raises:
        UsageError: If one of its parameters, buffers or children has a name of the contract.
    """
    if isinstance(module, contract):
        return module
    held = {*module._parameters, *module._buffers, *module._modules}
    if hidden := sorted(held & names_of(contract)):
        raise UsageError(
            f"{type(module).__name__} holds a tensor or layer called '{hidden[0]}', which "
            f"{contract.__name__} has another use for; give it another name"
        )
    module.__class__ = with_contract(type(module), contract)
    assert isinstance(module, contract)
    return module


def class_made_by(make: Any) -> type[nn.Module] | None:
    """Return the module class that a class or a partial of it creates; None for a function."""
    kind = make.func if isinstance(make, partial) else make
    return kind if isinstance(kind, type) and issubclass(kind, nn.Module) else None
