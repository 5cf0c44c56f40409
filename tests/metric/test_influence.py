"""images.npz: what each image adds to each metric."""

import numpy as np
import pytest

from shiftbench.errors import ShiftbenchError
from shiftbench.metric import METRICS, Terms, evaluate
from shiftbench.metric.example import example, table_of
from shiftbench.metric.influence import LEVELS, Influences, influence


def test_of_a_mean_it_is_the_deviation_of_the_image():
    numbers = np.array([0.1, 0.4, 0.7, 0.8])
    assert influence(Terms.mean(numbers, 1)) == pytest.approx(numbers - 0.5)


def test_of_a_ratio_it_is_the_linear_one_up_to_one_image_in_n():
    rng = np.random.default_rng(0)
    above, below = rng.random(2000), 1 + rng.random(2000)
    ratio = above.sum() / below.sum()
    linear = (above - ratio * below) / below.mean()
    found = influence(Terms.ratio(above, below, 1))
    assert found == pytest.approx(linear, abs=2e-3)
    assert found.mean() == pytest.approx(0, abs=1e-12)


def test_an_image_that_does_not_enter_adds_nothing():
    found = influence(Terms.ratio([1, 3, 0, 0], [4, 4, 4, 0], 1))
    assert found[3] == pytest.approx(0, abs=0.02)
    assert abs(found[1]) > 0.4


@pytest.mark.parametrize("numbers", [[np.nan, np.nan], [0.5, np.nan]])
def test_a_value_that_is_not_defined_without_an_image_has_none(numbers):
    assert influence(Terms.mean(np.array(numbers), 1)) is None


def test_the_file_keeps_them_to_the_last_of_its_levels(tmp_path):
    made = Influences.from_tables({"circular": example(), "crop": example()})
    assert made.save(tmp_path / "images.npz")
    read = Influences.load(tmp_path / "images.npz")
    assert read.images == made.images
    assert read.values == made.values
    assert set(read.numbers) == set(made.numbers)
    for key, numbers in made.numbers.items():
        step = np.abs(numbers).max() / LEVELS
        assert read.numbers[key] == pytest.approx(numbers, abs=step)
        assert read.numbers[key].mean() == pytest.approx(0, abs=1e-12)


def test_the_same_content_is_not_written_again(tmp_path):
    made = Influences.from_tables({"circular": example()})
    assert made.save(tmp_path / "images.npz")
    assert not made.save(tmp_path / "images.npz")


def test_numbers_of_another_value_are_not_used():
    made = Influences.from_tables({"circular": example()})
    [row] = evaluate(example(), names=["consistency"])
    assert made.of("circular", "consistency", row.value) is not None
    assert made.of("circular", "consistency", row.value + 0.01) is None
    assert made.of("crop", "consistency", row.value) is None
    assert made.of("circular", "consistency", float("nan")) is None


def test_the_standard_error_is_that_of_the_interval():
    rng = np.random.default_rng(1)
    table = table_of(rng.integers(0, 3, (500, 6)), rng.integers(0, 3, 500))
    made = Influences.from_tables({"circular": table})
    for row in evaluate(table, names=["consistency", "correct_consistency", "accuracy"]):
        numbers = made.of("circular", row.metric, row.value)
        error = numbers.std(ddof=1) / len(numbers) ** 0.5
        assert (row.ci_high - row.ci_low) / 3.92 == pytest.approx(error, rel=0.1)


def test_every_metric_that_applies_is_in_it():
    made = Influences.from_tables({"circular": example()})
    applying = {name for name, metric in METRICS.items() if metric.applies(example())}
    assert {name for _, name in made.numbers} == applying


def test_a_file_that_is_none_is_a_sentence(tmp_path):
    path = tmp_path / "images.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(ShiftbenchError, match="shiftbench report --remeasure"):
        Influences.load(path)
