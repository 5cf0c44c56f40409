"""Leaderboards: ranks, tables, the gate of accuracy, costs, and every form in which they appear."""

import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.report.load.collect import collect
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.leaderboard import LEADERBOARD_COLUMNS, leaderboards, parse_ranking
from shiftbench.report.tables.leaderboard_grids import ONE_SEED
from shiftbench.report.tables.ranks import ranking
from shiftbench.report.tables.summary import summarise
from shiftbench.report.tables.terminal_grid import print_grids
from shiftbench.report.write import write_report

FAR = {"a": 0.9, "b": 0.6, "c": 0.6}


def add(make_run, pool, mean, *, seeds=3, accuracy=0.8, chance=0.1, noise=None, **labels):
    """Make runs whose consistency per image varies around ``mean`` by image and by seed."""
    own = np.random.default_rng(sum(map(ord, pool)) if noise is None else noise)
    ease = np.random.default_rng(0).normal(size=200)
    for seed in range(seeds):
        numbers = mean + 0.05 * ease + 0.03 * own.normal(size=200) + 0.002 * own.normal()
        images = {name: np.full(200, value) for name, value in
                  (("accuracy", accuracy), ("chance_consistency", chance))}  # fmt: skip
        circular = {**images, "consistency": np.clip(numbers, 0, 1)}
        make_run(images={"circular": circular}, pool=pool, seed=seed, **labels)


def ranks_of(grid):
    return {line.labels[1]: line.labels[0] for line in grid.lines}


def test_the_best_is_first_and_two_that_differ_by_chance_share_their_ranks(make_run, ranked):
    for pool, mean in FAR.items():
        add(make_run, pool, mean)
    [grid] = ranked().grids
    assert ranks_of(grid) == {"a": "1", "b": "2–3", "c": "2–3"}
    assert grid.lines[0].labels[1] == "a"
    assert [line.cells[0].mark for line in grid.lines] == ["best", "", ""]
    assert any("over 3 seeds × images" in note for note in grid.notes)
    assert ONE_SEED not in grid.notes


def test_lower_may_be_better(make_run, ranked):
    for pool, mean in FAR.items():
        rng = np.random.default_rng(len(pool))
        for seed in range(3):
            numbers = mean + 0.01 * rng.normal(size=100)
            make_run(images={"circular": {"top1_change": numbers, "consistency": numbers}},
                     pool=pool, seed=seed)  # fmt: skip
    assert ranks_of(ranked("top1_change").grids[0])["a"] == "3"
    assert ranks_of(ranked("consistency").grids[0])["a"] == "1"


def test_ranges_overlap_where_only_the_ends_differ(make_run, tmp_path):
    """b lies between a and c, and differs from neither."""
    for pool, mean in (("a", 0.9), ("b", 0.8), ("c", 0.7)):
        for seed, shift in enumerate((-0.015, 0.0, 0.015)):
            moved = mean + shift * (3 if pool == "b" else 1)
            make_run(images={"circular": {"consistency": np.full(100, moved)}}, pool=pool,
                     seed=seed)  # fmt: skip
    collection = collect([tmp_path])
    pools = {run.labels["pool"]: run.config_id for run in collection.runs}
    found = ranking(list(pools.values()), Best.of(collection), "circular", "consistency")
    assert {pool: found.ranges[name] for pool, name in pools.items()} == {
        "a": (1, 2), "b": (1, 3), "c": (2, 3)
    }  # fmt: skip


def test_equal_answers_share_every_rank(make_run, ranked):
    for pool in "abc":
        add(make_run, pool, 0.7, noise=1)
    assert set(ranks_of(ranked().grids[0]).values()) == {"1–3"}


