"""Rendering of the summary's tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from shiftbench.report.tables.grid import FAILED, MISSING, STOPPED, Cell, Column, Grid

WIDEST_LABEL = 22  # longer ones are folded
WIDEST_HEAD = 12
STYLES = {FAILED: "red", STOPPED: "yellow", MISSING: "dim"}


def print_grids(console: Console, grids: Sequence[Grid], *, every: bool = False) -> None:
    """Print the tables, stating once what several of them have in common.

    Args:
        console: Console to print to.
        grids: The tables, one for every protocol.
        every: Whether metrics that do not fit the width go to further tables below; otherwise
            they are only in the file with all metrics.
    """
    common = None
    for grid in grids:
        if grid.common != common:
            common = grid.common
            console.print(Text(common))
        for table in terminal_tables(grid, console.width, every=every):
            console.print(table)


def terminal_tables(grid: Grid, width: int, *, every: bool = False) -> Iterator[RenderableType]:
    """Yield the table and its legend, with as many metrics as fit ``width`` columns.

    Args:
        grid: The table of a protocol.
        width: Columns of the terminal.
        every: Whether metrics that do not fit go to further tables below.
    """
    start = 0
    while start < len(grid.columns) and (start == 0 or every):
        beside = _beside(grid, width, start)
        yield _terminal(grid, range(start, start + beside))
        start += beside
    left_out = f"more in {grid.file}" if start < len(grid.columns) else ""
    yield Text(" · ".join(filter(None, [grid.legend("*"), left_out])) + "\n")


def _beside(grid: Grid, width: int, start: int) -> int:
    """Return how many metrics, from index ``start`` on, fit beside the labels; at least one."""
    labels = [grid.heads, *(line.labels for line in grid.lines)]
    left = width - sum(min(_width(texts), WIDEST_LABEL) + 2 for texts in zip(*labels, strict=True))
    widths = [_metric_width(grid, place) + 2 for place in range(start, len(grid.columns))]
    fit = [count for count in range(1, len(widths) + 1) if sum(widths[:count]) <= left]
    return max(fit, default=1)


def _width(texts: Iterable[str]) -> int:
    return max(cell_len(text) for text in texts)


def _metric_width(grid: Grid, place: int) -> int:
    cells = [_plain(line.cells[place]) for line in grid.lines]
    return _width([*_head(grid.columns[place]).splitlines(), *cells])


def _terminal(grid: Grid, shown: Sequence[int]) -> Table:
    table = Table(title=Text(grid.title), title_justify="left", box=SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False)  # fmt: skip
    for name in grid.heads:
        table.add_column(name, overflow="fold", vertical="bottom")
    for place in shown:
        # Left-aligned, so that the means are aligned whatever follows them.
        table.add_column(_head(grid.columns[place]), no_wrap=True, vertical="bottom")
    following = [line.data for line in grid.lines[1:]]
    for line, data in zip(grid.lines, [*following, ""], strict=True):
        cells = [_styled(line.cells[place]) for place in shown]
        table.add_row(*map(Text, line.labels), *cells, end_section="" != data != line.data)
    return table


def _head(column: Column) -> str:
    """Return a column's name in lines of at most twelve characters, then its better direction.

    >>> _head(Column.of("correct_consistency")).splitlines()
    ['correct_', 'consistency↑']
    >>> _head(Column("consistency crop")).splitlines()
    ['consistency', 'crop']
    """
    lines = [""]
    for part in re.findall(r"[^_ ]+[_ ]*", column.name):
        if lines[-1] and len(lines[-1]) + len(part) > WIDEST_HEAD - 1:
            lines.append("")
        lines[-1] += part
    return "\n".join(map(str.rstrip, lines)) + column.arrow


def _plain(cell: Cell) -> str:
    """Return a cell as terminal text; the star remains visible without colours."""
    spread = f"±{cell.sd}" if cell.sd else ""
    spread += f" [{cell.interval[0]} {cell.interval[1]}]{cell.kind}" if cell.interval else ""
    return f"{cell.text}{spread}{'*' if cell.mark else ' '}"


def _styled(cell: Cell) -> Text:
    return Text(_plain(cell), style="bold" if cell.mark else STYLES.get(cell.text, ""))
