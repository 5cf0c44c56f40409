"""``shiftbench compare RUN_A RUN_B``: what differs, paired by seed and by image; no torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import pandas as pd

from shiftbench.errors import UsageError, did_you_mean
from shiftbench.report.compared import SEEDS, SEEDS_AND_IMAGES, Compared, compared
from shiftbench.report.comparison import print_comparison
from shiftbench.report.repetitions import Pairing, pairing
from shiftbench.storage.result_files import METRIC_COLUMNS, read_csv, write_csv

COMPARISON_COLUMNS = (
    "run_a", "run_b", "protocol", "metric", "value_a", "value_b", "difference", "ci_low",
    "ci_high", "interval", "better", "seeds", "kind",
)  # fmt: skip

DESCRIPTION = """What differs between two configurations, metric by metric: value A, value B, B − A
and its 95 % interval. RUN_A and RUN_B each name a finished run; all seeds of its configuration are
taken, and paired seed by seed and image by image. The interval is for other seeds and other test
images; where it leaves 0 out, the row is bold and says which is better. Where A and B share one
seed, the interval is over images alone and nothing is called better, as another training seed may
change the difference by more."""


def compare_runs(arguments: Sequence[str]) -> int:
    """Print what differs between two configurations.

    Raises:
        UsageError: If a run is not there or not finished.
        ShiftbenchError: If the runs have nothing to pair.
    """
    options = _parse(arguments)
    a, b = (find_run(name, Path(options.out).expanduser()) for name in options.runs)
    pairs = pairing(a, b, only_these=options.only_these)
    found = compared(pairs, options.protocol, options.over)
    if options.csv:
        write_csv(_frame(found, pairs), Path(options.csv).expanduser(), COMPARISON_COLUMNS)
    print_comparison(found, pairs, label(a), label(b))
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
    parser.add_argument(
        "--over", choices=(SEEDS_AND_IMAGES, SEEDS), default=SEEDS_AND_IMAGES,
        help="what the interval is over: crossed random effects of both (default), or Student's t "
        "over seeds, about these test images alone",
    )  # fmt: skip
    parser.add_argument(
        "--runs", action="store_true", dest="only_these",
        help="compare these two runs and no other seeds; nothing is called better then",
    )  # fmt: skip
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


def _frame(found: Compared, pairing: Pairing) -> pd.DataFrame:
    """Return the rows as they are written to a file."""
    runs = {
        key: " ".join(pair[side].folder.name for pair in pairing.pairs.values())
        for side, key in enumerate(("run_a", "run_b"))
    }
    rows = [
        {**runs, "protocol": row.protocol, **asdict(row.difference), "better": row.better,
         "seeds": row.seeds, "kind": row.kind}
        for row in found.rows
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def label(run: Path) -> dict[str, str]:
    """Return the settings that a run's rows are labelled with."""
    first = read_csv(run / "metrics.csv", METRIC_COLUMNS).iloc[0]
    groups = ("data", "model", "pool", "head", "padding", "augment", "seed")
    return {"run": run.name, **{group: str(first[group]) for group in groups}}
