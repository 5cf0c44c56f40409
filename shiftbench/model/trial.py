"""A trial run of a network on two images, before any work is done."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError, UsageError, printable
from shiftbench.model.layout import memory_format
from shiftbench.model.outputs import WANTED, logits_of


@dataclass(frozen=True)
class Trial:
    """The result of a trial run on two images.

    Attributes:
        classes: Number of its classes.
        plain: Whether it returns only its logits.
        memory_format: Memory format of its images.
    """

    classes: int
    plain: bool
    memory_format: torch.memory_format


def try_network(model: nn.Module, images: Tensor, advice: str) -> Trial:
    """Run ``model`` on two images and on one.

    Args:
        model: In eval mode.
        images: ``(N, C, H, W)``, preprocessed, on its device.
        advice: What to do if it rejects them.

    Raises:
        UsageError: If it rejects them, with its own reason.
        ShiftbenchError: If it returns no logits.
    """
    two = images[[0, -1]]
    try:
        layout = memory_format(model, two)
        plain, classes = _logits(model, two.contiguous(memory_format=layout))
    except ShiftbenchError:
        raise
    except Exception as error:  # a third-party network may raise anything
        channels, height, width = images.shape[1:]
        reason = printable(" ".join(str(error).split()) or type(error).__name__, 300)
        raise UsageError(
            f"the network does not take images of {channels}×{height}×{width} ({reason}); {advice}"
        ) from error
    return Trial(classes, plain, layout)


@torch.inference_mode()
def _logits(model: nn.Module, two: Tensor) -> tuple[bool, int]:
    """Return whether the network returns only logits, and its number of classes."""
    plain, classes = True, 0
    for count in (1, 2):
        answer = model(two[:count])
        logits = logits_of(answer, count)
        if len(logits) != count:
            raise ShiftbenchError(
                f"the network returned shape {tuple(logits.shape)} for {count} images; {WANTED}"
            )
        plain, classes = plain and answer is logits, logits.shape[1]
    return plain, classes
