"""The contract of a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from shiftbench.contracts import (
    class_made_by,
    give_contract,
    own_names,
    refuse_misspelt,
    with_contract,
)
from shiftbench.ops.geometry import rolls_to_batch


class Head(nn.Module):
    """From the last feature map to logits, made as ``Head(in_chans, map_size, num_classes)``.

    ``forward(x)`` maps ``x: (N, C, h, w) -> (N, num_classes)``.

    Attributes:
        is_global: Whether it pools the whole map, so that a circular shift of it changes nothing.

    Raises:
        UsageError: When a subclass is declared with a misspelt attribute.
    """

    is_global: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Head, own_names(cls))

    def all_shifts(self, x: Tensor) -> Tensor:
        """Return the logits of every circular shift of the map, ``-> (N·h·w, num_classes)``.

        Row-major over the shifts of one item. A head that has a cheaper way than running on each
        of them overrides this.
        """
        logits: Tensor = self(rolls_to_batch(x, (int(x.shape[2]), int(x.shape[3])), 1))
        return logits


class MakeHead:
    """Makes heads: a head's class or a partial of it.

    Args:
        make: ``make(in_chans, map_size, num_classes)``, a :class:`Head` or any module. A plain
            module that says nothing of ``is_global`` stays as it is: its layers say what it reads.

    Attributes:
        is_global: Whether the heads pool the whole map.
    """

    def __init__(self, make: Callable[..., nn.Module]) -> None:
        self.make = make
        kind = class_made_by(make)
        self.is_global = kind is not None and with_contract(kind, Head).is_global

    def __call__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> nn.Module:
        """Return a head for maps of ``map_size`` (h, w)."""
        head = self.make(in_chans, map_size, num_classes)
        if isinstance(head, Head):
            refuse_misspelt(type(head), Head, vars(head))
        # Asked before the contract's default would answer, which is the careful one.
        elif hasattr(head, "is_global"):
            give_contract(head, Head)
        return head
