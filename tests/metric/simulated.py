"""Simulated tables whose truth is known, and how often intervals hold it.

Shared by the tests and ``benchmarks/intervals.py``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from shiftbench.metric import compare, evaluate
from shiftbench.metric.example import table_of
from shiftbench.prediction_table import PredictionTable

CLASSES = 10
NAMES = (
    "accuracy", "shift_accuracy", "worst_accuracy", "consistency", "correct_consistency",
    "kway_consistency", "base_consistency", "stable_accuracy", "top1_change", "chance_consistency",
)  # fmt: skip
Chances = Callable[[np.random.Generator, int], np.ndarray]
Draw = Callable[[np.random.Generator, int], PredictionTable]
DrawPair = Callable[[np.random.Generator, int], tuple[PredictionTable, PredictionTable]]


def _mixture(certain: float, a: float, b: float) -> Chances:
    """Images that are always right, and others whose chances are Beta(a, b)."""
    return lambda rng, number: np.where(rng.random(number) < certain, 1.0, rng.beta(a, b, number))


# How an image's chance to be right under a shift is distributed over images.
POPULATIONS: Mapping[str, Chances] = {
    "mid": _mixture(0.0, 0.6, 0.4),  # 60 % right
    "good": _mixture(0.93, 0.8, 0.8),
    "best": _mixture(0.985, 1, 1),
    "slight": _mixture(0.9, 30, 1),  # one image of ten is wrong under one shift of thirty
    "worst": _mixture(0.02, 2, 2),  # hardly ever right under every shift
    "bad": _mixture(0.1, 0.3, 3),
}
# How often one-answer networks give each class: what chance_consistency is made of.
SHARES: Mapping[str, np.ndarray] = {
    "2 classes": np.full(2, 1 / 2),
    "0.6, 0.4": np.array([0.6, 0.4]),
    "0.6, 0.3, 0.1": np.array([0.6, 0.3, 0.1]),
    "0.97, 0.03": np.array([0.97, 0.03]),
    "0.995, 0.005": np.array([0.995, 0.005]),
    "10 classes": np.full(10, 1 / 10),
    "100 classes": np.full(100, 1 / 100),
    "100, as 1/rank": 1 / np.arange(1, 101) / np.sum(1 / np.arange(1, 101)),
}


def of_chances(chances: Chances, shifts: int = 9) -> Draw:
    """Draw tables of images that are right with chances of their own, else give one other class."""

    def draw(rng: np.random.Generator, number: int) -> PredictionTable:
        labels = rng.integers(0, CLASSES, number)
        other = (labels + rng.integers(1, CLASSES, number)) % CLASSES
        right = rng.random((number, shifts)) < chances(rng, number)[:, None]
        answers = np.where(right, labels[:, None], other[:, None])
        return table_of(answers, labels, num_classes=CLASSES)

    return draw


def of_shares(shares: np.ndarray) -> Draw:
    """Draw tables of a network that gives each image one class, whatever the shift."""

    def draw(rng: np.random.Generator, number: int) -> PredictionTable:
        labels = rng.choice(len(shares), size=number, p=shares)
        return table_of(np.repeat(labels[:, None], 2, axis=1), labels, num_classes=len(shares))

    return draw


def of_pairs(kind: str, shifts: int = 9) -> DrawPair:
    """Draw the tables of two networks on the same images.

    ``few``: one is never worse, and better on 3 % of the images. ``many``: one is a little better
    on all. ``apart``: both err, by themselves, on the same 7 %.
    """

    def draw(rng: np.random.Generator, number: int) -> tuple[PredictionTable, PredictionTable]:
        a, b = _right(kind, rng, number, shifts)
        wrong = rng.integers(1, 4, (number, shifts))
        labels = np.zeros(number)
        first, second = (
            table_of(np.where(right, 0, wrong), labels, num_classes=4) for right in (a, b)
        )
        return first, second

    return draw


PAIRS = ("few", "many", "apart")


def _right(
    kind: str, rng: np.random.Generator, number: int, shifts: int
) -> tuple[np.ndarray, np.ndarray]:
    luck = rng.random((number, shifts))
    if kind == "few":
        return (luck < 0.9) & (rng.random((number, 1)) > 0.03), luck < 0.9
    if kind == "many":
        share = rng.beta(0.5, 0.5, (number, 1))
        return luck < share, luck < share + 0.03
    share = POPULATIONS["good"](rng, number)[:, None]
    return luck < share, rng.random((number, shifts)) < share**1.3


@dataclass
class Tally:
    """How often intervals held the truth, and where it was when they did not."""

    truth: float
    held: int = 0
    below: int = 0
    above: int = 0
    width: float = 0.0

    def add(self, low: float, high: float) -> None:
        """Count an interval; one that is NaN holds nothing."""
        self.width += high - low
        if low - 1e-12 <= self.truth <= high + 1e-12:
            self.held += 1
        elif self.truth < low:
            self.below += 1
        else:
            self.above += 1

    @property
    def coverage(self) -> float:
        """Share of the intervals that held it."""
        return self.held / (self.held + self.below + self.above)


def truths(draw: Draw, names: Iterable[str], images: int = 300_000) -> dict[str, float]:
    """Return the values over very many images."""
    rows = evaluate(draw(np.random.default_rng(99), images), resamples=0, names=names)
    return {row.metric: row.value for row in rows}


def tally(
    draw: Draw, truth: Mapping[str, float], number: int, trials: int, **options: int
) -> dict[str, Tally]:
    """Measure ``trials`` samples of ``number`` images; return what became of the intervals."""
    rng = np.random.default_rng(11)
    found = {name: Tally(value) for name, value in truth.items()}
    for trial in range(trials):
        for row in evaluate(draw(rng, number), seed=trial, names=list(truth), **options):
            found[row.metric].add(row.ci_low, row.ci_high)
    return found


def tally_pairs(
    draw: DrawPair, names: Iterable[str], number: int, trials: int, **options: int
) -> dict[str, Tally]:
    """Compare ``trials`` pairs of networks on ``number`` images each."""
    names = list(names)
    whole = compare(*draw(np.random.default_rng(99), 200_000), names=names, resamples=0)
    found = {row.metric: Tally(row.difference) for row in whole}
    rng = np.random.default_rng(12)
    for trial in range(trials):
        for row in compare(*draw(rng, number), seed=trial, names=names, **options):
            found[row.metric].add(row.ci_low, row.ci_high)
    return found
