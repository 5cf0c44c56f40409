"""The Red-Green set: the geometry of Kayhan & van Gemert 2020, its splits, its test positions."""

import inspect
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from shiftbench.data.red_green import load
from shiftbench.errors import UsageError


@pytest.fixture(scope="module")
def data():
    return load()


def splits(data):
    return data.train, data.val, data.test


def boxes(image):
    """Return row and column of the upper left pixel of the red and of the green box, by pixels."""
    found = []
    for channel in (0, 1):
        rows, columns = image[channel].nonzero().unbind(1)
        assert len(rows) == 16
        assert rows.max() - rows.min() == columns.max() - columns.min() == 3
        found.append((int(rows.min()), int(columns.min())))
    return found


def test_contents(data):
    assert data.name == "red_green"
    assert data.image_shape == (3, 32, 32)
    assert [len(split) for split in splits(data)] == [2000, 1000, 1000]
    for split in splits(data):
        assert split.images.dtype == torch.uint8
        assert split.images.unique().tolist() == [0, 255]
        assert not split.images[:, 2].any()
        assert torch.bincount(split.labels).tolist() == [len(split) // 2] * 2


def test_geometry_of_every_image(data):
    for split in splits(data):
        for image, label, corners in zip(split.images, split.labels, split.corners, strict=True):
            red, green = boxes(image)
            left, right = (red, green) if label == 0 else (green, red)
            assert corners.tolist() == [[*left], [*right]]
            low, high = (3, 10) if label == 0 else (19, 26)
            assert all(low <= row <= high for row, _ in (left, right))
            assert 0 <= left[1] <= 9
            assert left[1] + 5 <= right[1] <= 27


def test_every_row_and_column_occurs(data):
    corners = data.train.corners
    relative = corners[:, :, 0] - torch.where(data.train.labels == 0, 7, 23)[:, None]
    for box in (0, 1):
        assert relative[:, box].unique().tolist() == list(range(-4, 4))
    assert corners[:, 0, 1].unique().tolist() == list(range(10))
    assert corners[:, 1, 1].unique().tolist() == list(range(5, 28))


def test_columns_of_the_left_box_are_uniform():
    """Chi-square of 1,000 columns of class 0 in 10 bins: 9 ± 4.2, its 99.9 % quantile 27.9.

    A small part of all geometries, so that drawing without replacement matters little.
    """
    test = load(test_images=2000).test
    counts = torch.bincount(test.corners[test.labels == 0, 0, 1], minlength=10)
    assert ((counts - 100) ** 2 / 100).sum() < 27.9


def test_no_image_occurs_twice():
    data = load(train_images=20_000, test_images=3680)
    images = torch.cat([split.corners.flatten(1) for split in splits(data)])
    assert len(images.unique(dim=0)) == 23_680


def test_dissimilar_images_are_the_same_at_the_rows_of_the_other_class(data):
    other = load(test={"position": "dissimilar"})
    assert torch.equal(other.train.images, data.train.images)
    assert torch.equal(other.val.images, data.val.images)
    assert torch.equal(other.test.labels, data.test.labels)
    for label, rows in ((0, 16), (1, -16)):
        chosen = data.test.labels == label
        moved = data.test.images[chosen].roll(rows, 2)
        assert torch.equal(other.test.images[chosen], moved)
    for images, label, rows in ((other.test, 0, (19, 26)), (other.test, 1, (3, 10))):
        tops = images.corners[images.labels == label, :, 0]
        assert (tops.min(), tops.max()) == rows


def test_similar_is_as_in_training(data):
    for test in ({"position": "similar"}, {"position": None}, {}):
        assert torch.equal(load(test=test).test.images, data.test.images)


def test_seeds(data):
    same, other = load(), load(data_seed=1)
    for one, two, three in zip(splits(data), splits(same), splits(other), strict=True):
        assert torch.equal(one.images, two.images)
        assert not torch.equal(one.images, three.images)


def test_test_images_do_not_depend_on_the_number_of_training_images(data):
    assert torch.equal(load(train_images=30).test.images, data.test.images)


def test_configuration_holds_the_defaults():
    config = OmegaConf.load(Path(__file__).parents[2] / "configs/data/red_green.yaml")
    assert config.pop("_target_") == "shiftbench.data.red_green.load"
    assert config.pop("test") == {"position": None}
    defaults = {key: value.default for key, value in inspect.signature(load).parameters.items()}
    assert defaults.pop("test") is None
    assert config == defaults


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"test": {"position": "left"}}, "data.test.position=left is not known"),
        ({"test": {"place": "left"}}, "data.test=place is not known"),
        ({"test": "dissimilar"}, "data.test=dissimilar is not allowed; give a mapping such as"),
        ({"train_images": 1}, "data.train_images=1 is not allowed"),
        ({"val_fraction": 1.0}, "data.val_fraction=1.0 of 3000 images leaves none"),
        ({"train_images": 23_000}, "data.train_images=23000 and data.test_images=1000 are more"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(values, sentence):
    with pytest.raises(UsageError) as error:
        load(**values)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_command_line_tests_both_positions_with_one_training(tmp_path, shiftbench_command):
    done = shiftbench_command(
        "-m", "data=red_green", "data.test.position=null,dissimilar", "data.train_images=60",
        "data.test_images=20", "model.width=4", "train.epochs=1", "train.batch_size=16",
        "shift=circular", "shift.circular.draws=2", "shift.circular.steps=1",
        "measure.resamples=20", "measure.layers=false", "figures=false", "out=out", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "trained").iterdir())) == 1
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2
