"""How tables denote the kind of an interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# In this order: the first kind present has no mark.
NAMES = {
    "bca": "BCa", "percentile": "percentile", "wilson": "Wilson", "score": "score",
    "exact": "exact",
}  # fmt: skip
JOINED = "+"


def joined(kinds: Iterable[str]) -> str:
    """Return the kinds of several intervals as one string.

    >>> joined(["exact", "bca", "", "bca"])
    'bca+exact'
    """
    found = set(kinds)
    return JOINED.join(name for name in NAMES if name in found)


def kinds_of(joined_kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that occur, in the order of the legend."""
    found = {kind for one in joined_kinds for kind in one.split(JOINED)}
    return tuple(name for name in NAMES if name in found)


def kinds_in(summary: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of the intervals of the given metrics in a summary."""
    columns = [f"{name}_interval" for name in names if f"{name}_interval" in summary]
    return kinds_of(str(kind) for column in columns for kind in summary[column].dropna().unique())


def mark(kind: str, kinds: tuple[str, ...]) -> str:
    """Return the letters that mark an interval of this kind, among ``kinds``.

    >>> mark("wilson", ("bca", "wilson")), mark("bca+exact", ("bca", "exact")), mark("bca", ())
    ('w', 'e', '')
    """
    return "".join(one[0] for one in kind.split(JOINED) if one in kinds[1:])


def legend(kinds: tuple[str, ...]) -> str:
    """Return the legend of the intervals.

    >>> legend(("bca", "wilson", "exact"))
    '95 % interval over images: BCa; w Wilson, e exact'
    """
    if not kinds:
        return "95 % interval over images"
    marked = ", ".join(f"{name[0]} {NAMES[name]}" for name in kinds[1:])
    return "; ".join(filter(None, [f"95 % interval over images: {NAMES[kinds[0]]}", marked]))
