"""``report.html``: a study on one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from shiftbench import __version__
from shiftbench.claims import Judged
from shiftbench.report.best import NO_MARKS, Best
from shiftbench.report.claim_words import smoke_banner, verdict_counts
from shiftbench.report.findings import findings
from shiftbench.report.gallery import hang
from shiftbench.report.page_claims import shown_claims
from shiftbench.report.page_differences import difference_tables
from shiftbench.report.page_origin import origins, unfinished
from shiftbench.report.page_tables import MAIN, column_of, metric_names, result_tables
from shiftbench.report.records import BROKEN, DONE, FAILED, STOPPED, Collection, word_of
from shiftbench.report.short_labels import ShortLabels
from shiftbench.report.study import LABELS, varying
from shiftbench.storage.atomic import write_text

MOST_VALUES = 12  # of a setting, in the list of what was compared
MOST_UNFINISHED = 100
MOST_ROWS = 300  # of the tables of every metric; summary.csv has them all


def write_page(
    collection: Collection,
    summary: pd.DataFrame,
    folder: Path,
    differences: pd.DataFrame | None = None,
    claims: Sequence[Judged] = (),
    best: Best = NO_MARKS,
) -> Path:
    """Draw a study's figures and write its page.

    Args:
        collection: The runs, as :func:`~shiftbench.report.collect.collect` found them.
        summary: What :func:`~shiftbench.report.summary.summarise` made of them.
        folder: Gets ``report.html`` and ``figures/*.png``.
        differences: Paired differences, None for no such section.
        claims: Published findings, none for no such section.
        best: Says which cells of the tables are marked; none by default.

    Returns:
        The path of ``report.html``. It holds its figures, styles and script, and asks for
        nothing over the network.
    """
    environment = Environment(
        loader=PackageLoader("shiftbench.report", "template"), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    content = _content(collection, summary, folder, differences, claims, best)
    # Both are files of this package: nothing of a user's is in them.
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
) -> Mapping[str, Any]:
    """Return what the template fills in."""
    short = ShortLabels.of(summary)
    summary = short.on(summary)
    names = metric_names(summary)
    shared, made = origins(collection)
    open_ends = unfinished(collection)
    walls = hang(collection, summary, folder / "figures")
    published = shown_claims(claims, folder / "figures")
    tables = list(result_tables(summary, [name for name in MAIN if name in names], best))
    every = list(result_tables(summary, names, best)) if len(summary) <= MOST_ROWS else []
    apart = difference_tables(None if differences is None else short.on(differences))
    return {
        "heading": _heading(summary),
        "banner": smoke_banner(collection),
        "counts": _counts(collection),
        "compared": list(_compared(summary)),
        "fixed": " · ".join([*_fixed(summary), *short.left_out]),
        "contents": list(
            _contents(published, tables, walls, apart, open_ends or collection.warnings, names)
        ),
        "claims": published,
        "verdicts": verdict_counts(claims),
        "findings": findings(summary),
        "tables": tables,
        "all_metrics": every,
        "walls": walls,
        "differences": apart,
        "unfinished": open_ends[:MOST_UNFINISHED],
        "unfinished_rest": max(len(open_ends) - MOST_UNFINISHED, 0),
        "warnings": collection.warnings[:MOST_UNFINISHED],
        "origins": shared,
        "made": made,
        "glossary": [column for column in map(column_of, names) if column.about],
    }


def _heading(summary: pd.DataFrame) -> str:
    """Return ``6 configurations on shapes: pool and augment``."""
    count = len({(row.config_id, row.settings, row.pool) for row in summary.itertuples()})
    # shapes[size=16] is named in full below
    sets = dict.fromkeys(value.partition("[")[0] for value in summary["data"].astype(str))
    data = " and ".join(value for value in sets if value)
    groups = varying(summary)
    of = f": {', '.join(groups[:-1])} and {groups[-1]}" if len(groups) > 1 else ""
    of = f": {groups[0]}" if len(groups) == 1 else of
    many = f"{count} configurations" if count != 1 else "One configuration"
    return f"{many} on {data}{of}" if data else f"{many}{of}"


def _counts(collection: Collection) -> dict[str, int]:
    """Return how many runs there should be and how they stand, as the summary counts them."""
    states = [*(run.state for run in collection.runs), *(job.state for job in collection.waiting)]
    done = states.count(DONE)
    failed = sum(state in (*BROKEN, FAILED) for state in states)
    stopped = sum(word_of(state) == STOPPED for state in states)
    return {"runs": len(states), "done": done, "failed": failed, "stopped": stopped,
            "missing": len(states) - done - failed - stopped}  # fmt: skip


def _compared(summary: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield every label in which configurations differ, and its values."""
    for name in varying(summary):
        values = [value for value in dict.fromkeys(summary[name].astype(str)) if value]
        rest = [f"and {len(values) - MOST_VALUES} more"] if len(values) > MOST_VALUES else []
        yield name, ", ".join([*values[:MOST_VALUES], *rest])


def _fixed(summary: pd.DataFrame) -> Iterator[str]:
    """Yield the labels that all configurations share, as they are typed."""
    for name in (name for name in LABELS if name not in varying(summary)):
        for value in filter(None, dict.fromkeys(summary[name].astype(str))):
            yield value if name == "settings" else f"{name}={value}"


def _contents(
    published: object,
    tables: object,
    walls: object,
    apart: object,
    open_ends: object,
    names: object,
) -> Iterator[tuple[str, str]]:
    """Yield the sections that the page has."""
    for there, key, name in (
        (published, "published", "Published findings"),
        (True, "findings", "What the numbers say"),
        (tables, "results", "Results"),
        (walls, "figures", "Figures"),
        (apart, "differences", "Paired differences"),
        (open_ends, "unfinished", "Failed and missing"),
        (True, "origin", "How these numbers were made"),
        (names, "metrics", "What the metrics are"),
    ):
        if there:
            yield key, name
