"""``shiftbench compare RUN_A RUN_B``: differences paired by seed and image; without torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import pandas as pd

from shiftbench.errors import UsageError, did_you_mean
from shiftbench.report.load.read_runs import read_run
from shiftbench.report.load.records import DAMAGED, DONE, RunRecord
from shiftbench.report.load.repetitions import Pairing, pairing
from shiftbench.report.tables.compared import SEEDS, SEEDS_AND_IMAGES, Compared, compared
from shiftbench.report.tables.comparison import print_comparison
from shiftbench.storage.result_files import write_csv

COMPARISON_COLUMNS = (
    "run_a", "run_b", "protocol", "metric", "value_a", "value_b", "difference", "ci_low",
    "ci_high", "interval", "better", "seeds", "kind",
)  # fmt: skip

DESCRIPTION = """The difference of two configurations in every metric: value A, value B, B − A
and its 95 % interval. RUN_A and RUN_B each name a finished run; all seeds of its configuration are
used, paired by seed and by image. The interval covers other seeds and other test images; if it
excludes 0, the row is bold and says which is better. If A and B share only one seed, the interval
is over images and neither is called better, since another training seed may change the difference
by more."""


def compare_runs(arguments: Sequence[str]) -> int:
    """Print the differences between two configurations.

    Raises:
        UsageError: If a run does not exist or is not finished.
        ShiftbenchError: If the runs cannot be paired.
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
    """The arguments of a verb that takes runs; an invalid one raises :class:`UsageError`."""

    def __init__(self, verb: str, description: str, example: str = "RUN_A RUN_B") -> None:
        super().__init__(f"shiftbench {verb}", description=description, allow_abbrev=False)
        self.verb = verb
        self.example = example

    def error(self, message: str) -> NoReturn:
        """Raise an exception instead of printing a message and exiting, as argparse does."""
        raise UsageError(f"{self.verb}: {message}; e.g. shiftbench {self.verb} {self.example}")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options; ``out=PATH``, the spelling of other commands, is accepted, too."""
        given = [f"--{item}" if item.startswith("out=") else item for item in arguments]
        return self.parse_intermixed_args(given)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = VerbParser("compare", DESCRIPTION)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN",
        help="two runs: a run's folder, or the beginning of its name in PATH/runs",
    )  # fmt: skip
    parser.add_argument("--protocol", metavar="NAME", help="compare only under this protocol")
    parser.add_argument(
        "--over", choices=(SEEDS_AND_IMAGES, SEEDS), default=SEEDS_AND_IMAGES,
        help="what the interval covers: crossed random effects of both (default), or Student's t "
        "over seeds, for these test images only",
    )  # fmt: skip
    parser.add_argument(
        "--runs", action="store_true", dest="only_these",
        help="compare only these two runs, without other seeds; neither is called better",
    )  # fmt: skip
    parser.add_argument("--csv", metavar="FILE", help="also write the rows to FILE")
    parser.add_argument(
        "--out",
        default="outputs",
        metavar="PATH",
        help="output folder of the runs (default: outputs)",
    )
    options = parser.parse(arguments)
    if len(options.runs) != 2:
        parser.error(f"it takes two runs, got {len(options.runs)}")
    return options


def find_run(name: str, out: Path) -> RunRecord:
    """Return a finished run, given by its folder or by a prefix of its name.

    Raises:
        UsageError: If there is no such run, or it is not finished.
    """
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        folder = _by_prefix(name, out / "runs")
    run = read_run(folder)
    if run.state == DAMAGED:
        raise UsageError(
            f"{folder} is not the folder of a run ({run.error}); "
            f"give one of those in {out / 'runs'}"
        )
    if run.state != DONE:
        raise UsageError(
            f"{folder} is not finished ({run.state}); run its command again, it resumes"
        )
    return run


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
    """Return the rows for the output file."""
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


def label(run: RunRecord) -> dict[str, str]:
    """Return the settings that a run's rows are labelled with."""
    groups = ("data", "model", "pool", "head", "padding", "augment", "seed")
    return {"run": run.folder.name, **{group: str(run.labels[group]) for group in groups}}
