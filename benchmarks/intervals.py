"""Every metric with its interval over 10,000 images × 1,024 shifts × 1,000 resamples.

python benchmarks/intervals.py            # about a minute
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from shiftbench.metric import evaluate
from shiftbench.metric.example import table_of

IMAGES, SHIFTS, RESAMPLES, REPEATS = 10_000, 1_024, 1_000, 5


def main() -> None:
    """Print the median time for 10 and for 1,000 classes."""
    random = np.random.default_rng(0)
    for classes in (10, 1000):
        labels = random.integers(0, classes, IMAGES)
        noise = random.random((IMAGES, SHIFTS)) < 0.3
        guesses = random.integers(0, classes, (IMAGES, SHIFTS))
        table = table_of(np.where(noise, guesses, labels[:, None]), labels, num_classes=classes)
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            rows = evaluate(table, resamples=RESAMPLES)
            seconds.append(time.perf_counter() - started)
        print(f"{classes:>5} classes: {len(rows)} metrics in {statistics.median(seconds):.2f} s "
              f"({min(seconds):.2f} to {max(seconds):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
