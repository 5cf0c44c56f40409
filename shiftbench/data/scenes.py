"""The random scenes of the data set ``shapes``: one shape before a cluttered background.

Everything in a scene is a function of continuous coordinates, so an image of it from half a
pixel away needs no interpolation and has no border. Lengths are fractions of the image
side and positions run from (0, 0), the top left corner, to (1, 1); only grain is measured in
pixels. No wave is shorter than 2.5 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from shiftbench.data.sdf import SHAPES
from shiftbench.seeds import derive_seed

POSITIONS = ("centred", "normal", "uniform")
SIZE_LAWS = ("uniform", "normal")

# Numbers of waves and strokes of a background.
_TEXTURE_WAVES, _GRAIN_WAVES, _STROKES = 8, 12, 6


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the work on one thread.

    The steps are too short to parallelise: on a busy machine, threads that wait for each other
    take ten times as long. It also makes the bytes independent of the number of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Law:
    """The distribution of a split's objects: position, size, rotation and clutter.

    Attributes:
        position: ``centred``, ``normal`` (around the middle) or ``uniform``; the circle around
            the object stays inside the frame under all three.
        position_std: Standard deviation of the normal law before it is cut at the frame.
        object_size: Smallest and largest diameter of the circle around the object.
        size_law: ``uniform``, or ``normal`` with the ends two standard deviations from the middle.
        rotation: Largest turn either way, in degrees; 180 is any orientation.
        clutter: Strength of the background's texture and strokes; 0 is a plain background.
    """

    position: str = "normal"
    position_std: float = 0.06
    object_size: tuple[float, float] = (0.35, 0.6)
    size_law: str = "uniform"
    rotation: float = 180.0
    clutter: float = 1.0


@dataclass(frozen=True)
class Scenes:
    """The parameters of N scenes, on the CPU; colours are ``(N, ..., 3)``.

    Attributes:
        labels: ``(N,)`` int64, index into the shapes.
        centre: ``(N, 2)`` y and x of the object.
        diameter: ``(N,)`` of the circle around the object.
        angle: ``(N,)`` turn of the object in radians.
        colour: ``(N, 2, 3)`` of the background and of the object.
        texture: ``(N, K, 6)`` waves of the background: frequency along y and x in cycles per
            image side, phase, and the amplitude in every channel.
        grain: ``(N, K, 6)`` the same with frequencies in cycles per pixel.
        pattern: ``(N, 1, 6)`` the wave on the object, as ``texture``.
        strokes: ``(N, K, 9)`` y, x, angle, half length, half width, opacity and colour.
    """

    labels: Tensor
    centre: Tensor
    diameter: Tensor
    angle: Tensor
    colour: Tensor
    texture: Tensor
    grain: Tensor
    pattern: Tensor
    strokes: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> Scenes:
        return Scenes(*(getattr(self, field.name)[index] for field in fields(self)))


def _between(share: Tensor, low: float, high: float) -> Tensor:
    """Map ``share``, uniform in 0..1, to ``low..high``."""
    return low + (high - low) * share


def _truncated_normal(share: Tensor, bound: Tensor) -> Tensor:
    """Map ``share``, uniform in 0..1, to a standard normal cut at plus and minus ``bound``."""
    edge = torch.special.ndtr(-bound)
    # float32 rounds the ends of the range to 0 and 1, where the inverse is infinite.
    value: Tensor = torch.special.ndtri((edge + share * (1 - 2 * edge)).clamp(1e-6, 1 - 1e-6))
    return torch.minimum(torch.maximum(value, -bound), bound)


def _tint(lightness: Tensor, chroma: Tensor, hue: Tensor) -> Tensor:
    """Return colours ``(..., 3)``: grey of ``lightness`` pushed by ``chroma`` towards ``hue``."""
    third = 2 * math.pi / 3
    return lightness[..., None] + chroma[..., None] * torch.cos(
        2 * math.pi * hue[..., None] - third * torch.arange(3)
    )


def _draw_size(law: Law, share: Tensor) -> Tensor:
    low, high = law.object_size
    if law.size_law == "uniform":
        return _between(share, low, high)
    middle = (low + high) / 2
    return middle + _truncated_normal(share, torch.full_like(share, 2.0)) * (high - low) / 4


def _draw_centre(law: Law, share: Tensor, diameter: Tensor) -> Tensor:
    """Return ``(N, 2)`` centres from ``share`` of the same shape."""
    room = ((1 - diameter) / 2)[:, None].expand_as(share)
    if law.position == "uniform":
        return 0.5 + (2 * share - 1) * room
    if law.position == "centred" or law.position_std == 0:
        return torch.full_like(share, 0.5)
    return 0.5 + law.position_std * _truncated_normal(share, room / law.position_std)


def _draw_colours(share: Tensor) -> Tensor:
    """Return ``(N, 2, 3)`` colours of background and object from ``share`` ``(N, 7)``."""
    lightness, contrast, sign, *rest = share.unbind(1)
    ground = _between(lightness, 0.4, 0.6)
    # The object is always lighter or darker than its background, whatever the hues.
    step = _between(contrast, 0.13, 0.45) * torch.where(sign < 0.5, -1.0, 1.0)
    behind = _tint(ground, _between(rest[0], 0.03, 0.14), rest[1])
    front = _tint(ground + step, _between(rest[2], 0.04, 0.18), rest[3])
    return torch.stack([behind, front], 1)


def _draw_waves(share: Tensor, low: float, high: float, strength: Tensor | float) -> Tensor:
    """Return waves ``(N, K, 6)`` from ``share`` ``(N, K, 5)``, frequencies in ``low..high``.

    Frequencies are spread evenly over octaves and fade with their square root, as in photographs.
    ``strength`` is the amplitude of the longest wave, one number or ``(N, 1)``.
    """
    frequency = low * (high / low) ** share[..., 0]
    direction, phase = math.pi * share[..., 1], 2 * math.pi * share[..., 2]
    amplitude = strength * (low / frequency).sqrt()
    colour = _tint(torch.ones_like(phase), 0.5 * share[..., 3], share[..., 4])
    wave = torch.stack([frequency * direction.sin(), frequency * direction.cos(), phase], -1)
    return torch.cat([wave, amplitude[..., None] * colour], -1)


def _draw_strokes(share: Tensor, ground: Tensor, clutter: float) -> Tensor:
    """Return strokes ``(N, K, 9)`` from ``share`` ``(N, K, 9)`` and ``ground`` ``(N, 3)``."""
    y, x, angle, length, width, opacity, lightness, chroma, hue = share.unbind(-1)
    step = _between(lightness, -0.25, 0.25)
    colour = ground[:, None] + _tint(step, _between(chroma, 0.0, 0.15), hue)
    columns = [
        # Also beyond the frame, so that a moving camera finds the same clutter there.
        _between(y, -0.25, 1.25),
        _between(x, -0.25, 1.25),
        math.pi * angle,
        # The square makes short strokes, which look like blobs, as common as long ones.
        0.25 * length**2,
        _between(width, 0.02, 0.07),
        clutter * _between(opacity, 0.2, 0.5),
    ]
    return torch.cat([torch.stack(columns, -1), colour], -1)


@one_thread()
def draw(count: int, law: Law, seed: int) -> Scenes:
    """Draw ``count`` scenes; the first ones do not depend on how many are drawn.

    Args:
        count: Number of scenes; every ten hold each class once, in random order.
        law: Distribution of the objects.
        seed: Seed of the split; each kind of parameter has its own stream.
    """

    def uniform(name: str, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(seed, name))
        return torch.rand(shape, generator=generator)

    rounds = -(-count // len(SHAPES))
    labels = uniform("labels", rounds, len(SHAPES)).argsort(1).flatten()[:count]
    place = uniform("place", count, 4)
    diameter = _draw_size(law, place[:, 0])
    colour = _draw_colours(uniform("colour", count, 7))
    # Most images are clean and a few are noisy: those keep a well-trained network below 100 %.
    noise = _between(uniform("noise", count, 1) ** 2, 0.006, 0.022)
    return Scenes(
        labels=labels,
        centre=_draw_centre(law, place[:, 1:3], diameter),
        diameter=diameter,
        angle=math.radians(law.rotation) * (2 * place[:, 3] - 1),
        colour=colour,
        texture=_draw_waves(
            uniform("texture", count, _TEXTURE_WAVES, 5), 0.4, 6.0, 0.045 * law.clutter
        ),
        grain=_draw_waves(uniform("grain", count, _GRAIN_WAVES, 5), 0.15, 0.4, noise),
        pattern=_draw_waves(uniform("pattern", count, 1, 5), 1.5, 6.0, 0.05),
        strokes=_draw_strokes(uniform("strokes", count, _STROKES, 9), colour[:, 0], law.clutter),
    )
