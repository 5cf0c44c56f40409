"""The one table of results; the terminal, markdown, LaTeX and the page render it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shiftbench.metric import about

FAILED, STOPPED, MISSING, NOTHING = "failed", "stopped", "missing", "–"
BEST = "best"


@dataclass(frozen=True)
class Cell:
    """A number, or the word that stands in its place.

    Attributes:
        text: The number; where there is none ``failed``, ``stopped``, ``missing`` or ``–``.
        sd: Its standard deviation over seeds; '' for one seed.
        interval: Its 95 % interval, None where it is not shown.
        kind: The letters that the kind of its interval has in the legend, '' for the usual kind.
        mark: Why it stands out, ``best``, ``better``, ``worse`` or ``differs``; '' if it does not.
        value: What a column is sorted by, None where there is no number.
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
        name: Of the metric, or of what is counted.
        arrow: The better direction, '' where there is none or it is not known.
        about: What it is, in a line.
    """

    name: str
    arrow: str = ""
    about: str = ""

    @classmethod
    def of(cls, metric: str) -> Column:
        """Return that of a metric, with the first line of its documentation."""
        known = about(metric)
        return cls(metric, known.arrow.strip(NOTHING), known.summary) if known else cls(metric)


@dataclass(frozen=True)
class Line:
    """A configuration.

    Attributes:
        labels: What tells it from the others, one for each of :attr:`Grid.heads`.
        cells: One for every column.
        data: Its data set; only what saw the same data is compared.
        notes: Remarks beside its name, as ``1 failed``.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    data: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A table: configurations below each other, metrics side by side.

    Attributes:
        title: The protocol, with the data where tables of several data sets follow each other.
        heads: Of the columns to the left, which name the configurations.
        columns: Those with numbers.
        lines: One for every configuration, none left out.
        common: What all configurations share.
        notes: What the cells are.
        mark: What a marked cell is, '' where none is marked.
        file: Where all metrics are.
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
        """Return what the cells are, and what ``sign`` says of one."""
        return " · ".join([*([f"{sign} {self.mark}"] if self.mark else []), *self.notes])

    @property
    def numbers(self) -> Iterator[Cell]:
        """All cells, row by row."""
        return (cell for line in self.lines for cell in line.cells)
