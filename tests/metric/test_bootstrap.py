"""Resampled images: seeded, by image, the same bytes whatever the order."""

import numpy as np
import pytest

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


def test_sums_do_not_depend_on_the_size_of_blocks(monkeypatch):
    term = Terms.mean(np.random.default_rng(0).random(9), 1)
    [whole] = Bootstrap(resamples=10).sums([term])
    monkeypatch.setattr(bootstrap, "CHUNK", 30)
    [blocks] = Bootstrap(resamples=10).sums([term])
    assert np.array_equal(whole, blocks)


def test_sums_of_several_metrics_are_those_of_each():
    rng = np.random.default_rng(0)
    narrow, wide = Terms.mean(rng.random(9), 1), Terms(rng.integers(0, 9, (9, 3)) + 0.0, sum, 9, 1)
    [first, second] = Bootstrap(resamples=10).sums([narrow, wide])
    assert np.array_equal(first, Bootstrap(resamples=10).sums([narrow])[0])
    assert np.array_equal(second, Bootstrap(resamples=10).sums([wide])[0])


def test_the_same_table_gives_the_same_bytes():
    table = noisy_table(np.random.default_rng(1))
    assert repr(evaluate(table)) == repr(evaluate(table))
    assert repr(evaluate(table)) != repr(evaluate(table, seed=1))


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
