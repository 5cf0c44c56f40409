"""``shiftbench report DIR...``: the tables and figures of many runs, from their files; no torch."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from rich.console import Console

from shiftbench.claims import Judged, claim_rows, network_rows
from shiftbench.cli.compare_command import VerbParser
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.report.attempts import attempt
from shiftbench.report.best import Best
from shiftbench.report.cells import chosen_metrics, grids
from shiftbench.report.claim_table import print_banner, print_claims
from shiftbench.report.claim_words import smoke_banner
from shiftbench.report.collect import Collection, collect
from shiftbench.report.difference_cells import difference_grids
from shiftbench.report.differences import DIFFERENCE_COLUMNS, differences
from shiftbench.report.markup import latex, markdown
from shiftbench.report.mixed_versions import version_notes
from shiftbench.report.places import is_sweep
from shiftbench.report.published import published_findings
from shiftbench.report.records import word_of
from shiftbench.report.summary import summarise
from shiftbench.report.tables import print_grids
from shiftbench.storage.atomic import cannot_write
from shiftbench.storage.locks import exclusive
from shiftbench.storage.result_files import (
    CLAIM_COLUMNS,
    METRIC_COLUMNS,
    NETWORK_COLUMNS,
    in_order,
    remove_own,
    write_csv,
)

log = logging.getLogger(__name__)

TABLES = ("results.csv", "summary.csv")

DESCRIPTION = """Tables and figures of many runs: mean and spread over seeds, what failed or is
missing in its place, and marked the best of a column with all that cannot be distinguished from it.
DIR is a sweep, a run, or any folder with such in it. Written are results.csv (every row of every
run), summary.csv (a row for every configuration and protocol), differences.csv (with --against),
claims.csv and networks.csv (published findings, where DIR is a study, which names them, or with
--claims), figures/ and report.html."""


def report_runs(arguments: Sequence[str]) -> int:
    """Write and print the report of the folders that are named.

    Raises:
        UsageError: If an option names what is not there.
        ShiftbenchError: If there are no runs.
    """
    options = _parse(arguments)
    collection = collect(options.places)
    if options.remeasure:
        _remeasure(collection)
        collection = collect(options.places)
    summary = summarise(collection)
    wanted = [name for name in options.metrics.split(",") if name]
    best = Best.of(collection)
    shown = grids(summary, wanted, options.protocol, best)
    apart = differences(collection, options.against, images=True) if options.against else None
    if apart is not None:
        shown += difference_grids(apart, chosen_metrics(summary, wanted), options.protocol)
    judged = published_findings(collection, every=options.claims)
    folder = options.output or _default_folder(options.places)
    try:
        written = _write(
            collection, summary, apart, judged, folder, best, figures=not options.no_figures
        )
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder} ({error.strerror or error}); choose another with --output"
        ) from error
    if options.markdown or options.latex:
        print("\n".join((markdown if options.markdown else latex)(grid) for grid in shown), end="")
    else:
        banner = smoke_banner(collection)
        print_banner(Console(), "" if judged else banner)
        print_grids(Console(), shown, every=bool(wanted))
        print_claims(Console(), judged, banner)
        _print_places(folder, written)
    _print_failures(collection)
    for note in version_notes(list(collection.done().values())):
        print(f"note: {note}", file=sys.stderr)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = VerbParser("report", DESCRIPTION, "outputs")
    parser.add_argument("places", nargs="*", metavar="DIR", help="where runs are (outputs)")
    parser.add_argument(
        "--against", metavar="pool=max",
        help="paired differences from the runs with this label, with intervals over seeds and "
        "images, or over images where there is one seed",
    )  # fmt: skip
    parser.add_argument(
        "--claims", action="store_true",
        help="all published findings, whatever DIR is; for those without runs, what to run",
    )  # fmt: skip
    parser.add_argument(
        "--remeasure", action="store_true",
        help="first bring the numbers of finished runs up to date, from their prediction tables",
    )  # fmt: skip
    parser.add_argument("--metrics", default="", metavar="A,B", help="the columns")
    parser.add_argument("--protocol", metavar="NAME", help="this shift protocol alone")
    parser.add_argument("--markdown", action="store_true", help="print markdown, nothing else")
    parser.add_argument("--latex", action="store_true", help="print LaTeX, nothing else")
    parser.add_argument(
        "--output", metavar="FOLDER",
        help="where files go (default: the sweep, where one is named, else DIR/report)",
    )  # fmt: skip
    parser.add_argument("--no-figures", action="store_true", help="no figures/, no report.html")
    # Elsewhere it is out=PATH, so that is understood as well.
    options = parser.parse_intermixed_args([item.removeprefix("out=") for item in arguments])
    if options.markdown and options.latex:
        parser.error("--markdown and --latex are two formats; ask for one")
    options.places = [Path(place).expanduser() for place in options.places or ["outputs"]]
    options.output = Path(options.output).expanduser() if options.output else None
    return options


def _remeasure(collection: Collection) -> None:
    """Bring the runs' own files up to date, and say what became of them."""
    from shiftbench.runs.remeasure import remeasure

    done = remeasure(run.folder for run in collection.runs)
    for folder, reason in done.left.items():
        print(f"left alone   {folder}: {reason}", file=sys.stderr)
    print(
        f"remeasured   {len(done.changed):,} runs; {len(done.same):,} were up to date, "
        f"{len(done.left):,} left alone",
        file=sys.stderr,
    )


