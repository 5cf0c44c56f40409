"""Lines through networks: residuals, and the influence of images on them."""

import numpy as np
import pytest

from shiftbench.inference.line import Line, residual_influences

RNG = np.random.default_rng(0)


def test_points_on_a_line_have_no_residual():
    x = np.array([0.2, 0.5, 0.9])
    assert Line.through(x, 1 - x / 2).at(x) == pytest.approx(1 - x / 2)
    assert np.isnan(Line.through(np.array([0.5, 0.5]), np.array([0.1, 0.2])).slope)
    assert np.isnan(Line.through(x[:1], x[:1]).slope)


@pytest.mark.parametrize("on", [np.ones(5, bool), np.array([1, 1, 1, 1, 0], bool)])
def test_influences_are_the_derivative_of_the_residuals(on):
    """Each image's weight is raised a little, and all means are computed again."""
    by_image_x, by_image_y = RNG.random((5, 40)), RNG.random((5, 40))

    def residuals(weights):
        x, y = (np.average(rows, axis=1, weights=weights) for rows in (by_image_x, by_image_y))
        return y - Line.through(x[on], y[on]).at(x)

    x, y = by_image_x.mean(axis=1), by_image_y.mean(axis=1)
    found = residual_influences(x, y, on, by_image_x - x[:, None], by_image_y - y[:, None])
    step = 1e-6
    for image in range(0, 40, 7):
        # The influence is the derivative towards a sample of this image alone.
        weights = np.full(40, (1 - step) / 40)
        weights[image] += step
        moved = (residuals(weights) - residuals(np.ones(40))) / step
        assert found[:, image] == pytest.approx(moved, abs=1e-4)
    assert found.sum(axis=1) == pytest.approx(0, abs=1e-9)
    assert found[on].sum(axis=0) == pytest.approx(0, abs=1e-9)
