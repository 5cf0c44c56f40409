"""Changes to networks that somebody else built, weights kept.

``circular`` makes every border wrap around; ``replace_downsampling`` does every downsampling step
as a pool says. Both return a copy, and what they changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shiftbench.surgery.borders import circular as circular
    from shiftbench.surgery.downsampling import Replaced as Replaced
    from shiftbench.surgery.downsampling import replace_downsampling as replace_downsampling

_HOMES = {
    "circular": "borders",
    "Replaced": "downsampling",
    "replace_downsampling": "downsampling",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"shiftbench.surgery.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'shiftbench.surgery' has no attribute '{name}'")
