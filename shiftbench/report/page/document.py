"""``report.html``: a study on one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from shiftbench import __version__
from shiftbench.claims import Judged
from shiftbench.report.figures.page_figures import figure_groups
from shiftbench.report.load.records import Collection
from shiftbench.report.page.caveats import caveats
from shiftbench.report.page.claims import shown_claims
from shiftbench.report.page.origin import origins, unfinished
from shiftbench.report.tables.best import NO_MARKS, Best
from shiftbench.report.tables.claim_text import smoke_banner, verdict_counts
from shiftbench.report.tables.difference_tables import panel_difference_grids
from shiftbench.report.tables.grid import Column, Grid
from shiftbench.report.tables.labels import ShortLabels, shared, varying
from shiftbench.report.tables.panels import panels
from shiftbench.report.tables.result_tables import MAIN, panel_grids
from shiftbench.report.tables.summary import counts, metrics_of
from shiftbench.storage.atomic import write_text

MOST_VALUES = 12  # of a setting, in the list of compared settings
MOST_UNFINISHED = 100
MOST_ROWS = 300  # of the tables of all metrics; summary.csv has all rows


def write_page(
    collection: Collection,
    summary: pd.DataFrame,
    folder: Path,
    differences: pd.DataFrame | None = None,
    claims: Sequence[Judged] = (),
    best: Best = NO_MARKS,
    leaderboards: Sequence[Grid] = (),
) -> Path:
    """Draw a study's figures and write its page.

    Args:
        collection: The runs, from :func:`~shiftbench.report.load.collect.collect`.
        summary: Their summary, from :func:`~shiftbench.report.tables.summary.summarise`.
        folder: Folder for ``report.html`` and ``figures/*.png``.
        differences: Paired differences; None omits the section.
        claims: Published findings; an empty sequence omits the section.
        best: Selects the marked cells of the tables; none by default.
        leaderboards: Tables of ranks; an empty sequence omits the section.

    Returns:
        The path of ``report.html``. It embeds its figures, styles and script, and makes no
        network requests.
    """
    environment = Environment(
        loader=PackageLoader("shiftbench.report.page", "template"), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    content = _content(collection, summary, folder, differences, claims, best, leaderboards)
    # Both are files of this package and contain no user input.
    css, js = (
        Markup(environment.loader.get_source(environment, name)[0])  # type: ignore[union-attr]
        for name in ("page.css", "page.js")
    )
    path = folder / "report.html"
    template = environment.get_template("page.html.j2")
    write_text(path, template.render(css=css, js=js, version=__version__, **content))
    return path


def _content(
    collection: Collection,
    summary: pd.DataFrame,
    folder: Path,
    differences: pd.DataFrame | None,
    claims: Sequence[Judged],
    best: Best,
    leaderboards: Sequence[Grid],
) -> Mapping[str, Any]:
    """Return the variables of the template."""
    short = ShortLabels.of(summary)
    summary = short.on(summary)
    names = metrics_of(summary)
    found = panels(summary)
    shared, made = origins(collection)
    open_ends = unfinished(collection)
    groups = figure_groups(collection, found, folder / "figures")
    published = shown_claims(claims, folder / "figures")
    tables = panel_grids(found, MAIN, best)
    every = panel_grids(found, names, best) if len(summary) <= MOST_ROWS else []
    apart = panel_difference_grids(None if differences is None else short.on(differences), MAIN)
    return {
        **_head(collection, summary, short),
        **_open(collection, open_ends),
        "contents": list(
            _contents(
                published, leaderboards, groups, apart, open_ends or collection.warnings, names
            )
        ),
        "claims": published,
        "verdicts": verdict_counts(claims),
        "caveats": caveats(found, summary),
        "leaderboards": leaderboards,
        "tables": tables,
        "all_metrics": every,
        "groups": groups,
        "differences": apart,
        "origins": shared,
        "made": made,
        "glossary": [column for column in map(Column.of, names) if column.about],
    }


def _head(collection: Collection, summary: pd.DataFrame, short: ShortLabels) -> Mapping[str, Any]:
    """Return the variables of the top of the page."""
    return {
        "heading": _heading(summary),
        "banner": smoke_banner(collection),
        "counts": counts(collection.runs, collection.waiting),
        "compared": list(_compared(summary)),
        "fixed": " · ".join([*_fixed(summary), *short.left_out]),
    }


def _open(collection: Collection, open_ends: Sequence[object]) -> Mapping[str, Any]:
    """Return the variables of what failed, is missing or was left out."""
    return {
        "unfinished": open_ends[:MOST_UNFINISHED],
        "unfinished_rest": max(len(open_ends) - MOST_UNFINISHED, 0),
        "warnings": collection.warnings[:MOST_UNFINISHED],
    }


def _heading(summary: pd.DataFrame) -> str:
    """Return ``6 configurations on shapes: pool and augment``."""
    count = len({(row.config_id, row.settings, row.pool) for row in summary.itertuples()})
    # shapes[size=16] is written in full further down the page
    sets = dict.fromkeys(value.partition("[")[0] for value in summary["data"].astype(str))
    data = " and ".join(value for value in sets if value)
    groups = varying(summary)
    of = f": {', '.join(groups[:-1])} and {groups[-1]}" if len(groups) > 1 else ""
    of = f": {groups[0]}" if len(groups) == 1 else of
    many = f"{count} configurations" if count != 1 else "One configuration"
    return f"{many} on {data}{of}" if data else f"{many}{of}"


def _compared(summary: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield every label in which configurations differ, and its values."""
    for name in varying(summary):
        values = [value for value in dict.fromkeys(summary[name].astype(str)) if value]
        rest = [f"and {len(values) - MOST_VALUES} more"] if len(values) > MOST_VALUES else []
        yield name, ", ".join([*values[:MOST_VALUES], *rest])


def _fixed(summary: pd.DataFrame) -> Iterator[str]:
    """Yield the labels that all configurations share, as typed on the command line."""
    for name, values in shared(summary, varying(summary)):
        yield from values if name == "settings" else (f"{name}={value}" for value in values)


def _contents(
    published: object,
    leaderboards: object,
    groups: object,
    apart: object,
    open_ends: object,
    names: object,
) -> Iterator[tuple[str, str]]:
    """Yield the sections that the page has."""
    for there, key, name in (
        (published, "published", "Published findings"),
        (leaderboards, "leaderboard", "Leaderboard"),
        (True, "results", "Results"),
        (groups, "figures", "Figures"),
        (apart, "differences", "Paired differences"),
        (open_ends, "unfinished", "Failed and missing"),
        (True, "origin", "How these numbers were made"),
        (names, "metrics", "What the metrics are"),
    ):
        if there:
            yield key, name
