"""The interface of an augmentation whose random draws are separate from its effect."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

Draws = tuple[Tensor, ...]


class Augmentation(ABC):
    """An augmentation in two steps, so that the draws of an epoch can be made ahead.

    The draws are made on the CPU and do not depend on the device; their effect copies nothing from
    the host, so that it can be part of a CUDA graph.
    """

    @abstractmethod
    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Return the draws for a batch of ``count`` images of ``size`` ``(H, W)``.

        Returns:
            Tensors on the CPU, each with ``count`` as its first dimension.
        """

    @abstractmethod
    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """Return the augmented images.

        Args:
            images: ``(N, C, H, W)``, uint8 in 0..255 or float in 0..1, on any device.
            draws: What :meth:`draw` returned for them, on any device.
        """

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented batch, with draws from ``generator``."""
        height, width = images.shape[-2:]
        return self.apply(images, *self.draw(len(images), (height, width), generator))