@pytest.mark.slow
def test_ranks_cover_the_truth(make_run, tmp_path):
    """Of five networks with known consistencies; 95 % of the ranges should hold the true rank."""
    truth = dict(zip("abcde", (0.80, 0.79, 0.70, 0.69, 0.60), strict=True))
    rng, hits = np.random.default_rng(5), []
    for trial in range(15):
        out = tmp_path / str(trial)
        ease = rng.normal(size=150)
        for pool, mean in truth.items():
            for seed in range(3):
                numbers = mean + 0.1 * ease + 0.02 * rng.normal() + 0.1 * rng.normal(size=150)
                make_run(images={"circular": {"consistency": numbers}}, pool=pool, seed=seed,
                         out=out)  # fmt: skip
        collection = collect([out])
        pools = {run.config_id: run.labels["pool"] for run in collection.runs}
        found = ranking(list(pools), Best.of(collection), "circular", "consistency")
        for name, (first, last) in found.ranges.items():
            hits.append(first <= 1 + "abcde".index(pools[name]) <= last)
    assert np.mean(hits) >= 0.95


def test_one_seed_ranks_these_networks_and_says_so(make_run, ranked):
    for pool, mean in FAR.items():
        add(make_run, pool, mean, seeds=1)
    [grid] = ranked().grids
    assert ranks_of(grid)["a"] == "1"
    assert ONE_SEED in grid.notes


def test_unknown_errors_count_as_equal(make_run, of, ranked):
    for pool, mean in FAR.items():
        make_run(of(consistency=mean), pool=pool)
    [grid] = ranked().grids
    assert set(ranks_of(grid).values()) == {"1–3"}
    assert any("3 pairs have no known error" in note for note in grid.notes)


@pytest.mark.parametrize("labels", [
    {"data": "cifar10"}, {"augment": "shift"}, {"model": "resnet"}, {"train": "standard"},
])  # fmt: skip
def test_what_is_not_comparable_has_a_table_of_its_own(make_run, ranked, labels):
    for pool, mean in FAR.items():
        add(make_run, pool, mean)
    add(make_run, "a", 0.5, **labels)
    alone, others = sorted(ranked().grids, key=lambda grid: len(grid.lines))
    assert ranks_of(alone) == {"a": "1"}
    assert ranks_of(others) == {"a": "1", "b": "2–3", "c": "2–3"}
    assert alone.title != others.title
    [(name, value)] = labels.items()
    assert f"{name}={value}" in alone.common


