"""A network whose answer is the mean of its probabilities over circular shifts of the view."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Offset = tuple[int, int]
Pass = Callable[[Tensor], Iterator[Tensor]]


class ShiftAverage(nn.Module):
    """The mean over shifts of a network's probabilities, as logits.

    ``x: (N, C, H, W) -> (N, num_classes)``. The mean over all H·W circular shifts is a Reynolds
    operator: exactly invariant to circular shifts, for any network.

    Args:
        network: Any network.
        offsets: The shifts (dy, dx) in pixels by which the view is rolled; None for every shift
            of the torus.

    Attributes:
        at_once: Returns the logits of the network for these shifts of a batch, from one pass of
            the dense engine; None to run the network once for each shift. Copies of the wrapper
            do not have it, as it belongs to this network.
        size: ``(H, W)`` of the views that ``at_once`` accepts.
    """

    def __init__(self, network: nn.Module, offsets: Sequence[Offset] | None) -> None:
        super().__init__()
        self.network = network
        self.offsets = None if offsets is None else list(offsets)
        self.at_once: Pass | None = None
        self.size = (0, 0)

    def shifts(self, size: tuple[int, int]) -> list[Offset]:
        """Return the shifts (dy, dx) for views of ``size (H, W)``."""
        if self.offsets is not None:
            return self.offsets
        return list(itertools.product(range(size[0]), range(size[1])))

    def passes(self, size: tuple[int, int]) -> int:
        """Return the number of forward passes for a view of ``size (H, W)``."""
        return size[0] * size[1] if self.offsets is None else len(self.offsets)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the mean over shifts."""
        size = (int(x.shape[2]), int(x.shape[3]))
        if self.at_once is not None and size == self.size:
            return mean_answer(self.at_once(x))
        return mean_answer(self.network(x.roll(shift, (2, 3))) for shift in self.shifts(size))

    def __deepcopy__(self, memo: dict[int, Any]) -> ShiftAverage:
        """Return a copy that runs its own network once for each shift."""
        made = ShiftAverage(copy.deepcopy(self.network, memo), self.offsets)
        return made.train(self.training)


def mean_answer(logits: Iterator[Tensor]) -> Tensor:
    """Return logits whose softmax is the mean of the softmax of each of ``logits (..., C)``.

    Softmax leaves one number per image open; it is the mean of the logarithms of the denominators,
    so that the mean of equal logits is these logits. Summed at least in float32.

    >>> z = torch.tensor([[2.0, -1.0, 0.5]])
    >>> mean_answer(iter([z, z, z])).allclose(z)
    True
    """
    first = next(logits)
    kind = torch.promote_types(first.dtype, torch.float32)
    total, level, count = None, None, 0
    for one in itertools.chain([first], logits):
        one = one.to(kind)
        denominator = one.logsumexp(-1, keepdim=True)
        share = one - denominator
        total = share if total is None else torch.logaddexp(total, share)
        level = denominator if level is None else level + denominator
        count += 1
    assert total is not None and level is not None
    return total - math.log(count) + level / count
