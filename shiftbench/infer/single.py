"""One forward pass for each view: no test-time wrapper."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from shiftbench.infer.base import Infer


@dataclass(frozen=True)
class Single(Infer):
    """The network itself."""

    def wrap(self, network: nn.Module, stride: int) -> nn.Module:
        """Return ``network``."""
        return network
