"""``shiftbench report DIR...``: tables and figures of many runs, from their files; no torch."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from rich.console import Console

from shiftbench.claims import Judged
from shiftbench.cli.compare_command import VerbParser
from shiftbench.errors import UsageError
from shiftbench.report.load.collect import Collection, collect
from shiftbench.report.load.find_runs import is_sweep
from shiftbench.report.load.mixed_versions import version_notes
from shiftbench.report.load.published import published_findings
from shiftbench.report.load.records import word_of
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.claim_table import print_banner, print_claims
from shiftbench.report.tables.claim_text import smoke_banner
from shiftbench.report.tables.difference_tables import difference_grids
from shiftbench.report.tables.differences import differences
from shiftbench.report.tables.grid import Grid
from shiftbench.report.tables.leaderboard import METRIC, PROTOCOL, parse_ranking
from shiftbench.report.tables.leaderboard_grids import Ranked
from shiftbench.report.tables.markup import latex, markdown
from shiftbench.report.tables.residuals import residual_grids, residuals
from shiftbench.report.tables.result_tables import chosen_metrics, grids
from shiftbench.report.tables.summary import summarise
from shiftbench.report.tables.terminal_grid import print_grids
from shiftbench.report.write import print_files, write_report

log = logging.getLogger(__name__)

DESCRIPTION = """Tables and figures of many runs: mean and spread over seeds, failed and missing
runs, and marks on the best of each column with all that cannot be distinguished from it. DIR is a
sweep, a run, or any folder that contains some. The files are results.csv (every row of every run),
summary.csv (a row for every configuration and protocol), differences.csv (with --against),
residuals.csv (with --residuals), leaderboard.csv and leaderboard.md (with --leaderboard),
claims.csv and networks.csv (published findings, if DIR is a study that names them, or with
--claims), figures/ and report.html."""


def report_runs(arguments: Sequence[str]) -> int:
    """Write and print the report of the given folders.

    Raises:
        UsageError: If an option names something that does not exist.
        ShiftbenchError: If there are no runs.
    """
    options = _parse(arguments)
    collection = collect(options.folders)
    if options.remeasure:
        _remeasure(collection)
        collection = collect(options.folders)
    summary, best = summarise(collection), Best.of(collection)
    wanted = [name for name in options.metrics.split(",") if name]
    ranked = _ranked(options.leaderboard, collection, summary, best, wanted, options.protocol)
    shown = list(ranked.grids) if ranked else grids(summary, wanted, options.protocol, best)
    apart = differences(collection, options.against, images=True) if options.against else None
    if apart is not None:
        shown += difference_grids(apart, chosen_metrics(summary, wanted), options.protocol)
    beyond = residuals(collection, options.residuals) if options.residuals else None
    if beyond is not None:
        shown += residual_grids(beyond, options.protocol)
    judged = published_findings(collection, every=options.claims)
    folder = options.output or _default_folder(options.folders)
    with _writing_to(folder):
        written = write_report(
            collection, summary, apart, judged, folder, best,
            figures=not options.no_figures, beyond=beyond, ranked=ranked,
        )  # fmt: skip
    if options.markdown or options.latex:
        print("\n".join((markdown if options.markdown else latex)(grid) for grid in shown), end="")
    else:
        _print_tables(collection, shown, judged, every=bool(wanted))
        print_files(folder, written)
    _print_failures(collection)
    for note in version_notes(list(collection.done().values())):
        print(f"note: {note}", file=sys.stderr)
    return 0


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder} ({error.strerror or error}); choose another with --output"
        ) from error


def _print_tables(
    collection: Collection, shown: Sequence[Grid], judged: Sequence[Judged], *, every: bool
) -> None:
    banner = smoke_banner(collection)
    print_banner(Console(), "" if judged else banner)
    print_grids(Console(), shown, every=every)
    print_claims(Console(), judged, banner)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = VerbParser("report", DESCRIPTION, "outputs")
    parser.add_argument("folders", nargs="*", metavar="DIR", help="default: outputs")
    parser.add_argument(
        "--against", metavar="pool=max",
        help="paired differences from the runs with this label, with intervals over seeds and "
        "images, or over images if there is one seed",
    )  # fmt: skip
    parser.add_argument(
        "--residuals", metavar="all",
        help="consistency beyond what accuracy explains: distances from a line of consistency on "
        "accuracy through all configurations, or through those with a label, e.g. pool=max",
    )  # fmt: skip
    parser.add_argument(
        "--leaderboard", metavar="METRIC:PROTOCOL",
        help="a table of ranks instead of the tables by protocol, for each data set, model family, "
        f"augmentation and training; by {METRIC}:{PROTOCOL} without a value",
    )  # fmt: skip
    parser.add_argument(
        "--claims", action="store_true",
        help="all published findings, for any DIR; those without runs state what to run",
    )  # fmt: skip
    parser.add_argument(
        "--remeasure", action="store_true",
        help="first recompute the numbers of finished runs from their prediction tables",
    )  # fmt: skip
    parser.add_argument("--metrics", default="", metavar="A,B", help="metrics of the columns")
    parser.add_argument("--protocol", metavar="NAME", help="only this shift protocol")
    parser.add_argument("--markdown", action="store_true", help="print only markdown")
    parser.add_argument("--latex", action="store_true", help="print only LaTeX")
    parser.add_argument(
        "--output", metavar="FOLDER",
        help="folder of the files (default: the sweep if DIR is one, otherwise DIR/report)",
    )  # fmt: skip
    parser.add_argument("--no-figures", action="store_true", help="no figures/, no report.html")
    options = parser.parse_intermixed_args(_spelled(arguments))
    if options.markdown and options.latex:
        parser.error("--markdown and --latex are two formats; ask for one")
    options.folders = [Path(folder).expanduser() for folder in options.folders or ["outputs"]]
    options.output = Path(options.output).expanduser() if options.output else None
    return options


def _spelled(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the value of a bare ``--leaderboard``, after which a DIR may be.

    ``out=PATH``, the spelling of other commands, is accepted for a DIR, too.
    """
    found = []
    for item, following in zip(arguments, [*arguments[1:], ""], strict=True):
        has_value = ":" in following and not Path(following).exists()
        bare = item == "--leaderboard" and not has_value
        found.append(f"{item}={METRIC}:{PROTOCOL}" if bare else item.removeprefix("out="))
    return found


