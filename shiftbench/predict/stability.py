"""Whether an answer is the image's alone: not of the images beside it, and not of chance."""

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

IMAGES = 4  # from all over the data, and as many of noise: images may be blank


@dataclass(frozen=True)
class Stability:
    """What the answers of a network depend on beside the image.

    Attributes:
        num_classes: How many logits it returns.
        batch: Whether one image is answered otherwise alone than in a batch, as with BatchNorm that
            keeps no statistics.
        chance: Whether one image is answered otherwise a second time, or random numbers are drawn
            while it is answered: dropout or stochastic depth in eval mode, random crops.
    """

    num_classes: int
    batch: bool
    chance: bool

    @property
    def reasons(self) -> list[str]:
        """What the answers depend on, in words."""
        words = {"the other images of the batch": self.batch, "chance": self.chance}
        return [word for word, holds in words.items() if holds]

    @property
    def meta(self) -> dict[str, bool]:
        """What there is to note in the table's meta: nothing where all is well."""
        found = {"depends_on_batch": self.batch, "depends_on_chance": self.chance}
        return {name: True for name, holds in found.items() if holds}


@torch.inference_mode()
def stability(network: PixelModel, images: Tensor) -> Stability:
    """Answer images twice, and two of them alone.

    Args:
        network: In eval mode.
        images: ``(n, C, H, W)`` pixels from all over the data; noise is added to them.

    Raises:
        ShiftbenchError: If the network does not return logits, or takes no single image.
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
    except ValueError as error:  # of BatchNorm without statistics, on a map of one position
        raise ShiftbenchError(
            f"the network does not answer one image alone ({str(error).splitlines()[0]}); its "
            "answer must not depend on the batch: give BatchNorm running statistics"
        ) from error


def _differs(logits: Tensor, others: Tensor, allowed: Tensor) -> bool:
    """Whether logits ``(n, C)`` are not those of ``others`` up to what is ``allowed (n,)``."""
    moved = change(logits[:, None], others[:, None]).squeeze(1)
    both_failed = logits.isnan().any(1) & others.isnan().any(1)
    return not bool(((moved <= allowed) | both_failed).all())


def _random_states(device: torch.device) -> list[Any]:
    """Return the states of the generators that a forward pass may draw from."""
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
