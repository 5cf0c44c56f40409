"""The summary's tables in GitHub's markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shiftbench.report.tables.grid import Cell, Grid


def markdown(grid: Grid) -> str:
    """Return the table in GitHub's markdown; marked cells are bold."""
    metrics = _metrics(grid)
    rows = [
        [*map(_markdown_text, line.labels), *map(_markdown_cell, line.cells)] for line in grid.lines
    ]
    title = f"**{_markdown_text(grid.title)}** · " if grid.title else ""
    lines = [
        f"{title}{_markdown_text(grid.common)}",
        "",
        _markdown_row([*grid.heads, *metrics]),
        _markdown_row([*(["---"] * len(grid.heads)), *(["---:"] * len(metrics))]),
        *map(_markdown_row, rows),
        "",
        grid.legend("bold:"),
    ]
    return "\n".join(lines) + "\n"


def _metrics(grid: Grid) -> list[str]:
    return [f"{column.name} {column.arrow}".strip() for column in grid.columns]


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", " ".join(text.split()))


def _markdown_cell(cell: Cell) -> str:
    mean = f"**{cell.text}**" if cell.mark else cell.text
    if cell.sd:
        return f"{mean} ± {cell.sd}"
    return f"{mean} {_interval(cell.interval)}{cell.kind}" if cell.interval else mean


def _interval(ends: tuple[str, str]) -> str:
    return f"[{ends[0]}, {ends[1]}]"


SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$",
    "×": r"$\times$", "–": "--", "·": r"$\cdot$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    r"""Return ``text`` escaped for LaTeX.

    >>> escape_latex("top1_change ↓ 95 %")
    'top1\\_change $\\downarrow$ 95 \\%'
    """
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


def latex(grid: Grid) -> str:
    """Return the table in LaTeX for the booktabs package; marked cells are bold."""
    metrics = _metrics(grid)
    parts = (grid.title, grid.common, grid.legend("bold:"))
    caption = ". ".join(part for part in parts if part)
    rows = [[*map(escape_latex, line.labels), *map(_latex_cell, line.cells)] for line in grid.lines]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\begin{{tabular}}{{{'l' * len(grid.heads)}{'r' * len(metrics)}}}",
        r"\toprule",
        _latex_row([escape_latex(head) for head in (*grid.heads, *metrics)]),
        r"\midrule",
        *map(_latex_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    mean = rf"\textbf{{{text}}}" if cell.mark else text
    if cell.sd:
        return rf"{mean} $\pm$ {cell.sd}"
    kind = rf"\textsuperscript{{{cell.kind}}}" if cell.kind else ""
    return f"{mean} {_interval(cell.interval)}{kind}" if cell.interval else mean