def _ranked(
    wanted: str | None,
    collection: Collection,
    summary: pd.DataFrame,
    best: Best,
    metrics: Sequence[str],
    protocol: str | None,
) -> Ranked | None:
    """Return the leaderboard, None if it is not requested."""
    if wanted is None:
        return None
    metric, under = parse_ranking(wanted, summary, protocol)
    return Ranked.of(collection, summary, best, metric, under, metrics, protocol)


def _remeasure(collection: Collection) -> None:
    """Update the result files of the runs and log the outcome."""
    from shiftbench.runs.remeasure import remeasure

    done = remeasure(run.folder for run in collection.runs)
    for folder, reason in done.left.items():
        print(f"left alone   {folder}: {reason}", file=sys.stderr)
    print(
        f"remeasured   {len(done.changed):,} runs; {len(done.same):,} were up to date, "
        f"{len(done.left):,} left alone",
        file=sys.stderr,
    )


def _default_folder(folders: Sequence[Path]) -> Path:
    if len(folders) == 1 and is_sweep(folders[0]):
        return folders[0]
    return folders[0] / "report"


def _print_failures(collection: Collection) -> None:
    for run in collection.runs:
        if run.error:
            print(f"{word_of(run.state):<12} {run.folder}: {run.error}", file=sys.stderr)
    for job in collection.waiting:
        if job.error:
            print(f"{job.state:<12} {' '.join(job.overrides)}: {job.error}", file=sys.stderr)
