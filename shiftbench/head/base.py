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
    """A classifier of the last feature map, made as ``Head(in_chans, map_size, num_classes)``.

    ``forward(x)`` maps ``x: (N, C, h, w) -> (N, num_classes)``.

    Attributes:
        is_global: Whether it pools over the whole feature map, so that the logits are invariant to
            circular shifts of the feature map.

    Raises:
        UsageError: If a subclass declares a misspelt attribute.
    """

    is_global: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Head, own_names(cls))

    def all_shifts(self, x: Tensor) -> Tensor:
        """Return the logits of every circular shift of ``x``, ``-> (N·h·w, num_classes)``.

        The shifts of each image are in row-major order. A head overrides this method if it can
        compute the logits at less cost than by a forward pass for every shift.
        """
        logits: Tensor = self(rolls_to_batch(x, (int(x.shape[2]), int(x.shape[3])), 1))
        return logits


class MakeHead:
    """A factory of heads.

    Args:
        make: A class or a partial of a class, called as ``make(in_chans, map_size, num_classes)``;
            it returns a :class:`Head` or any other module. A plain module without ``is_global`` is
            left unchanged: whether it depends on positions is determined from its layers.

    Attributes:
        is_global: Whether the heads pool over the whole feature map.
    """

    def __init__(self, make: Callable[..., nn.Module]) -> None:
        self.make = make
        kind = class_made_by(make)
        self.is_global = kind is not None and with_contract(kind, Head).is_global

    def __call__(self, in_chans: int, map_size: tuple[int, int], num_classes: int) -> nn.Module:
        """Return a head for feature maps of ``map_size`` (h, w)."""
        head = self.make(in_chans, map_size, num_classes)
        if isinstance(head, Head):
            refuse_misspelt(type(head), Head, vars(head))
        # Only if the module itself states it: the default of Head, False, is the cautious one.
        elif hasattr(head, "is_global"):
            give_contract(head, Head)
        return head
