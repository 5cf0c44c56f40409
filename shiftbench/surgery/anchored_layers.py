"""Layers whose input is anchored: mixins around a module's own forward pass.

Parameters keep their names and the module's own code runs, on a rolled feature map.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from shiftbench.ops.anchoring import anchor, strongest_grid
from shiftbench.ops.geometry import translate
from shiftbench.surgery.windows import Pair


class Anchored(nn.Module):
    """A mixin: the module runs on a map that is rolled to its strongest grid.

    Attributes:
        anchor_period: (rows, columns) of the grid.
        anchor_last: Whether channels are the last axis, ``(N, H, W, C)``, or the second.
    """

    anchor_period: Pair
    anchor_last: bool


class AnchoredStride(Anchored):
    """A mixin for a strided convolution or a patch merging: its output shifts by whole positions.

    Attributes:
        anchor_output: Whether the output is rolled to its strongest position, too, so that it does
            not depend on circular shifts at all.
    """

    anchor_output: bool

    def forward(self, x: Tensor) -> Tensor:
        """Return the module's output for the anchored map."""
        last = self.anchor_last
        anchored = anchor(_channels_second(x, last), self.anchor_period)
        output: Tensor = super().forward(_channels_as_given(anchored, last))
        if self.anchor_output:
            maps = _channels_second(output, last)
            height, width = maps.shape[2:]
            output = _channels_as_given(anchor(maps, (height, width)), last)
        return output


class AnchoredWindows(Anchored):
    """A mixin for attention in windows that tile the map: its output shifts with its input.

    Rolled to the strongest grid of the windows' period, and back.

    Attributes:
        anchor_shift: (rows, columns) by which the windows lie behind that grid; 0 where a window
            covers the map.
    """

    anchor_shift: Pair

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the module's output for the anchored map, rolled back."""
        maps = _channels_second(x, self.anchor_last)
        sides = zip(self.anchor_period, maps.shape[2:], self.anchor_shift, strict=True)
        rows, columns = (by if window < side else 0 for window, side, by in sides)
        top, left = strongest_grid(maps, self.anchor_period).unbind(1)
        corner = torch.stack([top + rows, left + columns], 1)
        rolled = _channels_as_given(translate(maps, -corner), self.anchor_last)
        output: Tensor = super().forward(rolled, *args, **kwargs)
        back = translate(_channels_second(output, self.anchor_last), corner)
        return _channels_as_given(back, self.anchor_last)


def _channels_second(x: Tensor, last: bool) -> Tensor:
    return x.permute(0, 3, 1, 2) if last else x


def _channels_as_given(x: Tensor, last: bool) -> Tensor:
    return x.permute(0, 2, 3, 1) if last else x
