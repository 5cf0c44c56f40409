"""All claims together: what comes of nothing, of anything, and as a table."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftbench.claims import CLAIMS, Evidence, claim_rows, judge
from shiftbench.claims.claim import VERDICTS
from shiftbench.claims.evidence import Influence
from shiftbench.errors import UsageError
from shiftbench.storage.result_files import CLAIM_COLUMNS

METRICS = ("accuracy", "consistency", "correct_consistency", "top1_change",
           "mean_absolute_change", "exact_fraction")  # fmt: skip
SEEN = ("circular", "translate", "crop", "subpixel", "camera", "azulay2019_crop",
        "azulay2019_black", "object_16", "object_36", "object_48")  # fmt: skip
DOCS = Path(__file__).parents[2] / "docs" / "claims.md"


def test_without_runs_every_claim_says_what_to_run():
    judged = judge(Evidence([]))
    assert [one.claim.key for one in judged] == list(CLAIMS)
    assert {one.verdict for one in judged} == {"not run"}
    rows = claim_rows(judged)
    assert tuple(rows.columns) == CLAIM_COLUMNS
    assert rows["reason"].str.contains("run shiftbench experiment=").all()
    assert rows["measured"].isna().all() and (rows["runs"] == "").all()


def test_claims_are_judged_by_name_in_their_own_order():
    assert [one.claim.key for one in judge(Evidence([]), ["Z1", "A1"])] == ["A1", "Z1"]
    with pytest.raises(UsageError, match=r"A99, which is not a claim.*known: A1"):
        judge(Evidence([]), ["A99"])


def test_a_claim_is_found_by_its_key_and_by_its_slug():
    names = ["blur_raises_consistency", "A1", "one_pixel_changes_top1"]
    assert [one.claim.key for one in judge(Evidence([]), names)] == ["A1", "Z1"]
    with pytest.raises(UsageError, match=r"did you mean 'blur_raises_consistency'"):
        judge(Evidence([]), ["blur_raises_consistncy"])


def test_slugs_are_distinct_and_a_column_of_the_table():
    slugs = [claim.slug for claim in CLAIMS.values()]
    assert len(set(slugs)) == len(CLAIMS)
    assert not set(slugs) & set(CLAIMS)
    assert all(re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", slug) for slug in slugs)
    rows = claim_rows(judge(Evidence([])))
    assert dict(zip(rows["claim"], rows["slug"], strict=True))["A1"] == "one_pixel_changes_top1"


def test_runs_are_named_in_the_table(seeds):
    runs = [*seeds({"circular": {"consistency": 0.5}}, pool="stride"),
            *seeds({"circular": {"consistency": 0.7}}, step=0.002)]  # fmt: skip
    [row] = claim_rows(judge(Evidence(runs), ["S3"])).to_dict("records")
    assert set(row["runs"].split(";")) == {one.run_id for one in runs}
    assert row["verdict"] == "reproduced"
    assert row["ci_low"] < row["measured"] < row["ci_high"]


def test_reasons_state_smoke_runs_first(seeds):
    runs = [*seeds({"circular": {"consistency": 0.5}}, pool="stride"),
            *seeds({"circular": {"consistency": 0.7}}, step=0.002)]  # fmt: skip
    some = [replace(run, smoke=run.pool == "stride") for run in runs]
    [row] = claim_rows(judge(Evidence(some), ["S3"])).to_dict("records")
    meaning = "they show that the commands work, not what networks do"
    assert row["reason"].partition("; ")[2].startswith(f"smoke runs (3): {meaning}; interval over")
    [row] = claim_rows(judge(Evidence(runs), ["S3"])).to_dict("records")
    assert "smoke" not in row["reason"]
    [row] = claim_rows(judge(Evidence([replace(run, smoke=True) for run in runs]), ["Z1"])).to_dict(
        "records")  # fmt: skip
    assert "smoke" not in row["reason"]  # none of them is of it


def test_smoke_runs_near_chance_are_labelled(seeds):
    at_chance = {"accuracy": 0.1, "chance_consistency": 0.1}
    runs = [*seeds({"circular": {"consistency": 0.5, **at_chance}}, pool="stride"),
            *seeds({"circular": {"consistency": 0.7, **at_chance}}, step=0.002)]  # fmt: skip
    [one] = judge(Evidence([replace(run, smoke=True) for run in runs]), ["S3"])
    assert one.verdict == "not run" and (one.near_chance, one.smoke) == (6, 6)
    assert one.reason.startswith("smoke runs (6): ") and "near chance" in one.reason


def test_every_number_has_a_description(seeds):
    values = {"consistency": 0.5, "accuracy": 0.6, "chance_consistency": 0.1,
              "correct_consistency": 0.5, "top1_change": 0.2, "mean_absolute_change": 0.1,
              "exact_fraction": 0.25}  # fmt: skip
    protocols = ("circular", "crop", "translate", "subpixel", "azulay2019_crop", "azulay2019_black")
    numbers = dict.fromkeys(protocols, values)
    runs = [
        run
        for model in ("vgg", "vgg[depth=12]")
        for pool in ("max", "stride", "blur", "blur5", "blur7", "aps", "ideal")
        for head in ("gap", "flatten")
        for augment in ("none", "shift")
        for run in seeds(numbers, pool=pool, head=head, augment=augment, model=model, **{
            "model.depth": 12 if "12" in model else 8, "model.downsamplings": 1})
    ]  # fmt: skip
    found = [one.finding for one in judge(Evidence(runs)) if one.finding]
    assert len(found) > 12
    for one in found:
        assert one.measured_of or math.isnan(one.measured)


def test_the_rules_are_written_down():
    text = DOCS.read_text("utf-8")
    for claim in CLAIMS.values():
        assert f"### {claim.key} · {claim.statement}\n`{claim.slug}` · " in text, claim.key
        assert claim.source in text, claim.key


fractions = st.one_of(st.floats(0, 1), st.just(0.0), st.just(1.0), st.just(float("nan")))
numbers = st.builds(
    lambda drawn: {name: dict(zip(METRICS, values, strict=True)) for name, values in drawn.items()},
    st.dictionaries(st.sampled_from(SEEN), st.tuples(*[fractions] * len(METRICS)), min_size=1),
)
given_settings = st.fixed_dictionaries({
    "pool": st.sampled_from(("max", "stride", "blur", "blur7", "blur1", "aps", "ideal", "mine")),
    "head": st.sampled_from(("gap", "flatten", "")),
    "augment": st.sampled_from(("none", "shift", "full[0.5]")),
    "padding": st.sampled_from(("zeros", "circular")),
    "model": st.sampled_from(("vgg", "resnet", "linear", "torchvision")),
    "seed": st.integers(0, 2),
    "model.depth": st.sampled_from((8, 16, None)),
    "model.downsamplings": st.sampled_from((2, None)),
    "augment.scale": st.sampled_from(([0.5, 0.5], [0.6, 1.4], None)),
})  # fmt: skip


# Influences of 24 images: unknown, those of images that all agree, those of one that does not.
INFLUENCES = {
    "unknown": None,
    "agree": np.zeros(24),
    "one differs": np.where(np.arange(24), -1 / 24, 23 / 24),
}


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(numbers, given_settings, st.sampled_from(list(INFLUENCES))), max_size=40))
def test_arbitrary_runs_raise_no_error(run, drawn):
    found = [
        replace(run(seen, **settings), influence=influence_of(INFLUENCES[kind]))
        for seen, settings, kind in drawn
    ]
    assert_judged(found)


def influence_of(numbers):
    """Return the influence of the images of a run, alike for all metrics."""
    found = None if numbers is None else Influence("test", numbers)
    return lambda protocol, metric: found


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", ["agree", "one differs"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_networks_that_never_change_raise_no_error(seeds, value, kind, count):
    """Networks after few steps give constant answers: nothing varies over images or seeds."""
    numbers = dict.fromkeys(SEEN, dict.fromkeys(METRICS, value))
    runs = [
        replace(run, influence=influence_of(INFLUENCES[kind]))
        for pool in ("max", "stride", "blur")
        for head in ("gap", "flatten")
        for run in seeds(numbers, pool=pool, head=head, count=count, step=0.0)
    ]
    assert_judged(runs)
    guessing = {protocol: {**metrics, "chance_consistency": 1.0, "accuracy": 0.1}
                for protocol, metrics in numbers.items()}  # fmt: skip
    assert_judged([*runs, *seeds(guessing, count=count, step=0.0, model="linear")])


def assert_judged(runs):
    for one in judge(Evidence(runs)):
        assert one.verdict in VERDICTS
        if one.finding:
            assert set(one.finding.runs) <= {run.run_id for run in runs}
