"""How a network wants its inputs: what is given, what is taken over, what is refused."""

import pytest

from shiftbench.errors import UsageError
from shiftbench.preprocessing import Preprocessing

TESTED = Preprocessing(224, 232, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_what_is_given_counts_and_the_rest_is_the_weights_own():
    merged = Preprocessing.of({"interpolation": "bicubic", "size": None}).over(TESTED)
    assert merged == Preprocessing(224, 232, "bicubic", TESTED.mean, TESTED.std)


def test_another_size_keeps_the_share_of_the_picture():
    assert Preprocessing.of({"size": 288}).over(TESTED).resize == 298  # 288 · 232 / 224


def test_the_usual_crop_is_224_of_256():
    given = {"size": 224, "mean": [0.5] * 3, "std": [0.25] * 3}
    completed = Preprocessing.of(given).completed()
    assert (completed.resize, completed.interpolation) == (256, "bilinear")


def test_what_is_not_known_is_named_with_how_to_give_it():
    with pytest.raises(UsageError, match=r"give model\.preprocessing\.size=224 model\.prep"):
        Preprocessing().completed()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sise": 224}, r"did you mean 'size'"),
        ({"size": 0}, "size=0 is out of range"),
        ({"size": "big"}, "whole number"),
        ({"size": 224, "resize": 200}, "resize=200 is out of range; allowed: 224"),
        ({"interpolation": "cubic"}, r"did you mean 'bicubic'"),
        ({"mean": [0.5]}, "belong together"),
        ({"mean": 0.5, "std": [0.5]}, "a number for each channel"),
        ({"mean": [0.5], "std": [0]}, "std="),
        ({"mean": [33.3], "std": [78.6]}, r"mean=\[33\.3\].*pixels in 0 to 1"),
        ({"mean": [0.5], "std": [78.6]}, r"std=\[78\.6\].*pixels in 0 to 1"),
        ({"crop": "centre"}, r"did you mean 'center'"),
    ],
)
def test_values_that_make_no_sense_are_refused(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        Preprocessing.of(given)


def test_it_is_kept_as_plain_values():
    assert Preprocessing.of({"size": 8, "mean": [0.5], "std": [0.25]}).as_dict() == {
        "size": 8, "resize": None, "interpolation": None, "mean": [0.5], "std": [0.25],
        "crop": None,
    }  # fmt: skip
