"""A cache of one object; without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class KeepLast(Generic[T]):
    """A cache of the object that was created last, with its key.

    Only one object is kept, since two data sets may exceed the memory.

    >>> kept = KeepLast()
    >>> kept.get("a", lambda: [1]) is kept.get("a", lambda: [2])
    True
    >>> kept.get("b", lambda: [3]), kept.get("a", lambda: [4])
    ([3], [4])
    """

    key: str | None = None
    value: T | None = None

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Return the cached object if it has this ``key``, else the result of ``make``."""
        if self.value is None or self.key != key:
            self.key, self.value = key, None  # frees memory before the new object is created
            self.value = make()
        return self.value
