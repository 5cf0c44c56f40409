"""What guessing would score: views of different images that get the same answer."""

from __future__ import annotations

import numpy as np

from shiftbench.metric.answers import CHUNK, SHIFTS, Ints, class_counts
from shiftbench.metric.base import Need, Terms, metric, ratio, summable
from shiftbench.metric.pairs import PairSpread
from shiftbench.prediction_table import PredictionTable

# Number of the most frequent classes that are counted exactly; for rarer ones, a bound is used.
MOST_CLASSES = 1000
TWO_IMAGES = Need("at least two images", lambda table: table.n_images >= 2)


@metric("chance_consistency", higher_is_better=None, needs=(SHIFTS, TWO_IMAGES))
def chance_consistency(table: PredictionTable) -> Terms:
    """Chance that views of two different images get the same answer.

    Σ_{n≠m} Σ_c n_c m_c / (N(N − 1)K²), n_c and m_c being the numbers of views of images n and m
    that are assigned class c: the consistency of a network that guesses each class as often as this
    one predicts it. It is a reference value for ``consistency``; neither direction is better. A
    network that always predicts one class has 1 for both. Only pairs of different images count, so
    the value is unbiased for any number of images: a U-statistic of degree two (Hoeffding 1948).

    Its terms are the projection onto single images: if h(n) is the mean agreement of image n with
    the others, the value is the mean of h(n), and the influence of an image is 2 h(n) up to a
    constant. The variance due to pairs is in :class:`~shiftbench.metric.pairs.PairSpread`.

    >>> from shiftbench.metric.example import example
    >>> round(chance_consistency(example()).value, 4)  # (7² + 7² + 2² - 50) / (4 x 3 x 16)
    0.2708
    """
    image, label, count = class_counts(table)
    number, whole = table.n_images, table.n_shifts
    answered = np.bincount(label, weights=count, minlength=1)
    agree = np.bincount(image, count * (answered[label] - count), minlength=number) / whole**2
    value = float(agree.sum() / (number * (number - 1)))
    squares = _squared_agreement(image, label, count, number) / whole**4
    first = int(answered.argmax())
    spread = PairSpread.of(
        agree, squares, alone=float(np.sum(count**2)) / (number * whole**2),
        largest=float(answered[first]) / (number * whole),
        others=number - int(np.sum((label == first) & (count == whole))),
    )  # fmt: skip
    terms = summable(np.stack([2 * agree / (number - 1) - value, np.ones(number)], axis=1))
    ends = np.array([[-value, 1.0], [2 * spread.largest - value, 1.0]])
    return Terms(terms, ratio, number, whole, ends, spread)


def _squared_agreement(image: Ints, label: Ints, count: Ints, number: int) -> float:
    """Σ_{n≠m} (Σ_c n_c m_c)², never too small.

    An upper bound, exact if there are no rare classes. For frequent classes, it is the sum of the
    squares of Σ_n n_c n_d over pairs of classes (c, d). A rare class increases the agreement a of a
    pair by r and its square by r (2a + r), which is at most 2 r times the largest possible
    agreement.
    """
    answered = np.bincount(label, weights=count, minlength=1)
    frequent = np.argsort(-answered, kind="stable")[:MOST_CLASSES]
    column = np.full(len(answered), -1)
    column[frequent] = np.arange(len(frequent))
    index = column[label]
    few = index >= 0
    together = np.zeros((len(frequent), len(frequent)))
    rows = max(1, CHUNK // len(frequent))
    for start in range(0, number, rows):
        here = few & (image >= start) & (image < start + rows)
        counts = np.zeros((min(rows, number - start), len(frequent)))
        counts[image[here] - start, index[here]] = count[here]
        together += counts.T @ counts
    alone = np.bincount(image[few], count[few] ** 2.0, minlength=number)
    rare = np.sum((count * (answered[label] - count))[~few])
    most = float(np.bincount(image, count, minlength=number).max(initial=0.0)) ** 2
    return float(np.sum(together**2) - np.sum(alone**2) + 2 * most * rare)
