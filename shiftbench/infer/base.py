"""The contract of a test-time wrapper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import nn

from shiftbench.contracts import own_names, refuse_misspelt


class Infer(ABC):
    """A way to get the answer to a view from a trained network.

    A subclass is a frozen dataclass; its fields are the settings of its yaml.

    Attributes:
        moves_by_content: Whether it moves a view by its content, so that the dense engine does not
            apply.

    Raises:
        UsageError: If a subclass declares a misspelt attribute.
    """

    moves_by_content: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Infer, own_names(cls))

    @abstractmethod
    def wrap(self, network: nn.Module, stride: int) -> nn.Module:
        """Return the network that is measured, ``x: (N, C, H, W) -> (N, num_classes)``.

        Args:
            network: The trained network, which is not modified; the result contains it.
            stride: Its total stride in pixels, see :func:`shiftbench.model.stride.total_stride`.

        Raises:
            UsageError: If the settings do not fit the network.
        """
