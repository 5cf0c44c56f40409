"""Caveats that a page states before the numbers of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from shiftbench.report.tables.panels import Panel, percent

ALL_ALIKE = 0.5  # of chance consistency; above it, a network mostly predicts one class
MOST_PANELS = 6


def caveats(panels: Sequence[Panel], summary: pd.DataFrame) -> list[str]:
    """Return the limitations of a summary's numbers, a sentence each; empty if no run is done."""
    if not panels:
        return []
    trivial = [sentence for panel in panels for sentence in _trivial(panel)]
    rest = len(trivial) - MOST_PANELS
    more = [f"So it is under {rest} more protocols and data sets."] if rest > 0 else []
    return [*trivial[:MOST_PANELS], *more, *_seeds(summary)]


def _trivial(panel: Panel) -> Iterator[str]:
    """Warn of networks that are consistent because they mostly predict the same class."""
    if "chance_consistency" not in panel.rows:
        return
    alike = panel.rows[panel.rows["chance_consistency"] > ALL_ALIKE]
    if len(alike):
        first = alike.iloc[0]
        others = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
        yield (
            f"Under {panel.title}, {first['label']}{others} mostly gives one and the same answer; "
            f"guessing at its frequencies would agree {percent(first['chance_consistency'])} of "
            "the time."
        )


def _seeds(summary: pd.DataFrame) -> Iterator[str]:
    """State what the means and the intervals cover."""
    done = summary.loc[summary["done"] > 0, "done"]
    if done.max() == 1:
        yield (
            "One run per configuration: the intervals are over images and do not tell how much "
            "another seed of the training would change."
        )
    elif done.min() != done.max():
        yield (
            f"Means are over {done.min():g} to {done.max():g} seeds, as not every run is done; "
            "intervals are over images."
        )
    if "consistency_sd" in summary and done.max() > 1:
        yield from _restless_seeds(summary)


def _restless_seeds(summary: pd.DataFrame) -> Iterator[str]:
    """Report seeds that differ by more than the intervals over images suggest."""
    half = (summary["consistency_ci_high"] - summary["consistency_ci_low"]) / 2
    apart = summary.loc[summary["consistency_sd"] > half, "consistency_sd"]
    if len(apart):
        yield (
            "Seeds of one configuration differ by more than those intervals: their standard "
            f"deviation of consistency is up to {apart.max():.3f}."
        )
