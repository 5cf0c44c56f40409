"""The interface of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from shiftbench.contracts import own_names, refuse_misspelt
from shiftbench.data.shown import ShownSplit
from shiftbench.shift.plan import Plan


class Engine(ABC):
    """Answers for the views of images.

    Attributes:
        name: Its name in tables.
        plan: The shifts of every image.
        meta: Entries that the engine adds to the table's meta.
    """

    name: ClassVar[str]
    plan: Plan
    meta: dict[str, int]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Engine, own_names(cls))

    @abstractmethod
    def answer(self, split: ShownSplit, labels: Tensor, shifts: Tensor) -> dict[str, Tensor]:
        """Return the table's columns for the fetched images, ``split.positions``.

        Args:
            split: The images.
            labels: ``(N,)`` their true classes.
            shifts: ``(N, K, A)``, the columns of the plan.
        """
