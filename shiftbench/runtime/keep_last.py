"""A cache of one object; no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class KeepLast(Generic[T]):
    """The object that was made last, and what it was made from.

    Only one is kept: two data sets may be too much for the memory.

    >>> kept = KeepLast()
    >>> kept.get("a", lambda: [1]) is kept.get("a", lambda: [2])
    True
    >>> kept.get("b", lambda: [3]), kept.get("a", lambda: [4])
    ([3], [4])
    """

    key: str | None = None
    value: T | None = None

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Return the object made from ``key``, by ``make`` unless it is the one that is kept."""
        if self.value is None or self.key != key:
            self.key, self.value = key, None  # frees the memory before it is needed
            self.value = make()
        return self.value
