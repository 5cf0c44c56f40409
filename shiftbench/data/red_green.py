"""Red-Green: which of two boxes lies to the left, with classes at rows of their own.

Source: the Red-Green experiment of Kayhan & van Gemert 2020 (arXiv 2003.07064), geometry of the
released code. A network can tell the classes by the order of the colours or by the row; test
images at the rows of the other class show which of them it has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shiftbench.data.changes import changes_for_test
from shiftbench.data.images import Dataset, TensorSplit, pixel_statistics
from shiftbench.data.stratified import Parts
from shiftbench.errors import UsageError, require_one_of
from shiftbench.seeds import derive_seed

CLASSES = ("red left of green", "green left of red")
POSITIONS = ("similar", "dissimilar")
SIDE, BOX = 32, 4
ROWS = (7, 23)  # of the upper edges of the boxes, by class
REACH = 4  # an upper edge is REACH above its row to REACH − 1 below it
FIRST = 10  # columns 0 to 9 of the left box's left edge
GAP = 5  # columns from one left edge to the other, at least
RED, GREEN = 0, 1  # channels
_GEOMETRIES = torch.tensor(
    [
        (top_left, top_right, left, right)
        for top_left in range(-REACH, REACH)
        for top_right in range(-REACH, REACH)
        for left in range(FIRST)
        for right in range(left + GAP, SIDE - BOX)
    ]
)


@dataclass(frozen=True)
class RedGreenSplit(TensorSplit):
    """Images of two boxes and where the boxes are.

    Attributes:
        images: ``(N, 3, 32, 32)`` uint8, 0 or 255.
        labels: ``(N,)`` int64.
        corners: ``(N, 2, 2)`` int64 on the CPU: row and column of the upper left pixel of the
            left box and of the right one.
    """

    corners: Tensor

    def to(self, device: torch.device) -> RedGreenSplit:
        """Return the split with images and labels on ``device``."""
        return RedGreenSplit(self.images.to(device), self.labels.to(device), self.corners)


def load(
    train_images: int = 3000,
    test_images: int = 1000,
    val_fraction: float = 0.3333,
    data_seed: int = 0,
    test: Mapping[str, Any] | None = None,
) -> Dataset:
    """Draw the data set; the same arguments give the same bytes.

    Two boxes of 4×4 px on black, ``(N, 3, 32, 32)`` uint8. Of class 0 the left one is red and
    both are around row 7, of class 1 it is green and they are around row 23; each box has a row
    of its own, 4 above to 3 below. The left box starts at columns 0 to 9, the right one 5 or more
    to the right of it, up to column 27, each uniform. All images differ: geometries are drawn
    without replacement. (The released code seeds test images as training images, so that it
    tests on images of the training set.)

    Args:
        train_images: Images for training and validation together; every second one is of class 0.
        test_images: Images for testing.
        val_fraction: Share of ``train_images`` that is the validation split; 1,000 by default.
        data_seed: Seed of the geometries, independent of the run's seed.
        test: ``{position: dissimilar}`` moves the test images of class 0 down and those of class
            1 up by 16 px, to the rows of the other class; ``similar`` or None leaves them.

    Raises:
        UsageError: If a value is not allowed.
    """
    parts = Parts(train_images, test_images, val_fraction)
    position = changes_for_test(test, ("position",), "{position: dissimilar}").get("position")
    if position is not None:
        require_one_of("data.test.position", position, POSITIONS)
    count = train_images + test_images
    _require_few(train_images, test_images)
    labels, corners = _draw(count, data_seed)
    if position == "dissimilar":
        corners[:test_images, :, 0] += _to_other_rows(labels[:test_images])[:, None]
    start = count - parts.val_images
    ends = ((test_images, start), (start, count), (0, test_images))
    train, val, tested = (_split(labels[low:high], corners[low:high]) for low, high in ends)
    mean, std = pixel_statistics(train.images)
    return Dataset("red_green", CLASSES, (3, SIDE, SIDE), mean, std, train, val, tested)


def _require_few(train_images: int, test_images: int) -> None:
    most = len(CLASSES) * len(_GEOMETRIES)
    if train_images + test_images > most:
        raise UsageError(
            f"data.train_images={train_images} and data.test_images={test_images} are more than "
            f"the {most:,} different images that there are; use fewer"
        )


def _draw(count: int, data_seed: int) -> tuple[Tensor, Tensor]:
    """Return labels ``(count,)``, alternating, and corners ``(count, 2, 2)``; test images first.

    The first ones do not depend on how many are drawn.
    """
    labels = torch.arange(count) % len(CLASSES)
    corners = torch.empty(count, 2, 2, dtype=torch.long)
    for label, row in enumerate(ROWS):
        mine = labels == label
        generator = torch.Generator().manual_seed(derive_seed(data_seed, "red_green", label))
        top_left, top_right, left, right = _geometries(int(mine.sum()), generator).unbind(1)
        rows, columns = torch.stack([top_left, top_right], 1), torch.stack([left, right], 1)
        corners[mine] = torch.stack([rows + row, columns], 2)
    return labels, corners


def _geometries(count: int, generator: torch.Generator) -> Tensor:
    """Return ``(count, 4)`` different geometries: rows relative to that of the class, columns.

    The smallest of exponential variables with rates w are draws without replacement with weights w
    (Efraimidis & Spirakis 2006). A left column has as many geometries as right columns, so the
    weight of each is one over their number.
    """
    choices = SIDE - BOX - GAP - _GEOMETRIES[:, 2]
    shares = torch.rand(len(_GEOMETRIES), generator=generator, dtype=torch.float64)
    return _GEOMETRIES[(-torch.log1p(-shares) * choices).argsort(stable=True)[:count]]


def _to_other_rows(labels: Tensor) -> Tensor:
    """Return the pixels down from the rows of the own class to those of the other, ``(N,)``."""
    return torch.where(labels == 0, ROWS[1] - ROWS[0], ROWS[0] - ROWS[1])


def _split(labels: Tensor, corners: Tensor) -> RedGreenSplit:
    places = torch.arange(SIDE)
    away = places - corners[..., None]  # (N, boxes, axes, SIDE)
    inside = (away >= 0) & (away < BOX)
    boxes = inside[:, :, 0, :, None] & inside[:, :, 1, None, :]
    left, right = (boxes.to(torch.uint8) * 255).unbind(1)
    red_left = (labels == 0)[:, None, None]
    images = torch.zeros(len(labels), 3, SIDE, SIDE, dtype=torch.uint8)
    images[:, RED] = torch.where(red_left, left, right)
    images[:, GREEN] = torch.where(red_left, right, left)
    return RedGreenSplit(images, labels.clone(), corners.clone())
