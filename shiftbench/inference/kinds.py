"""Descriptions of what an interval covers, the same in every table and file."""

from __future__ import annotations

from shiftbench.inference.sample import Sample

IMAGES = "images, one seed"
CROSSED, ONLY_SEEDS = "{} seeds × images", "{} seeds"


def over(sample: Sample) -> str:
    """Return what an interval of the mean of a sample covers.

    >>> import numpy as np
    >>> over(Sample(np.zeros(3))), over(Sample(np.zeros(1), {"test": np.zeros((1, 9))}))
    ('3 seeds', 'images, one seed')
    """
    count = len(sample.values)
    if not sample.images:
        return ONLY_SEEDS.format(count)
    return CROSSED.format(count) if count > 1 else IMAGES
