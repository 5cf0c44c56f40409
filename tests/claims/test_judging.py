"""All claims together: what comes of nothing, of anything, and as a table."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftbench.claims import CLAIMS, Evidence, claim_rows, judge
from shiftbench.claims.claim import VERDICTS
from shiftbench.errors import UsageError
from shiftbench.results import CLAIM_COLUMNS

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
    with pytest.raises(UsageError, match=r"A99, which is no claim.*known: A1"):
        judge(Evidence([]), ["A99"])


def test_runs_are_named_in_the_table(seeds):
    runs = [*seeds({"circular": {"consistency": 0.5}}, pool="stride"),
            *seeds({"circular": {"consistency": 0.7}}, step=0.002)]  # fmt: skip
    [row] = claim_rows(judge(Evidence(runs), ["S3"])).to_dict("records")
    assert set(row["runs"].split(";")) == {one.run_id for one in runs}
    assert row["verdict"] == "reproduced"
    assert row["ci_low"] < row["measured"] < row["ci_high"]


def test_the_rules_are_written_down():
    text = DOCS.read_text("utf-8")
    for claim in CLAIMS.values():
        assert f"### {claim.key} · {claim.statement}\n" in text, claim.key
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


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(numbers, given_settings), max_size=40))
def test_whatever_is_in_a_folder_no_claim_stumbles(run, drawn):
    found = [run(seen, **settings) for seen, settings in drawn]
    for one in judge(Evidence(found)):
        assert one.verdict in VERDICTS
        if one.finding:
            assert set(one.finding.runs) <= {run.run_id for run in found}
