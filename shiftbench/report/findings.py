"""What the numbers of a study say, in a sentence or two per protocol and data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from shiftbench.report.study import Panel, percent

NEEDED = ("accuracy", "consistency")
ALL_ALIKE = 0.5  # of chance consistency: beyond, a network mostly gives one answer
MOST_PANELS = 6


def findings(panels: Sequence[Panel], summary: pd.DataFrame) -> list[str]:
    """Return what the summary shows, each with its caveat; empty where nothing is done."""
    told = [_finding(one) for panel in panels if (one := panel.having(*NEEDED))]
    rest = len(told) - MOST_PANELS
    if rest > 0:
        told = [*told[:MOST_PANELS], f"{rest} more protocols and data sets are in the tables."]
    return [*told, *_caveats(summary)] if told else []


def _finding(panel: Panel) -> str:
    rows = panel.rows.sort_values("consistency", ascending=False)
    best = rows.iloc[0]
    if len(rows) == 1:
        return (
            f"Under {panel.title}, {best['label']} gives two shifts of one image the same answer "
            f"{_value(best, 'consistency')} of the time, and is right on "
            f"{_value(best, 'accuracy')} of the unshifted images."
        )
    return " ".join([_extremes(panel, rows), *_overlap(rows), _accuracy(rows), *_trivial(rows)])


def _extremes(panel: Panel, rows: pd.DataFrame) -> str:
    best, worst = rows.iloc[0], rows.iloc[-1]
    if best["consistency"] == worst["consistency"]:
        return (
            f"Under {panel.title}, all {len(rows)} configurations are equally consistent: two "
            f"shifts of one image get the same answer {_value(best, 'consistency')} of the time."
        )
    return (
        f"Under {panel.title}, {best['label']} is the most consistent: two shifts of one image "
        f"get the same answer {_value(best, 'consistency')} of the time; the least is "
        f"{worst['label']} with {_value(worst, 'consistency')}."
    )


def _overlap(rows: pd.DataFrame) -> Iterator[str]:
    """Say where the best is not clearly the best."""
    best = rows.iloc[0]
    near = rows.iloc[1:][rows["consistency_ci_high"].iloc[1:] >= best["consistency_ci_low"]]
    if len(near) == 1:
        yield f"Its interval overlaps with that of {near['label'].iloc[0]}."
    elif len(near) > 1:
        yield f"Its interval overlaps with those of {len(near)} others."


def _accuracy(rows: pd.DataFrame) -> str:
    best = rows.iloc[0]
    right = rows.iloc[int(rows["accuracy"].to_numpy(dtype=float).argmax())]
    if best["accuracy"] == right["accuracy"]:
        return f"None is more accurate on the unshifted images ({_value(best, 'accuracy')})."
    return (
        f"On the unshifted images it is right {_value(best, 'accuracy')} of the time, against "
        f"{_value(right, 'accuracy')} for the most accurate, {right['label']}."
    )


def _trivial(rows: pd.DataFrame) -> Iterator[str]:
    """Warn of networks that agree with themselves because they always say the same."""
    if "chance_consistency" not in rows:
        return
    alike = rows[rows["chance_consistency"] > ALL_ALIKE]
    if len(alike):
        first = alike.iloc[0]
        others = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
        yield (
            f"Beware: {first['label']}{others} mostly gives one and the same answer; guessing at "
            f"its frequencies would agree {percent(first['chance_consistency'])} of the time."
        )


def _value(row: pd.Series, name: str) -> str:
    low, high = (row.get(f"{name}_ci_{end}") for end in ("low", "high"))
    if pd.isna(low) or pd.isna(high):
        return percent(float(row[name]))
    return f"{percent(float(row[name]))} [{100 * float(low):.1f}–{100 * float(high):.1f}]"


def _caveats(summary: pd.DataFrame) -> Iterator[str]:
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
    else:
        yield f"Means are over {done.max():g} seeds; intervals are over images."
    if "consistency_sd" in summary and done.max() > 1:
        yield from _restless_seeds(summary)


def _restless_seeds(summary: pd.DataFrame) -> Iterator[str]:
    """Say where seeds lie further apart than the intervals over images would make one think."""
    half = (summary["consistency_ci_high"] - summary["consistency_ci_low"]) / 2
    apart = summary.loc[summary["consistency_sd"] > half, "consistency_sd"]
    if len(apart):
        yield (
            "Seeds of one configuration differ by more than those intervals: their standard "
            f"deviation of consistency is up to {apart.max():.3f}."
        )
