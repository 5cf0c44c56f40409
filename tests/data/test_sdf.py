"""The outlines of the drawn shapes: distance functions, and coverage of pixels."""

from __future__ import annotations

import pytest
import torch

from shiftbench.data.sdf import SHAPES, coverage

GRID = (torch.arange(400) + 0.5) / 200 - 1


@pytest.mark.parametrize("name", SHAPES)
def test_distance_functions_fit_the_unit_circle(name):
    distance = SHAPES[name](GRID[:, None].expand(400, 400), GRID[None].expand(400, 400))
    reach = torch.hypot(GRID[:, None], GRID[None])[distance < 0]
    assert 0.98 < reach.max() <= 1.0
    assert 0.15 < (distance < 0).float().mean() < 0.8


@pytest.mark.parametrize("name", SHAPES)
def test_distance_functions_are_distances_at_the_outline(name):
    distance = SHAPES[name](GRID[:, None].expand(400, 400), GRID[None].expand(400, 400))
    down, right = torch.gradient(distance, spacing=1 / 200)
    slope = torch.hypot(down, right)[distance.abs() < 0.03]
    assert slope.median() == pytest.approx(1, abs=0.01)
    # Corners have no gradient; everywhere else it is one.
    assert ((slope - 1).abs() < 0.1).float().mean() > 0.85


def test_coverage_ramps_over_one_pixel():
    distance = torch.tensor([-3.0, -0.5, -0.25, 0.0, 0.25, 0.5, 3.0])
    assert coverage(distance).tolist() == [1, 1, 0.75, 0.5, 0.25, 0, 0]
