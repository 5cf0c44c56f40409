"""Writing of a report's files, and the printed summary of a finished sweep; no torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from rich.console import Console

from shiftbench.claims import Judged, claim_rows, network_rows
from shiftbench.errors import ShiftbenchError
from shiftbench.report.attempts import attempt
from shiftbench.report.load.collect import Collection, collect
from shiftbench.report.load.published import published_findings
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.claim_table import print_banner, print_claims
from shiftbench.report.tables.claim_text import smoke_banner
from shiftbench.report.tables.differences import DIFFERENCE_COLUMNS
from shiftbench.report.tables.leaderboard_grids import Ranked
from shiftbench.report.tables.residuals import RESIDUAL_COLUMNS
from shiftbench.report.tables.result_tables import grids
from shiftbench.report.tables.summary import summarise
from shiftbench.report.tables.terminal_grid import print_grids
from shiftbench.storage.atomic import cannot_write, write_text
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


def write_report(
    collection: Collection,
    summary: pd.DataFrame,
    apart: pd.DataFrame | None,
    judged: Sequence[Judged],
    folder: Path,
    best: Best,
    *,
    figures: bool,
    beyond: pd.DataFrame | None = None,
    ranked: Ranked | None = None,
) -> list[str]:
    """Write the files of a report and return their names.

    Args:
        collection: The runs.
        summary: Their summary.
        apart: Paired differences, if requested.
        judged: The published findings of the report.
        folder: Folder for the files.
        best: Selects the marked cells of the page's tables.
        figures: Whether to write figures and the page.
        beyond: Residuals of consistency on accuracy, if requested.
        ranked: The leaderboard, if requested.

    Raises:
        OSError: If a table cannot be written.
    """
    _write_tables(collection, summary, folder)
    written = [*TABLES, *_write_requested(apart, beyond, folder)]
    if ranked is not None:
        write_csv(ranked.rows(), folder / "leaderboard.csv", ranked.columns())
        write_text(folder / "leaderboard.md", ranked.markdown(smoke_banner(collection)))
        written += ["leaderboard.csv", "leaderboard.md"]
    written += _write_claims(judged, folder)
    if figures:
        with attempt(str(folder / "report.html"), passing=(OSError,)):
            from shiftbench.report.page.document import write_page

            boards = ranked.grids if ranked else ()
            page = write_page(collection, summary, folder, apart, judged, best, boards)
            written.append(page.name)
        if "report.html" not in written:  # remove the outdated page of an earlier report
            with suppress(OSError):
                (folder / "report.html").unlink()
    return written


def _write_requested(
    apart: pd.DataFrame | None, beyond: pd.DataFrame | None, folder: Path
) -> list[str]:
    """Write the tables that were requested and return the names of their files."""
    requested = {
        "differences.csv": (apart, DIFFERENCE_COLUMNS),
        "residuals.csv": (beyond, RESIDUAL_COLUMNS),
    }
    written = []
    for name, (frame, columns) in requested.items():
        if frame is not None:
            write_csv(frame, folder / name, columns)
            written.append(name)
    return written


def _write_claims(judged: Sequence[Judged], folder: Path) -> list[str]:
    """Write the verdicts and return the names of the files; remove those of an earlier report."""
    if judged:
        write_csv(claim_rows(judged), folder / "claims.csv", CLAIM_COLUMNS)
        write_csv(network_rows(judged), folder / "networks.csv", NETWORK_COLUMNS)
        return ["claims.csv", "networks.csv"]
    remove_own(folder / "claims.csv", CLAIM_COLUMNS)
    remove_own(folder / "networks.csv", NETWORK_COLUMNS)
    return []


def report_sweep(folder: Path) -> None:
    """Write and print the report of a finished sweep.

    Raises:
        UsageError: If its folder is not writable.
    """
    collection = collect([folder])
    for warning in collection.warnings:
        log.warning(warning)
    summary = summarise(collection)
    judged = published_findings(collection)
    best = Best.of(collection)
    try:
        with exclusive(folder / ".report.lock"):  # other workers of the sweep may end, too
            written = write_report(collection, summary, None, judged, folder, best, figures=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    banner = smoke_banner(collection)
    if judged:  # print a study's verdicts only; its tables are on the page
        print_claims(Console(), judged, banner)
    else:
        print_banner(Console(), banner)
        print_grids(Console(), grids(summary, best=best))
    print_files(folder, written)


def update_tables(folder: Path) -> None:
    """Update the tables of a sweep; safe to call from any process."""
    try:
        # Locked, so that an older table never replaces a newer one.
        with exclusive(folder / ".report.lock"):
            collection = collect([folder])
            _write_tables(collection, summarise(collection), folder)
    except (ShiftbenchError, OSError) as error:
        log.warning("the tables in %s are not up to date (%s)", folder, error)


def print_files(folder: Path, written: Sequence[str]) -> None:
    """Print the paths of a report's files, one per line."""
    for name in written:
        print(f"{name.rpartition('.')[0]:<12} {folder / name}")


def _write_tables(collection: Collection, summary: pd.DataFrame, folder: Path) -> None:
    columns = in_order(METRIC_COLUMNS, collection.metrics.columns)  # files may have further columns
    write_csv(collection.metrics, folder / "results.csv", columns)
    write_csv(summary, folder / "summary.csv", list(summary.columns))
