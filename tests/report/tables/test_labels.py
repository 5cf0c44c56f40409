"""Labels: as short as possible, still distinct, and no varying setting unlabelled."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftbench.report.load.collect import collect
from shiftbench.report.page.document import write_page
from shiftbench.report.tables.labels import ShortLabels
from shiftbench.report.tables.panels import panels
from shiftbench.report.tables.result_tables import grids
from shiftbench.report.tables.summary import summarise
from shiftbench.settings.labels import parts_of

CENTRED, UNIFORM = (f"shapes[images=60,position={law},sizes=[0.2,0.35]]" for law in ("c", "u"))


@pytest.fixture
def summary(make_run, of, tmp_path):
    for data in (CENTRED, UNIFORM):
        for pool in ("blur", "max"):
            make_run(of(accuracy=0.9, consistency=0.5), data=data, pool=pool)
    return summarise(collect([tmp_path]))


def test_what_all_have_in_common_is_told_once(summary):
    short = ShortLabels.of(summary)
    assert set(short.on(summary)["data"]) == {"shapes[position=c]", "shapes[position=u]"}
    assert short.left_out == ("data.images=60", "data.sizes=[0.2,0.35]")
    assert set(summary["data"]) == {CENTRED, UNIFORM}  # files contain the full labels


def test_a_grid_tells_it_above_the_table(summary):
    [grid] = grids(summary)
    assert grid.common.endswith("data.images=60 · data.sizes=[0.2,0.35]")
    assert {line.labels[0] for line in grid.lines} == {"shapes[position=c]", "shapes[position=u]"}


def test_a_page_tells_it_once(summary, tmp_path):
    text = write_page(collect([tmp_path]), summary, tmp_path / "page").read_text()
    assert "data.images=60 · data.sizes=[0.2,0.35]" in text
    shown = text.partition("How these numbers were made</h2>")[0]
    assert "shapes[position=c], circular" in shown
    assert "shapes[images=60" not in shown


def test_a_panel_says_of_which_data_it_is_and_its_rows_do_not(summary):
    found = {panel.title: list(panel.rows["label"]) for panel in panels(summary)}
    assert found == {f"{data}, circular": ["blur", "max"] for data in (CENTRED, UNIFORM)}


def test_rows_of_one_panel_that_nothing_else_tells_apart_show_their_hash():
    frame = pd.DataFrame({
        "data": ["a", "a", "b"], "pool": "max", "settings": "", "protocol": "circular",
        "config_id": ["11111", "22222", "33333"],
    })  # fmt: skip
    assert [list(panel.rows["label"]) for panel in panels(frame)] == [
        ["max · 1111", "max · 2222"],
        ["max"],
    ]


setting = st.builds("{}={}".format, st.sampled_from(["a", "b.c", "d"]),
                    st.sampled_from(["1", "[0.2,0.35]", "x"]))  # fmt: skip
label = st.builds(
    lambda option, own: f"{option}[{','.join(own)}]" if own else option,
    st.sampled_from(["vgg", "resnet"]),
    # a label lists its settings in the order of the yaml
    st.lists(setting, unique_by=lambda one: one.partition("=")[0]).map(sorted),
)


@given(st.lists(label, min_size=1, unique=True))
def test_short_forms_stay_apart_and_with_what_is_left_out_say_everything(labels):
    frame = pd.DataFrame({"model": labels})
    short = ShortLabels.of(frame)
    shown = short.on(frame)["model"].tolist()
    assert len(set(shown)) == len(labels)
    left_out = {one.removeprefix("model.") for one in short.left_out}
    for before, after in zip(labels, shown, strict=True):
        option, settings = parts_of(after)
        assert (option, {*settings, *left_out}) == (parts_of(before)[0], set(parts_of(before)[1]))
