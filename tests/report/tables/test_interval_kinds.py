"""The names of interval kinds in tables."""

import hashlib
import json

import pandas as pd
import pytest
from rich.console import Console

from shiftbench.metric import evaluate
from shiftbench.metric.example import table_of
from shiftbench.report.load.collect import collect
from shiftbench.report.tables.markup import latex, markdown
from shiftbench.report.tables.panels import panels
from shiftbench.report.tables.result_tables import grids, panel_grids
from shiftbench.report.tables.run_table import run_tables
from shiftbench.report.tables.summary import summarise
from shiftbench.report.tables.terminal_grid import print_grids

LEGEND = "95 % interval over images: BCa; w Wilson, e exact"


@pytest.fixture
def summary(make_run, of, tmp_path):
    """The summary of one run with an interval of each kind."""
    make_run(of(accuracy=(0.9, 0.8, 0.95, "wilson"), consistency=(0.7, 0.6, 0.8, "bca"),
                worst_accuracy=(1.0, 0.88, 1.0, "exact")))  # fmt: skip
    return summarise(collect([tmp_path]))


def printed(*renderables):
    console = Console(width=80)
    with console.capture() as capture:
        for one in renderables:
            console.print(one)
    return capture.get()


def rows_of(table):
    """The metrics of a prediction table, as rows read from metrics.csv."""
    identity = dict.fromkeys(("data", "model", "pool", "head", "padding", "augment", "seed"), "x")
    common = {**identity, "protocol": "circular", "engine": "direct"}
    return [
        {key: str(value) for key, value in {**common, **row}.items()}
        for row in pd.DataFrame(evaluate(table)).to_dict("records")
    ]


def test_the_table_of_a_run_names_the_kinds_in_a_footnote():
    answers = [[0, 0, 0], [0, 1, 1], [1, 1, 2], [0, 0, 0], [2, 0, 1]]
    rows = rows_of(table_of(answers, [0] * 5))
    text = printed(*run_tables(rows, 80))
    assert "[95 % interval over images: BCa; w Wilson, s score]" in text
    marks = {"wilson": "]w", "score": "]s", "bca": "] "}
    for row in rows:
        [line] = [line for line in text.splitlines() if f"│ {row['metric']} " in line]
        assert marks[row["interval"]] in line
    assert max(map(len, text.splitlines())) <= 80


def test_one_kind_alone_needs_no_marks():
    text = printed(*run_tables(rows_of(table_of([[0, 0]] * 5, [0] * 5)), 80))
    assert "[95 % interval over images: exact]" in text
    assert "]e" not in text


def test_the_summary_on_the_terminal_in_markdown_and_in_latex(summary):
    [grid] = grids(summary)
    assert f"[{LEGEND}]" in grid.notes
    assert "[0.800, 0.950]w" in markdown(grid)
    assert "[0.600, 0.800] |" in markdown(grid)
    assert "[0.880, 1.000]e" in markdown(grid)
    assert r"[0.800, 0.950]\textsuperscript{w}" in latex(grid)
    console = Console(width=80)
    with console.capture() as capture:
        print_grids(console, [grid], every=True)
    text = " ".join(capture.get().split())
    assert "exact" in text
    assert "0.950]w" in text


def test_the_page(summary):
    [grid] = panel_grids(panels(summary), ["accuracy", "consistency", "worst_accuracy"])
    assert f"[{LEGEND}]" in grid.notes
    assert [(cell.interval, cell.kind) for cell in grid.lines[0].cells[:3]] == [
        (("0.800", "0.950"), "w"), (("0.600", "0.800"), ""), (("0.880", "1.000"), "e"),
    ]  # fmt: skip


def test_seeds_with_intervals_of_two_kinds_have_both(make_run, of, tmp_path):
    make_run(of(accuracy=(1.0, 0.88, 1.0, "exact")), seed=0)
    make_run(of(accuracy=(0.9, 0.8, 0.95, "wilson")), seed=1)
    make_run(of(accuracy=(float("nan"), float("nan"), float("nan"), "")), seed=0, pool="blur")
    summary = summarise(collect([tmp_path])).set_index("pool")
    assert summary.loc["max", "accuracy_interval"] == "wilson+exact"
    assert not summary.loc["blur", "accuracy_interval"]


def test_runs_of_the_first_schema_are_read_beside_others(make_run, of, tmp_path):
    make_run(of(accuracy=(0.9, 0.8, 0.95, "wilson")), pool="blur")
    older = make_run(of(accuracy=(0.9, 0.8, 0.95)), pool="max")
    path = older / "metrics.csv"
    frame = pd.read_csv(path, keep_default_na=False).assign(schema_version=1)
    frame.drop(columns="interval").to_csv(path, index=False, lineterminator="\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (older / "status.json").write_text(
        json.dumps({"state": "done", "files": {"metrics.csv": digest}})
    )
    collection = collect([tmp_path])
    assert [run.state for run in collection.runs] == ["done", "done"]
    found = collection.metrics.set_index("pool")["interval"].to_dict()
    assert found == {"blur": "wilson", "max": "percentile"}
    [grid] = grids(summarise(collection))
    assert "[95 % interval over images: percentile; w Wilson]" in grid.notes
