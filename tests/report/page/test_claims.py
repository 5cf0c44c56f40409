"""The section of published findings: its text, its figures and its files."""

import re
from dataclasses import replace

import pytest

from shiftbench.claims import Claim, Finding, Judged, Network, Plot, Series
from shiftbench.report.figures.claim_figures import claim_figure
from shiftbench.report.figures.drawing import png
from shiftbench.report.figures.theme import THEMES
from shiftbench.report.page.claims import shown_claims
from shiftbench.report.page.document import write_page

LINES = (Series("trained", (1.0, 2.0), (0.25, 0.5), (0.2, 0.4), (0.3, 0.6)),
         Series("published", (1.0, 2.0), (0.1, 0.2), published=True))  # fmt: skip
PLOTS = {
    "lines": Plot("lines", "size", "change", LINES),
    "log": Plot("lines", "stride", "share", LINES, log=True),
    "bars": Plot("bars", "pool", "change", LINES[:1], ("max", "blur", "aps")),
    "lying": Plot("bars", "pool", "change", LINES, ("a network", "another one " * 9, "third")),
    "dots": Plot("dots", "accuracy", "consistency", LINES[:1], zero=True),
}

NETWORKS = (Network("middle", 0.2, -0.1, 0.5), Network("high", 0.75, 0.5, 1.0),
            Network("low <net>", -0.05, -0.1, 0.0))  # fmt: skip


def judged(key="A1", plot=PLOTS["lines"], verdict="reproduced", low=0.1):
    claim = Claim(key, "one_moves", "Somebody & Else 1999", "One <b>moves</b>", "a=0.1; b=0.2",
                  "what decides", ("pools",), lambda evidence: None)  # fmt: skip
    found = Finding(verdict, -0.25, low, 0.5, "because $x_1^$", ("run-1", "run-2"), plot)
    return Judged(claim, found)


def on_networks():
    """A claim on every network, as its rule returns it."""
    found = Finding("not reproduced", 0.3, 0.1, 0.5, "because", ("run-1",), None,
                    "mean over 3 networks", NETWORKS, "reproduced", 0.0, NETWORKS[2])  # fmt: skip
    return Judged(judged("S3").claim, found)


def not_run(key="Z1"):
    return Judged(judged(key).claim, None)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_every_kind_is_drawn_in_both_themes(plot):
    figure = claim_figure(judged(plot=plot))
    assert all(len(png(figure.draw(theme))) > 1000 for theme in THEMES)
    assert "0.25" in figure.alt and "0.5" in figure.alt


def test_the_figure_draws_the_numbers():
    axes = claim_figure(judged(plot=PLOTS["bars"])).draw(THEMES[0]).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.25, 0.5]
    axes = claim_figure(judged(plot=PLOTS["lying"])).draw(THEMES[0]).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.5]


def test_no_figure_without_numbers():
    assert claim_figure(not_run()) is None
    assert claim_figure(judged(plot=None)) is None


@pytest.mark.slow
def test_the_page_sets_published_beside_measured(study, tmp_path):
    claims = [judged(), judged("A2", None, "not reproduced", float("nan")), not_run()]
    path = write_page(study.collection(), study.summary(), tmp_path, claims=claims)
    text = path.read_text("utf-8")
    assert '<a href="#published">' in text
    assert "1 reproduced, 1 not reproduced, 1 not run" in text
    assert "One &lt;b&gt;moves&lt;/b&gt;" in text and "<b>moves" not in text
    assert "<strong>−0.250</strong> [0.100 0.500]" in text
    assert "<strong>−0.250</strong> </dd>" in text  # no interval
    assert '<span class="chip bad">not reproduced</span>' in text
    assert "because $x_1^$; 2 runs" in text
    assert "run shiftbench experiment=pools" in text
    assert (tmp_path / "figures" / "claim-A1.png").is_file()
    assert not (tmp_path / "figures" / "claim-A2.png").exists()


@pytest.mark.slow
def test_without_claims_there_is_no_section(study, tmp_path):
    text = write_page(study.collection(), study.summary(), tmp_path).read_text("utf-8")
    assert "Published findings" not in text


def test_figures_of_an_earlier_report_are_removed(tmp_path):
    shown_claims([judged()], tmp_path)
    assert len(list(tmp_path.glob("claim-*.png"))) == 1
    (tmp_path / "claim-A3-dark.png").write_bytes(b"of an earlier release")
    (tmp_path / "claim-of-mine.png").write_bytes(b"not of a report")
    shown_claims([], tmp_path)
    assert [path.name for path in tmp_path.glob("claim-*.png")] == ["claim-of-mine.png"]


@pytest.mark.slow
def test_the_page_says_what_a_mean_is_of_and_which_network_is_the_least_certain(study, tmp_path):
    path = write_page(study.collection(), study.summary(), tmp_path, claims=[on_networks()])
    text = path.read_text("utf-8")
    assert "<strong>0.300</strong> [0.100 0.500] · mean over 3 networks: reproduced" in text
    assert "<dt>least certain</dt><dd>low &lt;net&gt; −0.050 [−0.100 0.000]</dd>" in text
    assert "<small>of the mean: reproduced</small>" in text
    assert text.count('alt="Forest plot, threshold 0. mean over 3 networks: 0.3 [0.1, 0.5].') == 1
    figures = {path.name for path in (tmp_path / "figures").glob("claim-*")}
    assert figures == {"claim-S3-networks.png"}


@pytest.mark.slow
def test_smoke_runs_are_named_at_the_top_of_the_page(study, tmp_path):
    plain = write_page(study.collection(), study.summary(), tmp_path).read_text("utf-8")
    assert "smoke runs" not in plain.lower()
    study.runs[0] = replace(study.runs[0], smoke=True)
    text = write_page(study.collection(), study.summary(), tmp_path).read_text("utf-8")
    banner = "1 of 12 are smoke runs: they show that the commands work, not what networks do."
    assert f'role="note">{banner}</p>' in text
    assert text.index(banner) < text.index("<nav") < text.index("<main>")


@pytest.mark.slow
def test_the_page_calls_no_figure_a_picture(study, tmp_path):
    path = write_page(study.collection(), study.summary(), tmp_path, claims=[on_networks()])
    text = re.sub(r"</?picture>", "", path.read_text("utf-8"))
    assert "picture" not in text.lower()
    assert '<a href="#figures">Figures</a>' in text
