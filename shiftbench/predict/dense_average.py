"""The dense form of test-time averages: their answers to all circular shifts from one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from shiftbench.infer.moved import Moved
from shiftbench.infer.shift_average import Offset, ShiftAverage, mean_answer
from shiftbench.predict.dense_network import DenseNetwork
from shiftbench.predict.phases import NotDenseError
from shiftbench.shift.plan import torus


def dense_network(model: nn.Module) -> DenseNetwork:
    """Return the dense form of a network or of a test-time average.

    Raises:
        NotDenseError: If it has none.
    """
    if isinstance(model, Moved):
        raise NotDenseError("it moves views by their content")
    return DenseAverage(model) if isinstance(model, ShiftAverage) else DenseNetwork(model)


def inner_network(model: nn.Module) -> nn.Module:
    """Return the network that a test-time average runs, any other network itself."""
    return model.network if isinstance(model, ShiftAverage) else model


class DenseAverage(DenseNetwork):
    """A test-time average that answers for every circular shift of its images in one pass.

    The average of a view shifted by d is that of the views shifted by d + o, o being the offsets,
    and all of these are among the views of one dense pass of the network.

    Args:
        average: The average; its network is copied, not modified.

    Raises:
        NotDenseError: If a layer of the network does not lie on a torus.
    """

    def __init__(self, average: ShiftAverage) -> None:
        super().__init__(average.network)
        self.average = average

    @property
    def plain(self) -> DenseNetwork:
        """The dense form of the network without the average, of the same pass."""
        made = DenseNetwork.__new__(DenseNetwork)
        made.trace, made.model = self.trace, self.model
        return made

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits ``(N, V, classes)`` of the average for the V distinct views."""
        logits = super().__call__(images)
        size = (int(images.shape[2]), int(images.shape[3]))
        views = self._views(size).to(logits.device)
        if bool((views == views[:1]).all()):  # all phases: one answer for every view
            mean = mean_answer(logits[:, view] for view in views[0].tolist())
            return mean[:, None].expand_as(logits)
        return mean_answer(logits[:, column] for column in views.T)

    def _views(self, size: tuple[int, int]) -> Tensor:
        """Return ``(V, M)``: the views that the average of each view consists of, sorted."""
        every = torus(size).offsets
        shift_of = every.new_zeros((self._count(size), 2))
        shift_of[self.columns(every)] = every
        moved = shift_of[:, None] + _tensor(self.average.shifts(size))
        views = self.columns(moved.flatten(0, 1)).reshape(len(shift_of), -1)
        return views.sort(dim=1).values

    def _count(self, size: tuple[int, int]) -> int:
        return int(self.columns(torus(size).offsets).max()) + 1

    def of_offsets(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the logits of the network for each offset of the unshifted images."""
        logits = super().__call__(images)
        size = (int(images.shape[2]), int(images.shape[3]))
        views = self.columns(_tensor(self.average.shifts(size)))
        for view in views.sort().values.tolist():
            yield logits[:, view]


def _tensor(offsets: Sequence[Offset]) -> Tensor:
    return torch.tensor(list(offsets)).reshape(-1, 2)
