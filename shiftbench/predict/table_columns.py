"""From logits to the columns of a prediction table, on the device the logits are on.

One rule for every logit that is no ordinary number:

* The answer is the class with the largest logit, of equal ones the lowest index.
* −inf is a class that is never answered; its probability is 0. Where all logits are −inf, there is
  no answer.
* +inf wins: the probability is 1, shared equally if there are several, and the lowest index is
  the answer.
* A NaN among the logits is no answer at all: −1, every probability NaN, and the true class is
  ranked behind all others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError
from shiftbench.predict.logits import FLOAT32, Rounding, change, scale

VERSION = 2  # of these columns; 1 took the answer from probabilities, the scale from all logits


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise unless every label is a class that the network can answer."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ShiftbenchError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the network answers "
            f"{num_classes} classes; labels must be 0 to {num_classes - 1}"
        )


def answers(
    logits: Tensor,
    labels: Tensor,
    previous: Tensor,
    rounding: Rounding = FLOAT32,
) -> dict[str, Tensor]:
    """Reduce logits to what the table keeps.

    Args:
        logits: ``(N, K, C)`` float, column 0 being the base view.
        labels: ``(N,)`` true classes.
        previous: ``(K,)`` column one step earlier on the path, −1 for none.
        rounding: Of the network that made the logits.

    Returns:
        Tensors ``(N, K)`` (``logit_scale``: ``(N,)``) by the names of the table's attributes.
        Infinite logits and NaN follow the rule above; a probability of the class answered in
        another column is NaN where there was no answer there.
    """
    probabilities, top1 = _probabilities(logits), logits.argmax(-1)
    failed = probabilities[..., 0].isnan()
    base, true = top1[:, :1], labels[:, None].expand_as(top1)
    p_previous = _pick(probabilities, top1[:, previous.clamp(min=0)])
    p_previous[failed[:, previous.clamp(min=0)] | (previous < 0)] = torch.nan
    return {
        "top1": top1.masked_fill(failed, -1),
        "p_top1": _pick(probabilities, top1),
        "p_base": _pick(probabilities, base.expand_as(top1)).masked_fill(failed[:, :1], torch.nan),
        "p_previous": p_previous,
        "p_true": _pick(probabilities, true),
        "rank_true": _rank(logits, true).masked_fill(failed, logits.shape[-1]),
        "logit_change": change(logits, logits[:, :1]),
        "logit_scale": scale(logits[:, 0], rounding),
    }


def _probabilities(logits: Tensor) -> Tensor:
    """Return the softmax, in which +inf shares all probability; NaN where there is no answer."""
    largest = logits.amax(-1, keepdim=True)
    infinite = largest == torch.inf
    if bool(infinite.any()):
        certain = torch.where(logits == torch.inf, 0.0, -torch.inf)
        logits = torch.where(infinite, certain, logits)
    return logits.softmax(-1)


def _pick(values: Tensor, classes: Tensor) -> Tensor:
    """Return ``values[n, k, classes[n, k]]``."""
    return values.gather(2, classes[..., None]).squeeze(2)


def _rank(logits: Tensor, true: Tensor) -> Tensor:
    """Return how many classes come before the true one; of equal logits the lower index does."""
    own = _pick(logits, true)[..., None]
    lower = torch.arange(logits.shape[-1], device=logits.device) < true[..., None]
    return ((logits > own) | ((logits == own) & lower)).sum(-1)
