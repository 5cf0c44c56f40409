"""Whose code a layer runs: a subclass, or an instance, may have a forward pass of its own."""

from __future__ import annotations

from torch import nn


def runs_as(layer: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether ``layer`` runs the code of one of these classes, whatever class it is of."""
    if "forward" in vars(layer) or "_conv_forward" in vars(layer):
        return False
    own = tuple(getattr(type(layer), name, None) for name in ("forward", "_conv_forward"))
    return own in [
        tuple(getattr(kind, name, None) for name in ("forward", "_conv_forward")) for kind in kinds
    ]
