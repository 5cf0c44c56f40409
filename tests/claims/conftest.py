"""Makers of runs, and the finding of a claim on them."""

import pandas as pd
import pytest
from made_up import make_run

from shiftbench.claims import CLAIMS, Evidence


@pytest.fixture
def run():
    """Return the maker of a run."""
    return make_run


@pytest.fixture
def seeds():
    """Return a maker of three runs, seeds 0 to 2, whose numbers go up by ``step``."""

    def make(numbers, *, count=3, step=0.001, **given):
        return [
            make_run(
                {
                    protocol: {name: value + step * seed for name, value in metrics.items()}
                    for protocol, metrics in numbers.items()
                },
                seed=seed,
                **given,
            )
            for seed in range(count)
        ]

    return make


@pytest.fixture
def judged():
    """Return the finding of a claim on runs, rows of shifts and layers."""

    def judge(key, runs, shifts=None, layers=None):
        def rows(frame):
            empty = pd.DataFrame()
            return lambda names: empty if frame is None else frame[frame["run_id"].isin(names)]

        return CLAIMS[key].check(Evidence(runs, rows(shifts), rows(layers)))

    return judge
