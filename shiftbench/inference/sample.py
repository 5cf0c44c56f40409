"""A number for several networks on shared test images, and the influence of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import ShiftbenchError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """The values of a number for all seeds.

    Attributes:
        values: ``(S,)``, the number by seed.
        images: By the digest of a set of test images, ``(S, N)``: the influences, i.e. the change
            of a seed's number if the image stood for the whole set; each row has mean 0. Empty if
            they are unknown.
        seeds: The S seeds.
    """

    values: Floats
    images: Mapping[str, Floats] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        wrong = [key for key, rows in self.images.items() if len(rows) != len(self.values)]
        if wrong:
            raise ShiftbenchError(
                f"a sample of {len(self.values)} seeds has images of another number of seeds: "
                f"{', '.join(wrong)}"
            )

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.values))

    def of(self, seeds: Sequence[int]) -> Sample:
        """Return the sample of a subset of the seeds."""
        at = [self.seeds.index(seed) for seed in seeds]
        images = {key: rows[at] for key, rows in self.images.items()}
        return replace(self, values=self.values[at], images=images, seeds=tuple(seeds))


def mean_of(samples: Sequence[Sample]) -> Sample:
    """Return the mean over networks for each of their common seeds.

    Images are kept if they are known for every network.

    Raises:
        ShiftbenchError: If there is no sample.
    """
    if not samples:
        raise ShiftbenchError("the mean over networks needs at least one network, got none")
    common = [seed for seed in samples[0].seeds if all(seed in one.seeds for one in samples)]
    chosen = [one.of(common) for one in samples]
    images: dict[str, Floats] = {}
    if all(one.images for one in chosen):
        for one in chosen:
            for key, rows in one.images.items():
                images[key] = images.get(key, 0.0) + rows / len(chosen)
    values = np.mean([one.values for one in chosen], axis=0)
    return Sample(values, images, tuple(common))
