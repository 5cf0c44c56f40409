"""From logits to the columns of a prediction table, on the device the logits are on."""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.errors import ShiftbenchError


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise unless every label is a class that the network can answer."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ShiftbenchError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the network answers "
            f"{num_classes} classes; labels must be 0 to {num_classes - 1}"
        )


def answers(logits: Tensor, labels: Tensor, previous: Tensor) -> dict[str, Tensor]:
    """Reduce logits to what the table keeps.

    Args:
        logits: ``(N, K, C)`` float, column 0 being the base view.
        labels: ``(N,)`` true classes.
        previous: ``(K,)`` column one step earlier on the path, −1 for none.

    Returns:
        Tensors ``(N, K)`` (``logit_scale``: ``(N,)``) by the names of the table's attributes.
        Where a logit is NaN the answer is −1 and the probabilities are NaN.
    """
    probabilities = logits.softmax(-1)
    p_top1, top1 = probabilities.max(-1)
    base, true = top1[:, :1], labels[:, None].expand_as(top1)
    earlier = top1[:, previous.clamp(min=0)]
    p_previous = _pick(probabilities, earlier)
    p_previous[:, previous < 0] = torch.nan
    failed = logits.isnan().any(-1)
    return {
        "top1": top1.masked_fill(failed, -1),
        "p_top1": p_top1,
        "p_base": _pick(probabilities, base.expand_as(top1)),
        "p_previous": p_previous,
        "p_true": _pick(probabilities, true),
        "rank_true": _rank(logits, true).masked_fill(failed, logits.shape[-1]),
        "logit_change": (logits - logits[:, :1]).abs().amax(-1),
        "logit_scale": logits[:, 0].abs().amax(-1),
    }


def _pick(values: Tensor, classes: Tensor) -> Tensor:
    """Return ``values[n, k, classes[n, k]]``."""
    return values.gather(2, classes[..., None]).squeeze(2)


def _rank(logits: Tensor, true: Tensor) -> Tensor:
    """Return how many classes come before the true one; of equal logits the lower index does."""
    own = _pick(logits, true)[..., None]
    lower = torch.arange(logits.shape[-1], device=logits.device) < true[..., None]
    return ((logits > own) | ((logits == own) & lower)).sum(-1)
