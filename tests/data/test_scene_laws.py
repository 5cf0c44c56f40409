"""How the objects of drawn scenes lie: position, size, rotation and clutter."""

from __future__ import annotations

import math

import pytest
import torch

from shiftbench.data.render import render
from shiftbench.data.scenes import Law, draw


def plain_objects(law, count=600, side=32):
    """Return the centroid ``(N, 2)`` and the area ``(N,)`` of what differs from the background."""
    scenes = draw(count, law, 1)
    near = render(scenes, side, torch.zeros(count, 2)).float()
    # The same scenes with the object far outside: only the background is left.
    scenes.centre.add_(10)
    mask = (near - render(scenes, side, torch.zeros(count, 2))).abs().sum(1) > 12
    weight = mask.float()
    grid = (torch.arange(side) + 0.5) / side
    area = weight.sum((1, 2)).clamp_min(1)
    centroid = [(weight.sum(2) * grid).sum(1) / area, (weight.sum(1) * grid).sum(1) / area]
    return torch.stack(centroid, 1), area / side**2


def test_position_laws_place_the_objects():
    spread = {}
    for law in ("centred", "normal", "uniform"):
        centroid, _ = plain_objects(Law(position=law, position_std=0.08))
        assert torch.allclose(centroid.mean(0), torch.tensor(0.5), atol=0.02)
        spread[law] = centroid.std(0).mean().item()
    assert spread["centred"] < 0.04
    assert 0.06 < spread["normal"] < 0.1
    assert spread["uniform"] > 0.13


@pytest.mark.parametrize("position", ["normal", "uniform"])
def test_objects_stay_inside_the_frame(position):
    scenes = draw(3000, Law(position=position, position_std=0.5), 2)
    reach = (scenes.centre - 0.5).abs() + scenes.diameter[:, None] / 2
    assert reach.max() <= 0.5 + 1e-5
    assert reach.max() > 0.49


def test_a_zero_spread_is_centred():
    assert (draw(10, Law(position_std=0.0), 0).centre == 0.5).all()


def test_size_laws():
    flat = draw(3000, Law(object_size=(0.3, 0.7)), 0).diameter
    bell = draw(3000, Law(object_size=(0.3, 0.7), size_law="normal"), 0).diameter
    for diameter in (flat, bell):
        assert 0.3 <= diameter.min() < diameter.max() <= 0.7
        assert abs(diameter.mean() - 0.5) < 0.01
    assert abs(flat.std() - 0.4 / math.sqrt(12)) < 0.005
    assert 0.075 < bell.std() < 0.1


def test_object_grows_with_the_image():
    law = Law(object_size=(0.5, 0.5))
    small, large = (plain_objects(law, 100, side)[1].mean() for side in (32, 64))
    assert large / small == pytest.approx(1, abs=0.08)


def test_rotation_zero_stands_upright():
    assert (draw(10, Law(rotation=0.0), 0).angle == 0).all()
    assert draw(1000, Law(rotation=180.0), 0).angle.abs().max() > 3


def test_clutter_zero_leaves_grain_alone():
    scenes = draw(10, Law(clutter=0.0), 0)
    scenes.centre.add_(10)
    plain = render(scenes, 32, torch.zeros(10, 2)).float()
    assert plain.std((-2, -1)).max() < 20


def test_scenes_are_drawn_from_named_streams():
    # Another law for the size leaves orientation and colour as they were.
    one, two = draw(30, Law(), 0), draw(30, Law(size_law="normal", clutter=0.5), 0)
    assert torch.equal(one.angle, two.angle)
    assert torch.equal(one.colour, two.colour)
