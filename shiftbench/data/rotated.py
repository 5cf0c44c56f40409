"""Rotated images: what ``data=rotated_mnist`` and ``data=rotated_fashion_mnist`` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from shiftbench.data.changes import changes_for_test
from shiftbench.data.images import Dataset
from shiftbench.data.stratified import Parts
from shiftbench.data.transformed import Pool, transformed_dataset
from shiftbench.errors import require_one_of
from shiftbench.ops.rotation import turn
from shiftbench.seeds import derive_seed

ANGLES = ("uniform", "none")


def check_angles(angles: str, test: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return the law of the angles in training and in the test split.

    Raises:
        UsageError: If a law is not known.
    """
    changes = changes_for_test(test, ("angles",), "{angles: uniform}")
    laws = (angles, changes.get("angles", angles))
    for key, law in zip(("data.angles", "data.test.angles"), laws, strict=True):
        require_one_of(key, law, ANGLES)
    return laws


def rotated_dataset(
    name: str,
    classes: tuple[str, ...],
    pool: Pool,
    parts: Parts,
    angles: tuple[str, str],
    data_seed: int,
) -> Dataset:
    """Return images of the pool rotated counter-clockwise about their centres.

    Bilinear, black outside of the image; multiples of 90° move pixels.

    Args:
        name: Name of the data set; angles are drawn from a stream of this name.
        classes: Names of the classes.
        pool: The upright images.
        parts: The draw of the splits.
        angles: ``uniform`` in 0..360° or ``none``, in training and in the test split.
        data_seed: Seed of the angles.

    Raises:
        UsageError: If the pool has too few images.
    """
    drawn = {
        "uniform": draw_angles(name, len(pool.labels), data_seed),
        "none": torch.zeros(len(pool.labels), dtype=torch.float64),
    }
    amounts = (drawn[angles[0]], drawn[angles[1]])
    return transformed_dataset(name, classes, pool, parts, turn, amounts)


def draw_angles(name: str, count: int, data_seed: int) -> Tensor:
    """Return ``(count,)`` angles, uniform from 0 to below 360 degrees, float64."""
    generator = torch.Generator().manual_seed(derive_seed(data_seed, name, "angles"))
    return 360 * torch.rand(count, generator=generator, dtype=torch.float64)