def test_other_settings_of_the_protocol_or_images_are_another_table(make_run, ranked):
    add(make_run, "a", 0.9)
    add(make_run, "b", 0.8)
    add(make_run, "c", 0.7, settings={"shift": {"circular": {"steps": 2}}})
    add(make_run, "d", 0.7, settings={"data": {"root": "sha256:0"}})
    found = ranked().grids
    assert sorted(len(grid.lines) for grid in found) == [1, 1, 2]
    assert {"a": "1", "b": "2"} in [ranks_of(grid) for grid in found]
    assert [grid.title for grid in found] == [
        f"shapes · vgg · augment=none ({number})" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("labels", [{"accuracy": 0.12}, {"accuracy": 0.3, "chance": 1.0}])
def test_networks_near_chance_are_below_and_have_no_rank(make_run, ranked, labels):
    """One that always gives the same answer has a consistency of 1."""
    add(make_run, "constant", 1.0, **labels)
    for pool, mean in FAR.items():
        add(make_run, pool, mean)
    found = ranked()
    [grid] = found.grids
    assert ranks_of(grid) == {"a": "1", "b": "2–3", "c": "2–3", "constant": "–"}
    assert grid.lines[-1].labels == ("–", "constant")
    assert any("near chance" in note for note in grid.notes)
    assert found.rows()["unranked"].tolist() == ["", "", "", "near chance"]


def test_configurations_without_the_metric_are_counted(make_run, of, ranked):
    add(make_run, "a", 0.9)
    make_run(of(accuracy=0.9), pool="b")
    make_run(pool="c", error="out of memory")
    [grid] = ranked().grids
    assert ranks_of(grid) == {"a": "1"}
    assert "not listed: 2 configurations without consistency under circular" in grid.notes


def test_labels_are_the_settings_that_differ(make_run, ranked):
    add(make_run, "max", 0.9, model="vgg[width=4]")
    add(make_run, "max", 0.8, model="vgg[width=4,match_macs=lps]",
        settings={"model": {"match_macs": "lps"}})  # fmt: skip
    add(make_run, "blur", 0.7, model="vgg[width=4]", padding="full")
    add(make_run, "blur", 0.6, model="vgg[width=4]",
        settings={"infer": {"_target_": "phases.Phases"}})  # fmt: skip
    [grid] = ranked().grids
    assert [line.labels[1] for line in grid.lines] == [
        "max", "max · match_macs=lps", "blur · padding=full", "blur · infer=phases"
    ]  # fmt: skip
    assert "model.width=4" in grid.common
    assert "unless stated: " in grid.common and "padding=zeros" in grid.common


def test_the_ranked_interval_covers_seeds_and_images(make_run, ranked):
    for pool, mean in FAR.items():
        add(make_run, pool, mean)
    row = ranked().rows().iloc[0]
    assert row["kind"] == "3 seeds × images"
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_what_cannot_be_ranked_is_one_sentence(make_run, of, tmp_path):
    make_run(of(consistency=0.9, chance_consistency=0.1))
    make_run({"crop": {"accuracy": 0.9}}, pool="b")
    collection = collect([tmp_path])
    summary = summarise(collection)
    for text, message in (("consistence:circular", "did you mean 'consistency'"),
                          ("consistency:circle", "did you mean 'circular'"),
                          ("chance_consistency", "neither direction of it is better")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            parse_ranking(text, summary, None)
    assert parse_ranking(":crop", summary, None) == ("consistency", "crop")
    assert parse_ranking("accuracy", summary, "crop") == ("accuracy", "crop")
    with pytest.raises(ShiftbenchError, match="no finished run has consistency under crop"):
        leaderboards(collection, summary, Best.of(collection), "consistency", "crop")


def test_columns_of_other_protocols_follow_and_an_equal_accuracy_is_shown_once(make_run, ranked):
    values = {"accuracy": 0.9, "consistency": 0.8, "correct_consistency": 0.85}
    make_run({"circular": values, "crop": values, "subpixel": {**values, "accuracy": 0.7}})
    names = [column.name for column in ranked().grids[0].columns]
    assert names[:2] == ["consistency circular", "accuracy circular"]
    assert "consistency crop" in names and "accuracy crop" not in names
    assert "accuracy subpixel" in names
    assert "consistency subpixel" not in [
        column.name for column in ranked(only="crop").grids[0].columns
    ]


@pytest.fixture
def report(make_run, ranked, tmp_path):
    """Return a function that writes the report of two leaderboards and returns its folder."""

    def write(*, figures):
        for pool, mean in FAR.items():
            add(make_run, pool, mean)
        add(make_run, "a", 0.5, augment="shift")
        collection, folder = collect([tmp_path]), tmp_path / "report"
        written = write_report(collection, summarise(collection), None, [], folder,
                               Best.of(collection), figures=figures, ranked=ranked())  # fmt: skip
        assert {"leaderboard.csv", "leaderboard.md"} <= set(written)
        return folder

    return write


def test_terminal_and_files(report, ranked, capsys):
    folder = report(figures=False)
    print_grids(Console(width=80), ranked().grids)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"1 +a +0\.\d{3} \[0\.\d{3} 0\.\d{3}\]\*", text)
    assert "2–3" in text and "more in leaderboard.csv" in text
    frame = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False)
    assert list(frame.columns)[: len(LEADERBOARD_COLUMNS)] == list(LEADERBOARD_COLUMNS)
    assert frame["rank_last"].tolist() == [1, 3, 3, 1]
    lines = (folder / "leaderboard.md").read_text("utf-8").splitlines()
    assert len([line for line in lines if line.startswith("| 2–3 | ")]) == 2


@pytest.mark.slow
def test_the_page_has_a_section_whose_cells_are_below_their_headings(report):
    page = (report(figures=True) / "report.html").read_text("utf-8")
    assert 'href="#leaderboard"' in page
    section = page[page.index('<section id="leaderboard"') : page.index('<section id="results"')]
    [first, *_] = re.findall(r"<tr>(<td.*?)</tr>", section, re.DOTALL)
    assert first.startswith('<td class="text">1</td><th scope="row">a</th><td data-value="0.')
    heads = re.search(r"<thead>(.*?)</thead>", section, re.DOTALL).group(1).count("<th ")
    assert heads == first.count("<td") + first.count("<th")
