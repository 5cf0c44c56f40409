"""What guessing would score: views of different images that get the same answer."""

from __future__ import annotations

import numpy as np

from shiftbench.metric.answers import SHIFTS, class_counts
from shiftbench.metric.base import Combine, Floats, Need, Terms, metric, summable
from shiftbench.table import PredictionTable

# Classes whose frequencies are resampled one by one; the rarer ones are resampled together.
MOST_CLASSES = 200
TWO_IMAGES = Need("at least two images", lambda table: table.n_images >= 2)


@metric("chance_consistency", higher_is_better=None, needs=(SHIFTS, TWO_IMAGES))
def chance_consistency(table: PredictionTable) -> Terms:
    """Chance that views of two different images get the same answer.

    Σ_{n≠m} Σ_c n_c m_c / (N(N − 1)K²), n_c and m_c being how often images n and m get class c: what
    guessing each class as often as the network answers it would score. Neither direction is better:
    a floor to read ``consistency`` against. An untrained network that always answers one class has
    1 on both. A pair is never one image twice, so the value is unbiased for any number of images.

    A U-statistic of degree two (Hoeffding 1948). It is quadratic in the sums over images; what its
    resamples leave out as well are pairs of an image with itself, drawn twice or not.

    >>> from shiftbench.metric.example import example
    >>> round(chance_consistency(example()).value, 4)  # (7² + 7² + 2² - 50) / (4 x 3 x 16)
    0.2708
    """
    image, label, count = class_counts(table)
    number, whole = table.n_images, table.n_shifts
    answered = np.bincount(label, weights=count, minlength=1)
    frequent = np.argsort(-answered, kind="stable")[:MOST_CLASSES]
    column = np.full(len(answered), -1)
    column[frequent] = np.arange(len(frequent))
    place = column[label]
    few = place >= 0
    counts = np.zeros((number, len(frequent)))
    counts[image[few], place[few]] = count[few]
    agree = np.bincount(image[~few], (count * (answered[label] - count))[~few], minlength=number)
    rare = summable(agree[:, None] / ((number - 1) * whole**2))
    one = np.ones((number, 1))
    terms = np.hstack([counts, rare, one, np.square(counts).sum(axis=1, keepdims=True), one])
    width = len(frequent)
    ends = np.zeros((2, width + 4))
    ends[:, [width + 1, width + 3]] = 1
    ends[1, [0, width + 2]] = whole, whole**2  # always the class that is answered most
    return Terms(
        terms, _pairs(width, whole, float(rare.mean())), number, whole, ends,
        curvature=_curvature(answered / (number * whole), number), squared=(width + 2, width + 3),
    )  # fmt: skip


def _pairs(width: int, whole: int, rare_value: float) -> Combine:
    """From the sums to the share of pairs of images that agree.

    The sums: counts of the ``width`` frequent classes; how often answers of rare classes agree with
    those of other images; the number of images; the squares of the counts and the number of images
    once more, to be subtracted, as an image is no pair. Divided by all answers, NaN included, so
    that a NaN answer agrees with nothing.
    """

    def combine(sums: Floats) -> Floats:
        rare, images, same, alone = (sums[..., width + at] for at in range(4))
        alike = np.square(sums[..., :width]).sum(axis=-1) - same
        value: Floats = np.full(images.shape, np.nan)
        pairs = images**2 - alone
        np.divide(alike, pairs * whole**2, out=value, where=pairs > 0)
        # What is linear in the shares moves twice as far: both images of a pair are drawn.
        return value + 2 * rare / images - rare_value

    return combine


def _curvature(share: Floats, number: int) -> float:
    """The deviation that the value has where no class is more frequent than another.

    √tr(Σ²)/N with Σ the covariance of an image's shares of the classes: those of images that get
    one answer each, which no other images exceed.
    """
    squares = np.sum(share**2)
    return float(np.sqrt(max(squares - 2 * np.sum(share**3) + squares**2, 0.0)) / number)
