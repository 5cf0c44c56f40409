"""The contract of an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from shiftbench.contracts import give_contract, own_names, refuse_misspelt


class Activation(nn.Module):
    """A non-linearity of feature maps: ``Activation(channels, padding="zeros")``.

    ``x: (N, C, H, W) -> (N, C, H, W)``, ``channels`` being those of ``x`` and ``padding`` that of
    the network.

    Attributes:
        needs_norm: Whether its values explode unless a norm comes right before it.

    Raises:
        UsageError: If a subclass declares a misspelt attribute.
    """

    needs_norm: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Activation, own_names(cls))


class MakeActivation:
    """A factory of activations; plain modules get the attributes of :class:`Activation`.

    Args:
        make: Called as ``make(channels, padding="zeros")``.
    """

    def __init__(self, make: Callable[..., nn.Module]) -> None:
        self.make = make

    def __call__(self, channels: int, padding: str = "zeros") -> Activation:
        """Return an activation of maps with so many channels."""
        return give_contract(self.make(channels, padding=padding), Activation)