def _default_folder(places: Sequence[Path]) -> Path:
    if len(places) == 1 and is_sweep(places[0]):
        return places[0]
    return places[0] / "report"


def report_sweep(folder: Path) -> None:
    """Write and print the report of a sweep that has ended.

    Raises:
        UsageError: If its folder cannot be written to.
    """
    collection = collect([folder])
    for warning in collection.warnings:
        log.warning(warning)
    summary = summarise(collection)
    judged = published_findings(collection)
    best = Best.of(collection)
    try:
        written = _write(collection, summary, None, judged, folder, best, figures=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    banner = smoke_banner(collection)
    if judged:  # a study's answer; its tables, of many protocols, are on the page
        print_claims(Console(), judged, banner)
    else:
        print_banner(Console(), banner)
        print_grids(Console(), grids(summary, best=best))
    _print_places(folder, written)


def keep_current(folder: Path) -> None:
    """Bring the tables of a sweep up to date, whatever process asks for it."""
    try:
        # One at a time, so that nobody's older table ends up on top of a newer one.
        with exclusive(folder / ".report.lock"):
            collection = collect([folder])
            _write_tables(collection, summarise(collection), folder)
    except (ShiftbenchError, OSError) as error:
        log.warning("the tables in %s are not up to date (%s)", folder, error)


def _write(
    collection: Collection,
    summary: pd.DataFrame,
    apart: pd.DataFrame | None,
    judged: Sequence[Judged],
    folder: Path,
    best: Best,
    *,
    figures: bool,
) -> list[str]:
    """Write what there is to write and return the names of the files."""
    written = list(TABLES)
    _write_tables(collection, summary, folder)
    if apart is not None:
        write_csv(apart, folder / "differences.csv", DIFFERENCE_COLUMNS)
        written.append("differences.csv")
    if judged:
        write_csv(claim_rows(judged), folder / "claims.csv", CLAIM_COLUMNS)
        write_csv(network_rows(judged), folder / "networks.csv", NETWORK_COLUMNS)
        written += ["claims.csv", "networks.csv"]
    else:  # of earlier reports: they would be out of date
        remove_own(folder / "claims.csv", CLAIM_COLUMNS)
        remove_own(folder / "networks.csv", NETWORK_COLUMNS)
    if figures:
        with attempt(str(folder / "report.html"), passing=(OSError,)):
            from shiftbench.report.page import write_page

            written.append(write_page(collection, summary, folder, apart, judged, best).name)
        if "report.html" not in written:  # of earlier runs: it would be out of date
            with suppress(OSError):
                (folder / "report.html").unlink()
    return written


def _write_tables(collection: Collection, summary: pd.DataFrame, folder: Path) -> None:
    columns = in_order(METRIC_COLUMNS, collection.metrics.columns)  # files may have others
    write_csv(collection.metrics, folder / "results.csv", columns)
    write_csv(summary, folder / "summary.csv", list(summary.columns))


def _print_places(folder: Path, written: Sequence[str]) -> None:
    for name in written:
        print(f"{name.rpartition('.')[0]:<12} {folder / name}")


def _print_failures(collection: Collection) -> None:
    for run in collection.runs:
        if run.error:
            print(f"{word_of(run.state):<12} {run.folder}: {run.error}", file=sys.stderr)
    for job in collection.waiting:
        if job.error:
            print(f"{job.state:<12} {' '.join(job.overrides)}: {job.error}", file=sys.stderr)
