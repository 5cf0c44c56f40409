"""The data set ``shapes``: ten classes of drawn shapes, generated in memory from a seed.

A scene can be rendered again at a real-valued offset: the camera moves, nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from shiftbench.data.changes import changes_for_test
from shiftbench.data.drawn import at_rest
from shiftbench.data.images import Dataset, TensorSplit, pixel_statistics, split_train_val
from shiftbench.data.render import render
from shiftbench.data.scenes import POSITIONS, SIZE_LAWS, Law, Scenes, draw
from shiftbench.data.sdf import SHAPES
from shiftbench.errors import UsageError, printable, require_one_of
from shiftbench.seeds import derive_seed

# Below this side objects have too few pixels, and the texture's waves approach two pixels.
_SMALLEST_SIDE = 16
# Report typos (a zero too many) instead of running out of memory.
_LARGEST_SIDE, _MOST_IMAGES, _MOST_GB = 4096, 10_000_000, 256


@dataclass(frozen=True)
class ShapesSplit(TensorSplit):
    """Rendered shapes together with their scenes.

    Attributes:
        images: ``(N, 3, size, size)`` uint8, the scenes at offset zero.
        labels: ``(N,)`` int64.
        scenes: The scenes of the images, on the CPU.
    """

    scenes: Scenes

    def to(self, device: torch.device) -> ShapesSplit:
        """Return the split with images and labels on ``device``."""
        return ShapesSplit(self.images.to(device), self.labels.to(device), self.scenes)

    def render(self, offset: Tensor, index: Tensor | None = None) -> Tensor:
        """Render scenes with shifted content, on the CPU so that no byte depends on the device.

        Args:
            offset: ``(2,)`` for all or ``(N, 2)`` for each of the N images: pixels down and to the
                right, any real numbers. Integers agree with
                ``torch.roll(images, (dy, dx), (-2, -1))`` away from the border.
            index: ``(N,)`` indices of the images, in order; None for all.

        Returns:
            ``(N, 3, size, size)`` uint8 on the device of ``images``.
        """
        scenes = self.scenes if index is None else self.scenes[index.cpu()]
        offset = offset.detach().cpu().float().expand(len(scenes), 2)
        return render(scenes, self.images.shape[-1], offset).to(self.images.device)


def _require(ok: bool, key: str, value: object, allowed: str) -> None:
    """Raise :class:`UsageError` unless ``ok``."""
    if not ok:
        raise UsageError(f"data.{key}={printable(value)} is not allowed; give {allowed}")


def _is_number(value: object, low: float, high: float) -> bool:
    """Return whether ``value`` is a number in ``low..high``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_range(value: object) -> bool:
    """Return whether ``value`` is a pair of diameters, the smaller one first."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return False
    low, high = value
    return _is_number(low, 0.1, 1) and _is_number(high, 0.1, 1) and bool(low <= high)


def _checked(law: Law, prefix: str = "") -> Law:
    """Return ``law`` with plain Python values, or raise :class:`UsageError`."""
    require_one_of(f"data.{prefix}position", law.position, POSITIONS)
    require_one_of(f"data.{prefix}size_law", law.size_law, SIZE_LAWS)
    std, size = law.position_std, law.object_size
    _require(_is_number(std, 0, 10), f"{prefix}position_std", std, "a number from 0 to 10")
    pair = "two numbers from 0.1 to 1, the smaller one first, such as [0.35,0.6]"
    _require(_is_range(size), f"{prefix}object_size", size, pair)
    turn, clutter = law.rotation, law.clutter
    _require(_is_number(turn, 0, 180), f"{prefix}rotation", turn, "degrees from 0 to 180")
    _require(_is_number(clutter, 0, 1.5), f"{prefix}clutter", clutter, "a number from 0 to 1.5")
    return replace(law, object_size=(float(size[0]), float(size[1])))


def _test_law(law: Law, changes: Mapping[str, Any] | None) -> Law:
    """Return the training ``law`` with the ``changes`` that are not None."""
    given = changes_for_test(changes, asdict(law), "{position: uniform}")
    return _checked(replace(law, **given), "test.")


def _check_counts(size: int, train_images: int, test_images: int, val_fraction: float) -> None:
    whole = "a whole number from {} to {}, such as {}"
    for key, value, low, high, usual in (
        ("size", size, _SMALLEST_SIDE, _LARGEST_SIDE, 32),
        ("train_images", train_images, len(SHAPES), _MOST_IMAGES, 10000),
        ("test_images", test_images, len(SHAPES), _MOST_IMAGES, 1000),
    ):
        good = isinstance(value, int) and _is_number(value, low, high)
        _require(good, key, value, whole.format(low, high, usual))
    fraction = "a number from 0.01 to 0.9, such as 0.1"
    _require(_is_number(val_fraction, 0.01, 0.9), "val_fraction", val_fraction, fraction)
    taken = 3 * size**2 * (train_images + test_images) / 1e9
    images = f"{train_images + test_images} images of {size}×{size}"
    if taken > _MOST_GB:
        raise UsageError(
            f"data.size={size} takes {taken:,.0f} GB of memory for {images}, more than the "
            f"{_MOST_GB} GB that are allowed; use fewer train_images or a smaller size"
        )


def _split(count: int, law: Law, size: int, seed: int) -> ShapesSplit:
    scenes = draw(count, law, seed)
    return ShapesSplit(at_rest(scenes, size), scenes.labels, scenes)


def _part(split: ShapesSplit, index: Tensor) -> ShapesSplit:
    return ShapesSplit(split.images[index], split.labels[index], split.scenes[index])


def load(
    size: int = 32,
    train_images: int = 10000,
    test_images: int = 1000,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    data_seed: int = 0,
    position: str = "normal",
    position_std: float = 0.06,
    object_size: Sequence[float] = (0.35, 0.6),
    size_law: str = "uniform",
    rotation: float = 180.0,
    clutter: float = 1.0,
    test: Mapping[str, Any] | None = None,
) -> Dataset:
    """Draw the data set; the same arguments give the same bytes.

    Args:
        size: Image side in pixels, 16 to 4096; objects and textures grow with it.
        train_images: Images to draw for training and validation together.
        test_images: Images to draw for testing.
        val_fraction: Share of ``train_images`` that is the validation split.
        split_seed: Seed of the split into training and validation.
        data_seed: Seed of the scenes, independent of the run's seed.
        position: ``centred``, ``normal`` or ``uniform``; the object is always inside the frame.
        position_std: Standard deviation of the normal law, as a fraction of the side.
        object_size: Smallest and largest diameter, as fractions of the side.
        size_law: ``uniform`` or ``normal`` between the two diameters.
        rotation: Largest turn either way in degrees.
        clutter: Strength of the background, 0 for a plain one.
        test: What the test split's law changes: keys are the six names from ``position`` to
            ``clutter``; a missing or None value is the training law's.

    Raises:
        UsageError: A value is not allowed.
    """
    _check_counts(size, train_images, test_images, val_fraction)
    pair: Any = object_size
    law = _checked(Law(position, position_std, pair, size_law, rotation, clutter))
    test_law = _test_law(law, test)
    drawn = _split(train_images, law, size, derive_seed(data_seed, "shapes", "train"))
    tested = _split(test_images, test_law, size, derive_seed(data_seed, "shapes", "test"))
    generator = torch.Generator().manual_seed(derive_seed(split_seed, "shapes", "split"))
    train, val = (
        _part(drawn, index) for index in split_train_val(train_images, val_fraction, generator)
    )
    mean, std = pixel_statistics(train.images)
    return Dataset("shapes", tuple(SHAPES), (3, size, size), mean, std, train, val, tested)
