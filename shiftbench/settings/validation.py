"""Checks of a config group's values against the annotations of its constructor."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shiftbench.errors import UsageError, did_you_mean, printable

_WORDS = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text (a number as text: \"'7'\")",
    types.NoneType: "null",
}
_WORDS_OF_MANY = {bool: "flags", float: "numbers", int: "whole numbers", str: "names"}


def check_arguments(key: str, make: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse unknown arguments of ``make``, wrong types and non-finite numbers.

    Ranges are checked by the constructor. Parameters without an annotation accept any value.

    Args:
        key: Prefix of the names of the values, e.g. ``pool`` or ``shift.crop``.
        make: A class or a function.
        given: The values by name, without those that the program itself adds.

    Raises:
        UsageError: With the key, the value and the allowed values.
    """
    try:
        parameters = inspect.signature(make).parameters
        hints = _hints(make)
    except (TypeError, ValueError, NameError):
        return  # a third-party callable without an accessible signature
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for name, value in given.items():
        if name not in parameters and not open_ended:
            _refuse_name(key, str(name), make, parameters)
        hint = hints.get(str(name), Any)
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            check_arguments(f"{key}.{name}", hint, value)  # type: ignore[arg-type]
        elif not _fits(value, hint):
            raise UsageError(
                f"{key}.{name}={printable(value)} does not fit; it takes {_words(hint)}"
            )


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of the parameters of ``make``, without those that are unresolvable.

    A model may import the type of its pool under ``TYPE_CHECKING`` only.
    """
    # For a dataclass, the class knows in which module each inherited field was annotated.
    plain = inspect.isclass(make) and not dataclasses.is_dataclass(make)
    annotated: Any = make.__init__ if plain else make
    try:
        return typing.get_type_hints(annotated)
    except NameError:
        known = vars(sys.modules[annotated.__module__])
        found: dict[str, Any] = {}
        for name, text in annotated.__annotations__.items():
            with suppress(NameError):
                one = types.SimpleNamespace(__annotations__={name: text})
                found |= typing.get_type_hints(one, globalns=known)
        return found


def _refuse_name(
    key: str, name: str, make: Callable[..., Any], parameters: Mapping[str, inspect.Parameter]
) -> None:
    hint = did_you_mean(name, parameters)
    what = make.__qualname__ if isinstance(make, type | types.FunctionType) else make
    raise UsageError(
        f"{key}.{printable(name)} is not a setting of {make.__module__}.{what}{hint}; "
        "see shiftbench --cfg job"
    )


def _fits(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if hint is types.NoneType:
        return value is None
    if hint in (bool, str, Path):
        return isinstance(value, bool if hint is bool else str)
    if hint in (int, float):
        return _is_number(value, hint)
    if typing.get_origin(hint) is collections.abc.Sequence:
        [item] = typing.get_args(hint)
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        return listed and all(_fits(part, item) for part in value)
    if typing.get_origin(hint) is collections.abc.Mapping:
        return isinstance(value, Mapping)
    return True


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return False
    # Neither nan nor inf; integers have to fit the 64 bits of torch.
    return abs(value) < 2**63 if kind is int else abs(value) <= sys.float_info.max


def _words(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not Path]
        return " or ".join(_words(part) for part in parts)
    if typing.get_origin(hint) is collections.abc.Sequence:
        [item] = typing.get_args(hint)
        return f"a list of {_WORDS_OF_MANY.get(item, 'values')}"
    if typing.get_origin(hint) is collections.abc.Mapping:
        return "a mapping, e.g. {key: value}"
    return _WORDS.get(hint, "another value")
