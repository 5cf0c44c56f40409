"""report.html: complete, escaped, and self-contained."""

import html.parser
import re
import shlex

import pandas as pd
import pytest

from shiftbench.report.figures.theme import THEMES
from shiftbench.report.page.document import write_page
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.differences import DIFFERENCE_COLUMNS
from shiftbench.runs.sweep_state import rerun_command

VOID = {"meta", "img", "source", "br", "hr", "input", "link"}


class Page(html.parser.HTMLParser):
    """Nested tags, their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.rows = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.texts.append(data)
        if "tr" in self.open:
            self.rows[-1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def page_of(study, folder, differences=None):
    path = write_page(study.collection(), study.summary(), folder, differences)
    assert path == folder / "report.html"
    return Page(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def study_done(tmp_path_factory, make_module_study):
    return make_module_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def out(study_done):
    write_page(study_done.collection(), study_done.summary(), study_done.folder / "out")
    return study_done.folder / "out"


@pytest.fixture(scope="module")
def page(out):
    return Page((out / "report.html").read_text("utf-8"))


def test_it_is_whole_and_needs_nothing_else(page, out):
    assert page.open == []
    source = (out / "report.html").read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe", strip_data(source))
    for tag, attrs in page.tags:
        for name in ("src", "srcset", "href", "action", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, value)
    policy = next(tag["content"] for tag in page.all("meta") if "content" in tag
                  and tag.get("http-equiv") == "Content-Security-Policy")  # fmt: skip
    assert policy.startswith("default-src 'none'")
    anchors = {attrs["href"][1:] for attrs in page.all("a")}
    assert anchors <= {attrs.get("id") for _, attrs in page.tags}


def strip_data(source):
    return re.sub(r"data:image/png;base64,[\w+/=]+", "", source)


def test_every_picture_has_both_themes_and_says_its_numbers(page, out):
    images = page.all("img")
    assert len(images) == 8 == len(page.all("source"))
    for attrs in images:
        assert re.search(r"\d\s?%", attrs["alt"])
        assert int(attrs["width"]) > 300 and int(attrs["height"]) > 200
    names = sorted(path.name for path in (out / "figures").glob("*.png"))
    assert len(names) == 8 and "pareto-circular.png" in names


def test_it_says_what_was_compared_and_what_the_numbers_are(page):
    assert page.text.count("6 configurations on shapes: pool and augment") == 2  # title, heading
    assert "12 runs 12 done 0 failed 0 missing" in page.text
    assert "data=shapes · model=vgg · head=gap" in page.text
    assert page.text.count("mean ± sd over 2 seeds") == 4  # two protocols, in two tables each
    [row] = [row for row in page.rows if row.startswith("blur · none")][:1]
    # seeds 0.80 and 0.81: mean, standard deviation, and the mean of the interval bounds
    assert "0.805 ±0.007[0.785 0.825]" in row
    assert "2/2" in row and "41.6k" in row and "623k" in row


def test_the_best_of_a_column_is_marked(page):
    best = {row.split("0.")[0].strip() for row in page.rows if "(best)" in row}
    assert best == set()  # identical differences over seeds give no error estimate
    assert "shaded:" not in page.text


def test_marked_is_what_cannot_be_told_from_the_best(tmp_path, make_module_study):
    study = make_module_study(tmp_path, augments=("none",), seeds=3)
    moved = {"max": [0, 0, 0], "blur": [0.001, 0.002, -0.002], "aps": [-0.15, 0.15, -0.14]}
    for row in study.metrics:
        row["value"] += moved[row["pool"]][row["seed"]]
    path = write_page(study.collection(), study.summary(), tmp_path,
                      best=Best.of(study.collection()))  # fmt: skip
    page = Page(path.read_text("utf-8"))
    # Accuracy: blur 0.900, aps 0.80 ± 0.17, and max 0.700 ± 0, which is always too far below.
    marked = {row.split("0.")[0].strip() for row in page.rows if "0.900 (best)" in row}
    assert marked == {"blur"}
    assert any(row.startswith("aps") and "0.803 (best)" in row for row in page.rows)
    assert not any("0.700 (best)" in row for row in page.rows)
    assert not any("0.125 (best)" in row for row in page.rows)  # chance has no better direction
    assert (
        "shaded: not distinguishable from the best: simultaneous 95 % intervals over 3 seeds"
        in (page.text)
    )


def test_numbers_come_with_commands_versions_and_machine(page, study_done):
    for part in ("shiftbench9.9.9", "torch2.99.0", "commitabc123", "osLinux"):
        assert part in page.text, part
    assert "shiftbench pool=blur augment=crop seed=1" in page.text
    for run in study_done.runs:
        assert run.run_id in page.text
    assert page.text.count("2.99.0") == 1  # stated once for all runs


def test_headings_sort_and_tables_scroll_by_themselves(page):
    heads = [attrs for attrs in page.all("th") if attrs.get("scope") == "col"]
    assert all(attrs["aria-sort"] == "none" for attrs in heads)
    regions = [attrs for attrs in page.all("div") if attrs.get("role") == "region"]
    assert len(regions) >= len(page.all("table"))
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)


def test_every_metric_is_explained(page):
    assert "Chance that two different shifts of an image get the same answer." in page.text


@pytest.mark.slow
def test_what_failed_or_is_missing_is_there_with_its_reason_and_command(troubled, tmp_path):
    page = page_of(troubled, tmp_path / "out")
    assert page.open == []
    assert "8 runs 4 done 2 failed 1 stopped 1 missing" in page.text
    for part in ("its process was killed", "out of memory: <script>alert('x')</script>",
                 "no such pool <b>", "shiftbench pool=aps augment=none seed=0",
                 "shiftbench pool=stride seed=0"):  # fmt: skip
        assert part in page.text, part
    # Jobs without known data do not count as a second data set.
    assert "Accuracy against consistency under circular: up" in page.text
    rows = [row for row in page.rows if row.startswith("aps")]
    assert all("1 failed" in row and "0/1" in row for row in rows) and rows
    assert any(row.startswith("stride 1 missing") for row in page.rows)
    assert any(row.startswith("max · none 1 stopped") for row in page.rows)


@pytest.mark.slow
def test_hostile_labels_are_text(troubled, tmp_path):
    page = page_of(troubled, tmp_path / "out")
    assert len(page.all("script")) == 1
    assert page.all("b") == []
    assert "<script>alert('x')</script> & \"quotes\" $x_1^$ 🙂" in page.text
    assert any("alert" in attrs["alt"] for attrs in page.all("img"))


def test_the_command_is_one_that_a_shell_reads_back():
    given = ["pool=<b>", "data.root=/a b/'c'", "shift=[circular,crop]", "x=$HOME"]
    assert shlex.split(rerun_command(given)) == ["shiftbench", *given]
    assert rerun_command(["experiment=mine", "pool=max"]).endswith(" hydra.mode=RUN")


@pytest.mark.slow
def test_a_run_that_does_not_state_its_overrides_has_the_command_that_was_typed(study, tmp_path):
    for run in study.runs:
        (run.folder / "overrides").unlink()
    page = page_of(study, tmp_path / "out")
    assert sum(row.endswith("shiftbench -m") for row in page.rows) == 12


@pytest.mark.slow
def test_paired_differences(study, tmp_path):
    config_id = study.summary().query("pool == 'blur' and augment == 'none'")["config_id"].iloc[0]
    row = {"group": "pool", "reference": "max", "variant": "blur", "data": "shapes", "pool": "blur",
           "config_id": config_id, "protocol": "circular", "seeds": 2, "sd": 0.01, "kind": "seeds",
           "differs": "head"}  # fmt: skip
    differences = pd.DataFrame([
        row | {"metric": "consistency", "difference": 0.2, "ci_low": 0.1, "ci_high": 0.3},
        row | {"metric": "top1_change", "difference": 0.2, "ci_low": 0.1, "ci_high": 0.3},
        row | {"metric": "accuracy", "difference": -0.02, "ci_low": -0.1, "ci_high": 0.1},
        row | {"metric": "worst_accuracy", "difference": float("nan")},
    ]).reindex(columns=list(DIFFERENCE_COLUMNS))  # fmt: skip
    page = page_of(study, tmp_path / "out", differences)
    assert (
        "difference from pool=max · variant - reference, paired [95 % interval over seeds]"
        in page.text
    )
    [row] = [row for row in page.rows if "pairs differ in head too" in row]
    assert "+0.200 (better)[+0.100 +0.300]" in row  # consistency
    assert "+0.200 (worse)[+0.100 +0.300]" in row  # top1_change
    assert "−0.020[−0.100 +0.100]" in row
    assert "–" in row


def test_nothing_done_is_a_page_as_well(make_study, tmp_path):
    study = make_study(pools=())
    study.wait("pool=max", "seed=0")
    page = page_of(study, tmp_path / "out")
    assert "No run is done yet" in page.text
    assert "1 run 0 done 0 failed 1 missing" in page.text
    assert page.all("img") == []
    assert page.open == []


@pytest.mark.slow
def test_older_pictures_go_and_those_of_a_run_stay(study, make_study, tmp_path):
    figures = tmp_path / "out" / "figures"
    page_of(study, tmp_path / "out")
    (figures / "circular.png").write_bytes(b"of a run")
    (figures / "pareto-old.png").write_bytes(b"of an older study")
    page_of(make_study(pools=("max",), augments=("none",)), tmp_path / "out")
    assert not list(figures.glob("pareto-*"))
    assert (figures / "circular.png").exists()


@pytest.mark.slow
def test_several_data_sets_are_not_mixed(study, tmp_path):
    for run, new in zip(study.runs, ["cifar10"] * 6 + ["shapes"] * 6, strict=True):
        run.labels["data"] = new
    for row in study.metrics:
        row["data"] = next(run for run in study.runs if run.run_id == row["run_id"]).labels["data"]
    page = page_of(study, tmp_path / "out")
    assert "on cifar10 and shapes" in page.text
    assert "cifar10, circular" in page.text and "shapes, translate" in page.text


@pytest.mark.slow
def test_a_thousand_runs_make_a_page_that_opens(make_study, tmp_path):
    study = make_study(pools=[f"pool{n:03}" for n in range(250)], seeds=2)
    path = write_page(study.collection(), study.summary(), tmp_path / "out")
    assert path.stat().st_size < 4e6
    page = Page(path.read_text("utf-8"))
    assert "1000 runs" in page.text and "summary.csv" in page.text


def test_the_paper_of_pictures_is_that_of_the_page(out):
    source = (out / "report.html").read_text("utf-8")
    papers = re.findall(r"--paper: (#\w+)", source)
    assert papers == [theme.paper for theme in THEMES]
