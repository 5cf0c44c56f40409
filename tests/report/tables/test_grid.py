"""The tables: the best cells, visible content, 80 columns, markdown and LaTeX."""

import io
import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from shiftbench.errors import UsageError
from shiftbench.report.load.collect import collect
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.difference_tables import difference_grids
from shiftbench.report.tables.differences import differences
from shiftbench.report.tables.grid import Cell
from shiftbench.report.tables.markup import escape_latex, latex, markdown
from shiftbench.report.tables.result_tables import SHOWN, grids
from shiftbench.report.tables.summary import summarise
from shiftbench.report.tables.terminal_grid import print_grids
from shiftbench.runs.sweep_state import Sweep


def cells(grid, metric):
    place = [column.name for column in grid.columns].index(metric)
    return {line.labels[0]: line.cells[place] for line in grid.lines}


def marked(grid, metric):
    return [pool for pool, cell in cells(grid, metric).items() if cell.mark]


def printed(shown, width=80, every=False):
    file = io.StringIO()
    print_grids(Console(file=file, width=width), shown, every=every)
    return file.getvalue()


@pytest.fixture
def summary(tmp_path):
    return lambda: summarise(collect([tmp_path]))


@pytest.fixture
def shown(tmp_path):
    """Return a function that returns the tables of all runs, with their marks."""

    def make(*metrics):
        collection = collect([tmp_path])
        return grids(summarise(collection), metrics, best=Best.of(collection))

    return make


def right(share, images=400):
    """Whether each image is classified correctly: the given share of images, the first ones."""
    return (np.arange(images) < share * images).astype(float)


def test_the_best_is_the_highest_or_the_lowest_as_the_metric_has_it(make_run, shown):
    for pool, shares in [("a", (0.9, 0.2, 0.1)), ("b", (0.8, 0.1, 0.9))]:
        names = ("accuracy", "top1_change", "chance_consistency")
        images = {name: right(share) for name, share in zip(names, shares, strict=True)}
        make_run(images={"circular": images}, pool=pool)
    [grid] = shown()
    assert marked(grid, "accuracy") == ["a"]
    assert marked(grid, "top1_change") == ["b"]
    assert marked(grid, "chance_consistency") == []  # neither direction is better
    assert grid.mark == (
        "not distinguishable from the best: simultaneous 95 % intervals over images, one seed"
    )


def test_without_any_error_nothing_is_marked(make_run, of, shown):
    for pool, value in [("a", 0.9), ("b", 0.8)]:
        make_run(of(accuracy=value), pool=pool)
    [grid] = shown()
    assert marked(grid, "accuracy") == []
    assert "distinguishable" not in printed([grid])


def test_one_cell_alone_is_not_the_best(make_run, shown):
    make_run(images={"circular": {"accuracy": right(0.9)}}, pool="a")
    make_run(pool="b", error="no")
    assert marked(shown()[0], "accuracy") == []


def test_a_nan_is_not_the_best_and_is_shown(make_run, of, shown):
    for seed in (0, 1):
        for pool, value in [("a", 0.9 + 0.001 * seed), ("b", float("nan")), ("c", 0.8)]:
            make_run(of(accuracy=value), pool=pool, seed=seed)
    [grid] = shown()
    assert marked(grid, "accuracy") == ["a"]
    assert cells(grid, "accuracy")["b"] == Cell("–")


def test_only_what_saw_the_same_data_is_compared(make_run, shown):
    for data, pool, value in [("easy", "a", 0.9), ("easy", "b", 0.8), ("hard", "a", 0.3),
                              ("hard", "b", 0.4)]:  # fmt: skip
        make_run(images={"circular": {"accuracy": right(value)}}, pool=pool, data=data, shown=data)
    [grid] = shown()
    best = [line.labels for line in grid.lines if line.cells[0].mark]
    assert best == [("easy", "a"), ("hard", "b")]


def test_seeds_and_intervals_are_what_the_cells_show(make_run, of, summary):
    for seed, value in enumerate([0.4, 0.6]):
        make_run(of(accuracy=(value, 0.1, 0.9)), seed=seed)
    [grid] = grids(summary())
    assert cells(grid, "accuracy")["max"] == Cell("0.500", sd="0.141", value=0.5)
    assert grid.notes == ("mean ± sd over 2 seeds", "10 images × 4 shifts")
    assert grid.common.startswith("shapes · vgg · head=flatten · padding=zeros")


def test_one_seed_shows_the_interval_over_images(make_run, of, summary):
    make_run(of(accuracy=(0.5, 0.1, 0.9)))
    [grid] = grids(summary())
    assert cells(grid, "accuracy")["max"] == Cell("0.500", interval=("0.100", "0.900"), value=0.5)
    assert "[95 % interval over images: BCa]" in grid.notes


@pytest.fixture
def troubled_grid(make_run, tmp_path):
    """Configurations that are done, partly failed, failed and missing, under two protocols."""
    both = {"circular": {"accuracy": 0.5, "consistency": 0.25},
            "translate": {"accuracy": 0.5, "consistency": 0.75}}  # fmt: skip
    jobs = []
    for pool, errors in [("max", (None, None)), ("blur", (None, "x")), ("aps", ("x", "x"))]:
        for seed, error in enumerate(errors):
            folder = make_run(both, pool=pool, seed=seed, error=error)
            jobs.append((f"pool={pool}", f"seed={seed}", folder.name))
    overrides = [*(job[:2] for job in jobs), ("pool=avg", "seed=0"), ("pool=avg", "seed=1")]
    sweep = Sweep.start(tmp_path / "out" / "sweeps" / "s", tmp_path / "out" / "runs", overrides)
    for *job, run_id in jobs:
        sweep.put(job, state="done", run_id=run_id)
    return grids(summarise(collect([sweep.folder])))


