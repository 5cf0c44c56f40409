"""Paired differences: which runs are paired, and intervals checked by hand and with scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.inference.student_t import t_between, t_quantile
from shiftbench.metric import compare, evaluate
from shiftbench.metric.example import table_of
from shiftbench.report.load.collect import collect
from shiftbench.report.tables.differences import DIFFERENCE_COLUMNS, differences


@settings(deadline=None)
@given(st.integers(1, 400), st.floats(0.01, 0.999))
def test_the_quantile_is_scipys(degrees, confidence):
    assert t_quantile(confidence, degrees) == pytest.approx(
        t.ppf((1 + confidence) / 2, degrees), rel=1e-9
    )


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0, 50))
def test_the_probability_is_scipys(degrees, value):
    assert t_between(value, degrees) == pytest.approx(1 - 2 * t.sf(value, degrees), abs=1e-12)


def test_the_interval_over_seeds_by_hand(make_run, of, tmp_path):
    for seed, (low, high) in enumerate([(0.1, 0.2), (0.3, 0.6), (0.5, 0.7)]):
        make_run(of(accuracy=low), pool="max", seed=seed)
        make_run(of(accuracy=high), pool="blur", seed=seed)
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    # differences 0.1, 0.3, 0.2: mean 0.2, sd 0.1; t(0.975, 2) = 4.302653
    half = 4.302653 * 0.1 / 3**0.5
    assert (row["reference"], row["variant"], row["seeds"]) == ("max", "blur", 3)
    assert row["difference"] == pytest.approx(0.2)
    assert row["sd"] == pytest.approx(0.1)
    assert row["ci_low"] == pytest.approx(0.2 - half, abs=1e-6)
    assert row["ci_high"] == pytest.approx(0.2 + half, abs=1e-6)
    assert (row["kind"], row["differs"]) == ("3 seeds", "")


def test_each_run_has_the_partner_that_is_equal_in_all_else(make_run, of, tmp_path):
    number = 0
    expected = {}
    for padding in ("zeros", "circular"):
        for augment in ("none", "crop"):
            for pool in ("max", "blur", "aps"):
                number += 1
                make_run(of(accuracy=number**2 / 1000), pool=pool, padding=padding,
                         augment=augment)  # fmt: skip
                expected[padding, augment, pool] = number**2 / 1000
    frame = differences(collect([tmp_path]), "pool=max")
    assert tuple(frame.columns) == DIFFERENCE_COLUMNS
    assert len(frame) == 8
    for row in frame.to_dict("records"):
        where = row["padding"], row["augment"]
        wanted = expected[*where, row["variant"]] - expected[*where, "max"]
        assert row["difference"] == pytest.approx(wanted)
        assert (row["seeds"], row["kind"]) == (1, "")
        assert np.isnan(row["ci_low"])


def test_the_reference_may_be_of_any_label(make_run, of, tmp_path):
    make_run(of(accuracy=0.5), augment="none")
    make_run(of(accuracy=0.75), augment="crop")
    [row] = differences(collect([tmp_path]), "augment=none").to_dict("records")
    assert (row["group"], row["variant"], row["difference"]) == ("augment", "crop", 0.25)


def test_a_head_that_the_pool_brings_along_is_allowed_to_differ_and_said(make_run, of, tmp_path):
    make_run(of(accuracy=0.5), pool="max", head="flatten")
    make_run(of(accuracy=0.75), pool="global", head="gap")
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    assert (row["difference"], row["differs"]) == (0.25, "head")


def test_the_same_head_is_preferred(make_run, of, tmp_path):
    make_run(of(accuracy=0.5), pool="max", head="flatten")
    make_run(of(accuracy=0.25), pool="max", head="gap", settings={"head": {"_target_": "gap"}})
    make_run(of(accuracy=0.75), pool="global", head="gap")
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    assert (row["difference"], row["differs"]) == (0.5, "")


def test_only_shared_seeds_and_finished_runs_are_paired(make_run, of, tmp_path, caplog):
    for seed in (0, 1, 2):
        make_run(of(accuracy=0.5), pool="max", seed=seed, error="no" if seed == 1 else None)
    for seed in (1, 2, 3):
        make_run(of(accuracy=0.75), pool="blur", seed=seed)
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    assert row["seeds"] == 1
    assert "2 of 3 runs have no partner" in caplog.text


def test_a_single_seed_gets_the_paired_interval_over_images(make_run, tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 40)
    tables = {
        pool: table_of(np.where(random.random((40, 6)) < share, labels[:, None], 0), labels)
        for pool, share in (("max", 0.6), ("blur", 0.9))
    }
    for pool, table in tables.items():
        values = {row.metric: row.value for row in evaluate(table, resamples=0)}
        make_run({"circular": values}, pool=pool, tables={"circular": table})
    frame = differences(collect([tmp_path]), "pool=max", images=True).set_index("metric")
    for row in compare(tables["max"], tables["blur"]):
        found = frame.loc[row.metric]
        assert found["difference"] == pytest.approx(row.difference, abs=1e-8)
        if not np.isnan(row.ci_low):
            assert (found["ci_low"], found["ci_high"]) == (row.ci_low, row.ci_high)
            assert found["kind"] == "images, one seed"
    assert (differences(collect([tmp_path]), "pool=max")["kind"] == "").all()


def test_tables_that_cannot_be_paired_leave_the_difference(make_run, tmp_path, caplog):
    make_run(pool="max")
    make_run(pool="blur")
    frame = differences(collect([tmp_path]), "pool=max", images=True)
    assert set(frame["kind"]) == {""}
    assert "no interval over images" in caplog.text


def numbers_of(rng, seeds=3, images=40, gain=0.0):
    """Whether each image is classified correctly, by networks with the same difficult images."""
    ease = rng.beta(0.6, 0.6, images)
    return [(rng.random(images) < np.clip(ease + gain, 0, 1)).astype(float) for _ in range(seeds)]


def test_seeds_and_images_are_the_analysis_of_variance_by_hand(make_run, tmp_path):
    rng = np.random.default_rng(1)
    of_max, of_blur = numbers_of(rng), numbers_of(rng, gain=0.2)
    for seed, (one, other) in enumerate(zip(of_max, of_blur, strict=True)):
        make_run(images={"circular": {"accuracy": one}}, pool="max", seed=seed)
        make_run(images={"circular": {"accuracy": other}}, pool="blur", seed=seed)
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    each = np.array(of_blur) - np.array(of_max)
    seeds, images = each.shape
    of_seeds = images * each.mean(axis=1).var(ddof=1)
    of_images = seeds * each.mean(axis=0).var(ddof=1)
    rest = each - each.mean(axis=1, keepdims=True) - each.mean(axis=0) + each.mean()
    of_both = (rest**2).sum() / ((seeds - 1) * (images - 1))
    squares = max(of_seeds, of_both) + max(of_images - of_both, 0)
    share = of_seeds / squares
    quantile = share * t.ppf(0.975, seeds - 1) + (1 - share) * t.ppf(0.975, images - 1)
    half = quantile * (squares / (seeds * images)) ** 0.5
    assert row["kind"] == "3 seeds × images"
    assert row["difference"] == pytest.approx(each.mean())
    assert row["ci_low"] == pytest.approx(each.mean() - half, rel=1e-3)
    assert row["ci_high"] == pytest.approx(each.mean() + half, rel=1e-3)


def test_exchanging_reference_and_variant_mirrors_the_interval(make_run, tmp_path):
    rng = np.random.default_rng(2)
    for pool in ("max", "blur"):
        for seed, numbers in enumerate(numbers_of(rng)):
            make_run(images={"circular": {"accuracy": numbers}}, pool=pool, seed=seed)
    there, back = (
        differences(collect([tmp_path]), f"pool={pool}").iloc[0] for pool in ("max", "blur")
    )
    assert there["difference"] == -back["difference"]
    assert (there["ci_low"], there["ci_high"]) == (-back["ci_high"], -back["ci_low"])
    assert there["ci_low"] < 0 < there["ci_high"]


def test_one_seed_with_images_is_what_its_tables_say(make_run, tmp_path):
    rng = np.random.default_rng(3)
    labels = np.zeros(40)
    answers = {pool: rng.integers(0, 2, (40, 6)) for pool in ("max", "blur")}
    tables = {pool: table_of(found, labels, num_classes=2) for pool, found in answers.items()}
    for pool, found in answers.items():
        right = {"shift_accuracy": (found == 0).mean(axis=1)}
        make_run(images={"circular": right}, pool=pool)
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    [expected] = compare(tables["max"], tables["blur"], names=["shift_accuracy"])
    assert row["kind"] == "images, one seed"
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        (expected.ci_low, expected.ci_high), abs=5e-4
    )


def test_other_images_are_never_paired(make_run, tmp_path):
    rng = np.random.default_rng(4)
    for pool in ("max", "blur"):
        for seed, numbers in enumerate(numbers_of(rng)):
            make_run(images={"circular": {"accuracy": numbers}}, pool=pool, seed=seed, shown=pool)
    [row] = differences(collect([tmp_path]), "pool=max").to_dict("records")
    assert row["kind"] == "3 seeds"


@pytest.mark.parametrize(
    ("against", "part"),
    [("pool=blurr", r"did you mean 'blur'\?"), ("pol=max", r"did you mean 'pool'\?"),
     ("pool", "LABEL=VALUE"), ("seed=0", "not a label"), ("model=resnet", "model: vgg")],
)  # fmt: skip
def test_a_reference_that_is_not_there_is_one_sentence(make_run, tmp_path, against, part):
    make_run(pool="max")
    make_run(pool="blur")
    with pytest.raises(UsageError, match=part) as caught:
        differences(collect([tmp_path]), against)
    assert "\n" not in str(caught.value)


def test_nothing_to_pair_is_one_sentence(make_run, tmp_path):
    make_run(pool="max", seed=0)
    make_run(pool="blur", seed=1)
    with pytest.raises(ShiftbenchError, match="in its pool alone"):
        differences(collect([tmp_path]), "pool=max")
