"""Intervals over images: against scipy, against simulation, and at the edges."""

import numpy as np
import pytest
from scipy import stats

from shiftbench.errors import UsageError
from shiftbench.metric import bootstrap, evaluate
from shiftbench.metric.base import Terms, summable
from shiftbench.metric.bootstrap import Bootstrap, resampling_weights
from shiftbench.metric.example import example, table_of


def noisy_table(rng, images=80, shifts=12):
    """Images of very different difficulty."""
    share = rng.beta(0.8, 0.4, (images, 1))
    wrong = rng.integers(1, 5, (images, shifts))
    return table_of(np.where(rng.random((images, shifts)) < share, 0, wrong), np.zeros(images))


def interval_of(term, **options):
    made = Bootstrap(**options)
    [replicates] = made.replicates([term])
    return made.interval(term.value, replicates, made.leave_one_out(term))


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_of_a_mean_is_that_of_scipy(method):
    data = np.random.default_rng(0).exponential(size=60)
    low, high = interval_of(Terms.mean(data, 1), resamples=20_000, method=method)
    expected = stats.bootstrap(
        (data,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_bca_interval_of_a_ratio_is_that_of_scipy():
    rng = np.random.default_rng(2)
    below = rng.uniform(0.2, 2, 50)
    above = below * rng.beta(1, 4, 50)
    low, high = interval_of(Terms.ratio(above, below, 1), resamples=10_000, method="bca")
    expected = stats.bootstrap(
        (above, below), lambda a, b, axis=-1: a.sum(axis) / b.sum(axis), n_resamples=10_000,
        paired=True, method="BCa", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_bca_moves_the_interval_of_a_skewed_mean_and_percentile_does_not():
    data = np.random.default_rng(0).exponential(size=40)
    plain = interval_of(Terms.mean(data, 1))
    corrected = interval_of(Terms.mean(data, 1), method="bca")
    assert corrected[0] > plain[0]
    assert corrected[1] > plain[1]


@pytest.mark.parametrize("name", ["consistency", "correct_consistency"])
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_holds_the_truth_about_95_times_in_100(name, method):
    rng = np.random.default_rng(11)
    [truth] = evaluate(noisy_table(rng, images=40_000), names=[name], resamples=0)
    held = 0
    for trial in range(200):
        table = noisy_table(rng)
        [row] = evaluate(table, names=[name], resamples=400, seed=trial, method=method)
        held += row.ci_low <= truth.value <= row.ci_high
    assert 0.89 <= held / 200 <= 0.99


def test_images_are_resampled_not_shifts():
    # All shifts of an image answer alike, so 1,000 columns know no more than one does.
    right = np.random.default_rng(0).integers(0, 2, (50, 1))
    few = table_of(np.repeat(right, 2, axis=1), np.ones(50))
    many = table_of(np.repeat(right, 1000, axis=1), np.ones(50))
    [a], [b] = (evaluate(table, names=["shift_accuracy"]) for table in (few, many))
    assert (a.value, a.ci_low, a.ci_high) == (b.value, b.ci_low, b.ci_high)
    assert a.ci_high - a.ci_low > 0.2


def test_weights_are_seeded_and_do_not_depend_on_the_size_of_blocks(monkeypatch):
    whole = np.concatenate(list(resampling_weights(7, 10, seed=3)))
    monkeypatch.setattr(bootstrap, "CHUNK", 15)
    blocks = list(resampling_weights(7, 10, seed=3))
    assert [len(block) for block in blocks] == [2] * 5
    assert np.array_equal(np.concatenate(blocks), whole)
    assert not np.array_equal(np.concatenate(list(resampling_weights(7, 10, seed=4))), whole)
    assert (whole.sum(axis=1) == 7).all()


def test_replicates_do_not_depend_on_the_size_of_blocks(monkeypatch):
    term = Terms.mean(np.random.default_rng(0).random(9), 1)
    [whole] = Bootstrap(resamples=10).replicates([term])
    monkeypatch.setattr(bootstrap, "CHUNK", 30)
    [blocks] = Bootstrap(resamples=10).replicates([term])
    assert np.array_equal(whole, blocks)


def test_bca_levels_by_hand():
    replicates = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 2.0])  # 6 of 10 below 1, ties counted half
    bias, z = stats.norm.ppf(0.6), stats.norm.ppf(0.05)
    left_out = np.array([1.0, 1, 1, 5])  # spread 1, 1, 1, -3 around the mean 2
    acceleration = (3 - 27) / (6 * 12**1.5)
    low, high = bootstrap._bca_levels((0.05, 0.95), 1.0, replicates, left_out)
    for level, z_level in ((low, bias + z), (high, bias - z)):
        expected = stats.norm.cdf(bias + z_level / (1 - acceleration * z_level))
        assert level == pytest.approx(expected)


def test_bca_survives_a_value_outside_its_replicates():
    low, high = bootstrap._bca_levels((0.025, 0.975), 9.0, np.arange(8.0), np.arange(8.0))
    assert 0 < low < high <= 1


def test_leaving_one_out_in_blocks_is_leaving_one_out(monkeypatch):
    monkeypatch.setattr(bootstrap, "CHUNK", 4)
    data = np.array([1.0, 2.0, 3.0, 6.0])
    left_out = Bootstrap(method="bca").leave_one_out(Terms.mean(data, 1))
    assert left_out == pytest.approx([11 / 3, 10 / 3, 3, 2])


def test_the_same_table_gives_the_same_bytes():
    table = noisy_table(np.random.default_rng(1))
    assert repr(evaluate(table)) == repr(evaluate(table))
    assert repr(evaluate(table)) != repr(evaluate(table, seed=1))


def test_one_image_has_values_but_no_interval():
    for method in ("percentile", "bca"):
        rows = evaluate(table_of([[0, 0, 1]], [0]), method=method)
        assert len(rows) == 14
        assert not any(np.isnan(row.value) for row in rows)
        assert all(np.isnan(row.ci_low) and np.isnan(row.ci_high) for row in rows)


def test_one_image_that_enters_has_no_interval_either():
    [row] = evaluate(table_of([[0, 1], [1, 1]], [0, 0]), names=["correct_consistency"])
    assert row.n_images == 1
    assert np.isnan(row.ci_low)


def test_no_resamples_means_no_intervals():
    assert all(np.isnan(row.ci_low) for row in evaluate(example(), resamples=0))


def test_where_images_do_not_differ_the_interval_is_a_point():
    for method in ("percentile", "bca"):
        [row] = evaluate(table_of(np.zeros((5, 4)), [0] * 5), names=["accuracy"], method=method)
        assert (row.value, row.ci_low, row.ci_high) == (1, 1, 1)


def test_a_wider_confidence_gives_a_wider_interval():
    table = noisy_table(np.random.default_rng(1))
    [narrow], [wide] = (
        evaluate(table, names=["consistency"], confidence=level) for level in (0.5, 0.99)
    )
    assert wide.ci_low < narrow.ci_low < narrow.value < narrow.ci_high < wide.ci_high


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"confidence": 95}, "confidence=95 is not between 0 and 1"),
        ({"resamples": -1}, "resamples=-1 is negative"),
        ({"method": "percentil"}, "did you mean 'percentile'"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        evaluate(example(), **options)


def test_chance_consistency_lies_within_its_interval_even_for_balanced_classes():
    # Squared shares of a resample are too large on average: a plain percentile misses the value.
    labels = np.repeat(np.arange(100), 10)
    table = table_of(np.repeat(labels[:, None], 4, axis=1), labels)
    for method in ("percentile", "bca"):
        [row] = evaluate(table, names=["chance_consistency"], method=method)
        assert row.value == pytest.approx(0.01)
        assert row.ci_low <= row.value <= row.ci_high


def test_interval_of_chance_consistency_holds_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(6)
    probabilities = [0.6, 0.3, 0.1]
    held = 0
    for trial in range(200):
        top1 = np.repeat(rng.choice(3, size=(150, 1), p=probabilities), 2, axis=1)
        table = table_of(top1, top1[:, 0])
        [row] = evaluate(table, names=["chance_consistency"], resamples=400, seed=trial)
        held += row.ci_low <= 0.46 <= row.ci_high
    assert 0.89 <= held / 200 <= 0.99


def test_sums_are_the_same_bytes_in_any_order():
    rng = np.random.default_rng(0)
    term = Terms.ratio(rng.random(5000) * 1e6, rng.random(5000), 1)
    weights = np.concatenate(list(resampling_weights(5000, 20, seed=0)))
    order = rng.permutation(5000)
    forward, shuffled = weights @ term.terms, weights[:, order] @ term.terms[order]
    assert forward.tobytes() == shuffled.tobytes()
    assert term.terms.sum(axis=0).tobytes() == term.terms[order].sum(axis=0).tobytes()


def test_rounding_to_summable_terms_is_invisible():
    values = np.random.default_rng(0).random((10_000, 2))
    assert np.abs(summable(values) - values).max() <= 2.0**-40
    counts = np.arange(10_000.0)[:, None] * [1, 0]
    assert np.array_equal(summable(counts), counts)
