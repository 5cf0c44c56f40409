"""Check that the answer to an image depends neither on its batch nor on random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError
from shiftbench.predict.logits import change, scale
from shiftbench.predict.noise import pixel_noise
from shiftbench.predict.pixel_model import PixelModel

IMAGES = 4  # images of the split, and as many noise images, since images may be constant


@dataclass(frozen=True)
class Stability:
    """Dependence of a network's answers on anything but the image.

    Attributes:
        num_classes: Number of logits that the network returns.
        batch: Whether the logits of an image differ between a batch and the image alone, as for
            BatchNorm without running statistics.
        chance: Whether the logits of an image differ between two passes, or a pass draws random
            numbers: dropout or stochastic depth in eval mode, random crops.
    """

    num_classes: int
    batch: bool
    chance: bool

    @property
    def reasons(self) -> list[str]:
        """The dependencies, in words."""
        words = {"the other images of the batch": self.batch, "chance": self.chance}
        return [word for word, holds in words.items() if holds]

    @property
    def meta(self) -> dict[str, bool]:
        """Entries for the table's meta; empty if there is no dependency."""
        found = {"depends_on_batch": self.batch, "depends_on_chance": self.chance}
        return {name: True for name, holds in found.items() if holds}


@torch.inference_mode()
def stability(network: PixelModel, images: Tensor) -> Stability:
    """Run a batch of images twice, and two of its images alone, and compare the logits.

    Args:
        network: The network in eval mode.
        images: ``(n, C, H, W)`` pixels, spread over the split; noise images are appended.

    Raises:
        ShiftbenchError: If the network does not return logits, or fails on a single image.
    """
    noise = pixel_noise(images, IMAGES, torch.Generator().manual_seed(0))
    batch = torch.cat([images, noise])
    alone = [0, len(batch) - 1]
    single = torch.cat([_alone(network, batch[index : index + 1]) for index in alone])
    before = _random_states(network.device)
    first = _logits(network, batch)
    drawn = not _same(before, _random_states(network.device))
    limit = scale(first, network.rounding)
    again = _logits(network, batch)
    chance = drawn or _differs(again, first, network.rounding.tolerance * limit)
    together = _differs(single, first[alone], network.rounding.engines * limit[alone])
    return Stability(int(first.shape[1]), batch=together and not chance, chance=chance)


def _logits(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    logits = network(images)
    if logits.ndim != 2 or len(logits) != len(images):
        asked = "one image" if len(images) == 1 else f"{len(images)} images"
        raise ShiftbenchError(
            f"the network returned shape {tuple(logits.shape)} for {asked}; "
            "it must map (N, C, H, W) to logits (N, classes)"
        )
    return logits


def _alone(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    try:
        return _logits(network, image)
    except ValueError as error:  # BatchNorm without running statistics, on a 1×1 feature map
        raise ShiftbenchError(
            f"the network does not answer one image alone ({str(error).splitlines()[0]}); its "
            "answer must not depend on the batch: give BatchNorm running statistics"
        ) from error


def _differs(logits: Tensor, others: Tensor, allowed: Tensor) -> bool:
    """Whether logits ``(n, C)`` differ from ``others`` by more than ``allowed (n,)``."""
    moved = change(logits[:, None], others[:, None]).squeeze(1)
    both_failed = logits.isnan().any(1) & others.isnan().any(1)
    return not bool(((moved <= allowed) | both_failed).all())


def _random_states(device: torch.device) -> list[Any]:
    """Return the states of the random generators that a forward pass may use."""
    states: list[Any] = [torch.get_rng_state(), random.getstate(), np.random.get_state()]  # noqa: NPY002
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def _same(first: list[Any], second: list[Any]) -> bool:
    return all(_equal(a, b) for a, b in zip(first, second, strict=True))


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, tuple):
        return all(_equal(a, b) for a, b in zip(first, second, strict=True))
    same = first == second
    return bool(same.all()) if isinstance(same, Tensor | np.ndarray) else bool(same)
