"""The columns of a prediction table while it is measured, a few images at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shiftbench.prediction_table import PART
from shiftbench.storage import spilled

# All other columns are float32.
_KINDS = {"top1": np.int32, "rank_true": np.int32, "images": np.int64}


class Columns:
    """Arrays with a row for every image, made when their first values arrive.

    Columns too large for memory are in a file, see :mod:`shiftbench.storage.spilled`.

    Args:
        n_images: Number of images.
    """

    def __init__(self, n_images: int) -> None:
        self.n_images = n_images
        self.arrays: dict[str, NDArray[Any]] = {}

    def put(self, name: str, values: Tensor, start: int) -> None:
        """Write ``values (n, ...)`` of the images from ``start`` on."""
        if name not in self.arrays:
            kind = _KINDS.get(name, np.float32)
            self.arrays[name] = spilled.empty((self.n_images, *values.shape[1:]), kind)
        own, stop = self.arrays[name], start + len(values)
        own[start:stop] = values.cpu().numpy()
        rows = max(1, PART // math.prod(own.shape[1:]))
        if start // rows != stop // rows:  # now and then
            spilled.release(own)