def test_failed_and_missing_are_visible_under_every_protocol(troubled_grid):
    assert [grid.title for grid in troubled_grid] == ["circular", "translate"]
    for grid in troubled_grid:
        assert [line.labels[-1] for line in grid.lines] == ["2", "1, 1 failed", "0, 2 failed",
                                                       "0, 2 missing"]  # fmt: skip
        assert {pool: cell.text for pool, cell in cells(grid, "accuracy").items()} == {
            "max": "0.500", "blur": "0.500", "aps": "failed", "avg": "missing",
        }  # fmt: skip
        for text in (printed([grid]), markdown(grid), latex(grid)):
            for word in ("failed", "missing", "aps", "avg"):
                assert word in text


def test_a_study_in_which_everything_failed_has_a_table(make_run, summary):
    make_run(error="no", pool="a")
    make_run(error="no", pool="b")
    text = printed(grids(summary()))
    assert text.count("failed") >= 4


@pytest.mark.parametrize("every", [False, True])
def test_it_fits_eighty_columns(make_run, shown, tmp_path, every):
    images = {"circular": dict.fromkeys((*SHOWN, "mean_absolute_change"), right(0.5))}
    for pool in ("max", "blur[filter_size=5,pad=circular]", "adaptive[norm=2,filter_size=3]"):
        for augment in ("none", "shift[max_shift=4,fill=reflect]"):
            for seed in (0, 1):
                make_run(images=images, pool=pool, augment=augment, seed=seed)
    for grid in shown(*SHOWN, "mean_absolute_change"):
        text = printed([grid], every=every)
        assert max(map(cell_len, text.splitlines())) <= 80
        assert "0.500±0.000*" in text
        assert ("mean_" in text) == every
        assert ("more in summary.csv" in text) != every
    apart = differences(collect([tmp_path]), "pool=max")
    text = printed(difference_grids(apart, ["accuracy", "consistency"]), every=True)
    assert max(map(cell_len, text.splitlines())) <= 80


def test_markup_in_a_label_is_printed_as_it_is(make_run, summary):
    make_run(pool="blur[bold]")
    make_run(pool="blur[/]")
    text = printed(grids(summary()))
    assert "blur[bold]" in text
    assert "blur[/]" in text


def parsed(text):
    """The rows of the tables in a markdown text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows, row = [], []
    for before, token in itertools.pairwise(tokens):
        if before.type in ("th_open", "td_open"):
            row.append("".join(part.content for part in token.children))
        if token.type == "tr_close":
            rows.append(row)
            row = []
    return rows


def test_markdown_is_a_table_with_these_cells(make_run, shown):
    for seed in (0, 1):
        for pool, share in (("a|b*c", 0.25), ("blur[x=1]", 0.5)):
            make_run(images={"circular": {"accuracy": right(share)}}, pool=pool, seed=seed)
    [grid] = shown()
    assert parsed(markdown(grid)) == [
        ["pool", "accuracy ↑"],
        ["a|b*c", "0.250 ± 0.000"],
        ["blur[x=1]", "0.500 ± 0.000"],
    ]
    assert "**0.500** ± 0.000" in markdown(grid)


def test_latex_is_escaped_and_has_booktabs_and_arrows(make_run, shown):
    for pool, share in (("my_pool{50%}#&$~^\\", 0.25), ("b", 0.5)):
        images = {"accuracy": right(share), "top1_change": right(0.5)}
        make_run(images={"circular": images}, pool=pool)
    text = latex(shown()[0])
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"accuracy $\uparrow$",
                 r"top1\_change $\downarrow$", r"\textbf{0.500}",
                 r"my\_pool\{50\%\}\#\&\$\textasciitilde{}\textasciicircum{}"
                 r"\textbackslash{}"):  # fmt: skip
        assert part in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}


@given(st.text())
def test_nothing_that_latex_minds_is_left_bare(text):
    bare = re.sub(r"\\text(backslash|asciitilde|asciicircum)\{\}|\\[{}$&#%_]|\$[<>|]\$"
                  r"|\$\\(uparrow|downarrow|pm|times|cdot)\$", "", escape_latex(text))  # fmt: skip
    assert not set(bare) & set("\\{}$&#%_~^<>|")


def test_differences_are_marked_where_the_interval_leaves_zero_out(make_run, of, tmp_path):
    for seed, (far, near) in enumerate([(0.70, 0.4), (0.71, 0.6), (0.72, 0.5)]):
        make_run(of(accuracy=0.5), pool="max", seed=seed)
        make_run(of(accuracy=far), pool="far", seed=seed)
        make_run(of(accuracy=near), pool="near", seed=seed)
    rows = differences(collect([tmp_path]), "pool=max")
    [grid] = difference_grids(rows, ["accuracy"])
    assert marked(grid, "accuracy") == ["far"]
    assert cells(grid, "accuracy")["far"].text == "+0.210"
    assert cells(grid, "accuracy")["near"].text == "+0.000"
    assert "difference from pool=max" in printed([grid])


def test_what_is_not_there_cannot_be_shown(make_run, summary):
    make_run()
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        grids(summary(), ["acuracy"])
    with pytest.raises(UsageError, match="allowed: circular"):
        grids(summary(), protocol="circle")
