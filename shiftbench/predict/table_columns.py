"""From logits to the columns of a prediction table, on the device of the logits.

Ties and logits that are not finite are handled as follows:

* The answer is the class with the largest logit; among equal logits, the one with the lowest index.
* A class with logit −inf has probability 0 and is not predicted. If all logits are −inf, there is
  no answer.
* Classes with logit +inf share probability 1 equally; the answer is the one with the lowest index.
* If any logit is NaN, there is no answer: the class is −1, every probability is NaN, and the true
  class is ranked behind all others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError
from shiftbench.predict.logits import FLOAT32, Rounding, change, scale

VERSION = 2  # 1 took the answer from the probabilities and the scale from all logits


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise unless every label is one of the network's classes."""
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
    """Reduce logits to the columns of the table.

    Args:
        logits: ``(N, K, C)`` float; column 0 is the base view.
        labels: ``(N,)`` true classes.
        previous: ``(K,)``, the column one step earlier on the path, −1 for none.
        rounding: Rounding of the network.

    Returns:
        Tensors ``(N, K)`` (``logit_scale``: ``(N,)``) by the names of the table's attributes.
        Infinite and NaN logits are handled as described above; the probability of the class
        predicted in another column is NaN if that column has no answer.
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
    """Return the softmax; logits of +inf share probability 1; NaN where there is no answer."""
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
    """Return the number of classes ranked before the true one; ties are ordered by index."""
    own = _pick(logits, true)[..., None]
    lower = torch.arange(logits.shape[-1], device=logits.device) < true[..., None]
    return ((logits > own) | ((logits == own) & lower)).sum(-1)
