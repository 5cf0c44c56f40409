"""``shiftbench compare RUN_A RUN_B``: what differs between two runs, paired by image; no torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import pandas as pd

from shiftbench.errors import ShiftbenchError, UsageError, did_you_mean
from shiftbench.metric import METRICS, Difference, compare
from shiftbench.report.comparison import print_comparison
from shiftbench.results import METRIC_COLUMNS, read_csv, write_csv
from shiftbench.table import PredictionTable

COMPARISON_COLUMNS = (
    "run_a", "run_b", "protocol", "metric", "value_a", "value_b", "difference", "ci_low",
    "ci_high", "interval", "better",
)  # fmt: skip

DESCRIPTION = """What differs between two runs, metric by metric: value A, value B, B − A and its
95 % interval. The runs are paired: both see the same resampled images, so the spread that comes
from hard and easy images drops out. Where the interval leaves 0 out, the row is bold and says which
run is better. The spread over training seeds is not in it."""


def compare_runs(arguments: Sequence[str]) -> int:
    """Print what differs between two finished runs.

    Raises:
        UsageError: If a run is not there or not finished.
        ShiftbenchError: If the runs have nothing to pair.
    """
    options = _parse(arguments)
    a, b = (find_run(name, Path(options.out).expanduser()) for name in options.runs)
    rows, left_out = _differences(a, b, options.protocol)
    if options.csv:
        write_csv(rows, Path(options.csv).expanduser(), COMPARISON_COLUMNS)
    print_comparison(rows, label(a), label(b), left_out)
    return 0


class VerbParser(argparse.ArgumentParser):
    """The arguments of a verb that takes runs; a mistake in them is a :class:`UsageError`."""

    def __init__(self, verb: str, description: str, example: str = "RUN_A RUN_B") -> None:
        super().__init__(f"shiftbench {verb}", description=description, allow_abbrev=False)
        self.verb = verb
        self.example = example

    def error(self, message: str) -> NoReturn:
        """Raise, where argparse would print and exit."""
        raise UsageError(f"{self.verb}: {message}; as: shiftbench {self.verb} {self.example}")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options; elsewhere it is out=PATH, so that is understood as well."""
        given = [f"--{item}" if item.startswith("out=") else item for item in arguments]
        return self.parse_intermixed_args(given)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = VerbParser("compare", DESCRIPTION)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN",
        help="a run's folder, or the beginning of its name in PATH/runs; two of them",
    )  # fmt: skip
    parser.add_argument("--protocol", metavar="NAME", help="compare under this protocol alone")
    parser.add_argument("--csv", metavar="FILE", help="write the rows to FILE as well")
    parser.add_argument(
        "--out", default="outputs", metavar="PATH", help="where the runs are (default: outputs)"
    )
    options = parser.parse(arguments)
    if len(options.runs) != 2:
        parser.error(f"it takes two runs, got {len(options.runs)}")
    return options


def find_run(name: str, out: Path) -> Path:
    """Return the folder of a finished run, given as a path or as the beginning of its name."""
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        folder = _by_prefix(name, out / "runs")
    try:
        state = json.loads((folder / "status.json").read_text("utf-8"))["state"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{folder} is not the folder of a run (no readable status.json); "
            f"give one of those in {out / 'runs'}"
        ) from None
    if state != "done":
        raise UsageError(f"{folder} is not finished ({state}); run its command again, it goes on")
    return folder


def _by_prefix(name: str, runs: Path) -> Path:
    known = sorted(path.name for path in runs.glob("*") if path.is_dir())
    found = [run for run in known if run.startswith(name)] if name else []
    if name in found or len(found) == 1:
        return runs / (name if name in found else found[0])
    if found:
        raise UsageError(
            f"'{name}' begins {len(found)} runs; allowed: {', '.join(found[:4])}"
            f"{', ...' if len(found) > 4 else ''}"
        )
    raise UsageError(
        f"there is no run '{name}'{did_you_mean(name, known)}; give its folder, or the beginning "
        f"of a name in {runs} (out=PATH looks elsewhere)"
    )


def _differences(a: Path, b: Path, protocol: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of every protocol that can be paired, and why the others cannot."""
    rows: list[dict[str, object]] = []
    left_out: list[str] = []
    for name in _protocols(a, b, protocol):
        tables = (PredictionTable.load(run / "predictions" / f"{name}.npz") for run in (a, b))
        try:
            found = compare(*tables)
        except ShiftbenchError as reason:
            left_out.append(f"{name}: {reason}")
            continue
        rows += [_row(a, b, name, difference) for difference in found]
    if not rows:
        raise ShiftbenchError("; ".join(left_out))
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS), left_out


def _row(a: Path, b: Path, protocol: str, difference: Difference) -> dict[str, object]:
    content = {"run_a": a.name, "run_b": b.name, "protocol": protocol, **asdict(difference)}
    return {**content, "better": better(difference)}


def _protocols(a: Path, b: Path, protocol: str | None) -> list[str]:
    """Return the protocols that both runs were measured under."""
    ours, theirs = (sorted(path.stem for path in run.glob("predictions/*.npz")) for run in (a, b))
    common = [name for name in ours if name in theirs]
    if protocol is None and common:
        return common
    if protocol in common:
        return [str(protocol)]
    what = f"--protocol {protocol}" if protocol else "a shift protocol"
    raise UsageError(
        f"the runs do not share {what}; A has {', '.join(ours) or 'none'}, "
        f"B has {', '.join(theirs) or 'none'}"
    )


def better(difference: Difference) -> str:
    """Return which run is better: ``A``, ``B``, or nothing where the interval contains 0.

    >>> better(Difference("consistency", 0.8, 0.9, 0.1, 0.05, 0.15))
    'B'
    >>> better(Difference("top1_change", 0.1, 0.2, 0.1, 0.05, 0.15))
    'A'
    >>> better(Difference("consistency", 0.8, 0.9, 0.1, -0.05, 0.15))
    ''
    """
    higher = METRICS[difference.metric].higher_is_better
    apart = difference.ci_low > 0 or difference.ci_high < 0
    if not apart or higher is None:
        return ""
    return "B" if (difference.difference > 0) == higher else "A"


def label(run: Path) -> dict[str, str]:
    """Return the settings that a run's rows are labelled with."""
    first = read_csv(run / "metrics.csv", METRIC_COLUMNS).iloc[0]
    groups = ("data", "model", "pool", "head", "padding", "augment", "seed")
    return {"run": run.name, **{group: str(first[group]) for group in groups}}
