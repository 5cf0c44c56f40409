"""The ``metric`` group: from the functions named in yaml files to the metrics of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, update_wrapper
from types import FunctionType
from typing import Any

from shiftbench.errors import ShiftbenchError, UsageError, printable
from shiftbench.metric.base import METRICS, OPT_IN, Metric
from shiftbench.metric.example import example

STANDARD = tuple(METRICS)
"""The metrics of the package without the opt-in ones; later entries of ``METRICS`` are external."""


def standard() -> tuple[Metric, ...]:
    """Return the metrics of the package, in the order of their rows."""
    return tuple(METRICS[name] for name in STANDARD)


def metrics_of(options: Mapping[str, Callable[..., Any]]) -> list[Metric]:
    """Return the metrics of the chosen options; the standard metrics if there is no option.

    Args:
        options: By name, a function of the prediction table decorated by
            :func:`shiftbench.metric.metric`, or a partial of one. Its rows in ``metrics.csv`` have
            the option's name.

    Raises:
        UsageError: If a function is not a metric, or two metrics would have the same name.
    """
    found: dict[str, Metric] = {}
    # The order of options is not part of a run's id, so the rows must not depend on it.
    for name in sorted(options, key=lambda name: (_plain(options[name]) is not standard, name)):
        function = options[name]
        made = standard() if _plain(function) is standard else (_named(name, function),)
        for one in made:
            known = found.setdefault(one.name, one)
            if known.function is not one.function:
                raise _taken(one.name)
    return list(found.values()) or list(standard())


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.func if isinstance(function, partial) else function


def _named(name: str, function: Callable[..., Any]) -> Metric:
    """Return the metric of a function under the name of its option."""
    plain = _plain(function)
    every = (*METRICS.values(), *OPT_IN.values())
    known = next((one for one in every if one.function is plain), None)
    if known is None:
        has_name = isinstance(plain, type | FunctionType)
        source = f"{plain.__module__}.{plain.__qualname__}" if has_name else plain
        raise UsageError(
            f"metric.{name} names {printable(source)}, which is not a metric; put "
            f'@shiftbench.metric.metric("{name}", higher_is_better=True) above the function'
        )
    given = _unusual(function) if isinstance(function, partial) else {}
    bound = update_wrapper(partial(plain, **given), plain) if given else plain
    own = _packaged_metrics()
    if name in own and own[name].function is not plain:
        raise _taken(name)
    if given and known in own.values():
        bound(example())  # refuses values out of range before anything runs
    return replace(known, name=name, function=bound)


def _packaged_metrics() -> dict[str, Metric]:
    """Return the metrics of the package by name, the opt-in ones included."""
    return {**{one.name: one for one in standard()}, **OPT_IN}


def _unusual(function: partial[Any]) -> dict[str, Any]:
    """Return the arguments that differ from the function's defaults."""
    usual = inspect.signature(function.func).parameters
    return {name: value for name, value in function.keywords.items()
            if name not in usual or usual[name].default != value}  # fmt: skip


def _taken(name: str) -> UsageError:
    return UsageError(
        f"metric.{name} would be two metrics of one name, and {name} is another one already; "
        "give yours a yaml of another name"
    )


def metrics_of_settings(settings: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics of a finished run, from the settings in its ``run.json``.

    Args:
        settings: Flat, ``{"metric.mine._target_": "my_metrics.mine"}``; without
            such a setting, the run has the standard metrics.

    Raises:
        ShiftbenchError: If one of them is external, so that its code may not be available.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        group, _, rest = key.partition(".")
        name, _, argument = rest.rpartition(".")
        if group == "metric" and name:
            chosen.setdefault(name, {})[argument] = value
    return metrics_of({name: _packaged(name, node) for name, node in chosen.items()})


def _packaged(name: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function of the package that an option refers to, with its arguments."""
    packaged = (one.function for one in _packaged_metrics().values())
    functions: list[Callable[..., Any]] = [standard, *packaged]
    own = {_public(function): function for function in functions}
    target = str(node.get("_target_"))
    if target not in own:
        raise ShiftbenchError(
            f"its metric {name} is not of shiftbench ({printable(target)}); the run's command with "
            "force=true measures it again"
        )
    return partial(own[target], **{k: v for k, v in node.items() if not k.startswith("_")})


def _public(function: Callable[..., Any]) -> str:
    """Return the name of a function in settings; see ``content.origin.public_name``."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
