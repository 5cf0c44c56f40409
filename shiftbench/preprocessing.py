"""The preprocessing of a network: size, crop, interpolation, normalisation; without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from shiftbench.errors import UsageError, did_you_mean, printable, require_one_of, require_within

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest", "box")
LARGEST_SIDE = 4096
# The crop with which most ImageNet networks were tested: 224 of 256 px (Krizhevsky et al. 2012).
USUAL_CROP = 0.875
CROPS = ("center", "squash")


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of an image before it is the input of a network; None is not known.

    Attributes:
        size: Side of the network's input in pixels.
        resize: Pixels to which the image's short side is resized, before the centre is cropped.
        interpolation: Filter of that step, antialiased: bilinear, bicubic, lanczos, nearest, box.
        mean: Per-channel mean that is subtracted, of pixels in 0..1.
        std: Per-channel standard deviation by which pixels are divided.
        crop: ``center`` resizes the short side and keeps proportions; ``squash`` resizes both sides
            to ``resize``; None is ``center``.
    """

    size: int | None = None
    resize: int | None = None
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop: str | None = None

    def __post_init__(self) -> None:
        key = "model.preprocessing"
        if self.size is not None:
            require_within(f"{key}.size", self.size, 1, LARGEST_SIDE)
        if self.resize is not None:
            require_within(f"{key}.resize", self.resize, self.size or 1, LARGEST_SIDE)
        if self.interpolation is not None:
            require_one_of(f"{key}.interpolation", self.interpolation, INTERPOLATIONS)
        if self.crop is not None:
            require_one_of(f"{key}.crop", self.crop, CROPS)
        if (self.mean is None) != (self.std is None):
            raise UsageError(f"{key}.mean and .std belong together; give both or neither")

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Preprocessing:
        """Return the preprocessing defined by the ``preprocessing`` node of a model's yaml.

        Raises:
            UsageError: If a key or a value is not allowed.
        """
        given = given or {}
        names = [field.name for field in fields(cls)]
        for name, value in given.items():
            key = f"model.preprocessing.{printable(name)}"
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise UsageError(f"{key} is not a setting{hint}; allowed: {', '.join(names)}")
            if name in ("size", "resize") and not (value is None or type(value) is int):
                raise UsageError(f"{key}={printable(value)} does not fit; it takes a whole number")
        numbers = {name: _numbers(name, given.get(name)) for name in ("mean", "std")}
        return cls(**{**given, **numbers})

    def over(self, other: Preprocessing) -> Preprocessing:
        """Return this preprocessing, with missing values taken from ``other``.

        If the size differs, the cropped share of the image remains the same.
        """
        own = {name: value for name, value in asdict(self).items() if value is not None}
        if self.size and not self.resize and other.size and other.resize:
            own["resize"] = round(self.size * other.resize / other.size)
        return replace(other, **own)

    def completed(self) -> Preprocessing:
        """Return it with the usual values for missing ones: a crop of 224 of 256 px, bilinear.

        Raises:
            UsageError: If the size or the normalisation is not known.
        """
        unknown = [name for name in ("size", "mean", "std") if getattr(self, name) is None]
        if unknown or self.size is None:
            raise UsageError(
                "how the network wants photographs is not known; give "
                + " ".join(f"model.preprocessing.{name}={_EXAMPLES[name]}" for name in unknown)
            )
        resize = self.resize or round(self.size / USUAL_CROP)
        return replace(self, resize=resize, interpolation=self.interpolation or "bilinear")

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values for a file, with None for unknown ones."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        """Return it as one line for the log, without unknown values."""
        parts = []
        if self.size:
            parts.append(f"{self.size} px of {self.resize}" if self.resize else f"{self.size} px")
        if self.interpolation:
            parts.append(self.interpolation)
        if self.crop == "squash":
            parts.append("proportions not kept")
        for name in ("mean", "std"):
            if values := getattr(self, name):
                parts.append(f"{name} {' '.join(f'{value:.4g}' for value in values)}")
        return ", ".join(parts) or "not known"


_EXAMPLES = {"size": "224", "mean": "[0.485,0.456,0.406]", "std": "[0.229,0.224,0.225]"}


def _numbers(name: str, value: Any) -> tuple[float, ...] | None:
    """Return a mean or a standard deviation, one number per channel."""
    if value is None:
        return None
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    low = 0.0 if name == "mean" else 1e-6
    if not (listed and value and all(_is_within(number, low) for number in value)):
        raise UsageError(
            f"model.preprocessing.{name}={printable(value)} does not fit; give a number for each "
            f"channel, of pixels in 0 to 1, e.g. {_EXAMPLES[name]}"
        )
    return tuple(float(number) for number in value)


def _is_within(number: Any, low: float) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and low <= number <= 1
