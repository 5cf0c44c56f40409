"""The common representation of result tables, rendered for terminal, markdown, LaTeX and page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shiftbench.metric import about

FAILED, STOPPED, MISSING, NOTHING = "failed", "stopped", "missing", "–"
BEST = "best"


@dataclass(frozen=True)
class Cell:
    """A number, or a word in place of a missing number.

    Attributes:
        text: The number; if there is none, ``failed``, ``stopped``, ``missing`` or ``–``.
        sd: Its standard deviation over seeds; '' for one seed.
        interval: Its 95 % interval, None if it is not shown.
        kind: Legend letters of the interval's kind, '' for the most frequent kind.
        mark: Highlighting: ``best``, ``better``, ``worse`` or ``differs``; '' for none.
        value: Sort key of a column, None without a number.
    """

    text: str
    sd: str = ""
    interval: tuple[str, str] | None = None
    kind: str = ""
    mark: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        name: Name of the metric or of the count.
        arrow: The better direction, '' if there is none or it is unknown.
        about: One-line description.
    """

    name: str
    arrow: str = ""
    about: str = ""

    @classmethod
    def of(cls, metric: str) -> Column:
        """Return the column of a metric, with the first line of its documentation."""
        known = about(metric)
        return cls(metric, known.arrow.strip(NOTHING), known.summary) if known else cls(metric)


@dataclass(frozen=True)
class Line:
    """A configuration.

    Attributes:
        labels: Labels that distinguish it from the others, one for each of :attr:`Grid.heads`.
        cells: One for every column.
        data: Its data set; only configurations on the same data are compared.
        notes: Remarks beside its name, e.g. ``1 failed``.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    data: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A table with one row per configuration and one column per metric.

    Attributes:
        title: The protocol, with the data set if there are tables of several data sets.
        heads: Headings of the columns on the left, which name the configurations.
        columns: The columns of numbers.
        lines: All configurations.
        common: The settings that all configurations share.
        notes: What the cells contain.
        mark: What the mark of a cell means, '' if none is marked.
        file: Name of the file with all metrics.
    """

    title: str
    heads: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    common: str = ""
    notes: tuple[str, ...] = ()
    mark: str = ""
    file: str = "summary.csv"

    def legend(self, sign: str) -> str:
        """Return what the cells contain, and what a ``sign`` beside a cell means."""
        return " · ".join([*([f"{sign} {self.mark}"] if self.mark else []), *self.notes])

    @property
    def numbers(self) -> Iterator[Cell]:
        """All cells, row by row."""
        return (cell for line in self.lines for cell in line.cells)
