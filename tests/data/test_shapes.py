"""The drawn data set: what it holds, how a scene moves, what it refuses."""

from __future__ import annotations

import inspect
import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from shiftbench.data.scenes import Law
from shiftbench.data.shapes import load
from shiftbench.errors import UsageError


@pytest.fixture(scope="module")
def data():
    return load(train_images=205, test_images=103)


def gap(left, right):
    """Return the absolute differences of two uint8 tensors."""
    return (left.int() - right.int()).abs()


def test_contents(data):
    assert data.name == "shapes"
    assert data.image_shape == (3, 32, 32)
    assert data.num_classes == len(set(data.classes)) == 10
    assert (len(data.train), len(data.val), len(data.test)) == (185, 20, 103)
    for split in (data.train, data.val, data.test):
        assert split.images.shape == (len(split), 3, 32, 32)
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert split.labels.shape == (len(split),)
    assert all(0.3 < mean < 0.7 for mean in data.mean)
    assert all(0.05 < std < 0.3 for std in data.std)


def test_no_image_is_in_two_splits(data):
    images = torch.cat([data.train.images, data.val.images, data.test.images]).flatten(1)
    assert len(images.unique(dim=0)) == len(images)


def test_classes_are_balanced_and_shuffled(data):
    labels = torch.cat([data.train.labels, data.val.labels])
    counts = torch.bincount(labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    assert torch.bincount(data.test.labels, minlength=10).min() == 10
    assert len(set(data.test.labels[0:100:10].tolist())) > 1


def test_configuration_holds_the_defaults():
    config = OmegaConf.load(Path(__file__).parents[2] / "configs/data/shapes.yaml")
    assert config.pop("_target_") == "shiftbench.data.shapes.load"
    changes = config.pop("test")
    assert set(changes) == set(asdict(Law()))
    assert set(changes.values()) == {None}
    defaults = {key: value.default for key, value in inspect.signature(load).parameters.items()}
    assert defaults.pop("test") is None
    assert {**config, "object_size": tuple(config.object_size)} == defaults
    assert Law(**{key: defaults[key] for key in asdict(Law())}) == Law()


def test_configuration_can_be_loaded(data):
    config = OmegaConf.load(Path(__file__).parents[2] / "configs/data/shapes.yaml")
    config.update(train_images=205, test_images=20)
    config.test.object_size = [0.5, 0.5]
    made = instantiate(config)
    assert torch.equal(made.train.images, data.train.images)
    assert (made.test.scenes.diameter == 0.5).all()


def test_same_arguments_give_the_same_bytes(data):
    again = load(train_images=205, test_images=103)
    for name in ("train", "val", "test"):
        one, two = getattr(data, name), getattr(again, name)
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)


def test_first_images_do_not_depend_on_how_many_are_drawn(data):
    fewer = load(train_images=50, test_images=20)
    assert torch.equal(fewer.test.labels, data.test.labels[:20])
    assert torch.equal(fewer.test.images, data.test.images[:20])


def test_data_seed_and_split_seed_are_independent(data):
    other = load(train_images=205, test_images=103, data_seed=1)
    assert not torch.equal(other.test.images, data.test.images)
    recut = load(train_images=205, test_images=103, split_seed=1)
    assert torch.equal(recut.test.images, data.test.images)
    assert not torch.equal(recut.val.images, data.val.images)


def test_the_global_generator_is_not_used():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load(train_images=20, test_images=10)
    assert torch.equal(torch.rand(4), expected)


def test_number_of_threads_is_restored():
    before = torch.get_num_threads()
    load(train_images=20, test_images=10)
    assert torch.get_num_threads() == before


def test_offset_zero_renders_the_stored_images(data):
    assert torch.equal(data.test.render(torch.zeros(2)), data.test.images)


@settings(max_examples=20, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_integer_offset_is_a_shift_where_both_overlap(data, dy, dx):
    split = data.val
    moved = split.render(torch.tensor([dy, dx]))
    rolled = torch.roll(split.images, (dy, dx), (-2, -1))
    rows = slice(max(dy, 0), 32 + min(dy, 0))
    columns = slice(max(dx, 0), 32 + min(dx, 0))
    assert gap(moved, rolled)[..., rows, columns].max() <= 1


def test_new_content_enters_at_the_border(data):
    moved = data.test.render(torch.tensor([0.0, 4.0]))
    wrapped = torch.roll(data.test.images, 4, -1)
    assert gap(moved, wrapped)[..., :4].float().mean() > 5


def test_a_small_shift_changes_the_image_a_little(data):
    base = data.test.images
    tiny, small, large = (
        gap(data.test.render(torch.tensor([step, step])), base).float() for step in (0.05, 0.1, 1.0)
    )
    assert (small.flatten(1).sum(1) > 0).all()
    assert 0 < tiny.mean() < small.mean() < large.mean()
    # No pixel jumps: an edge crosses at most 0.1 * sqrt(2) of it, strokes and waves add to that.
    assert small.max() <= 0.3 * 255


def test_every_image_can_have_its_own_offset(data):
    index = torch.tensor([5, 0, 7])
    offset = torch.tensor([[0.5, -1.25], [0.0, 0.0], [3.0, 2.0]])
    together = data.test.render(offset, index)
    for row, (one, move) in enumerate(zip(index, offset, strict=True)):
        alone = data.test.render(move, one[None])
        assert gap(together[row], alone[0]).max() <= 1
    assert torch.equal(together[1], data.test.images[0])


def test_split_moves_with_its_scenes(data):
    moved = data.to(torch.device("cpu")).test
    assert torch.equal(moved.render(torch.ones(2)), data.test.render(torch.ones(2)))
    images, labels = next(moved.batches(8, torch.arange(8).flip(0)))
    assert torch.equal(images, data.test.images[:8].flip(0))
    assert torch.equal(labels, data.test.labels[:8].flip(0))


@pytest.mark.parametrize("side", [16, 48, 64])
def test_larger_images_show_the_same_scenes(side, data):
    split = load(size=side, train_images=20, test_images=40).test
    assert split.images.shape == (40, 3, side, side)
    # Eight by eight blocks of an image of any size are alike up to grain and edges.
    coarse, expected = (
        torch.nn.functional.adaptive_avg_pool2d(images.float(), 8)
        for images in (split.images, data.test.images[:40])
    )
    assert (coarse - expected).abs().mean() < 5


def test_test_law_differs_where_asked(data):
    nulls = {"position": None, "object_size": None}
    assert torch.equal(
        load(train_images=20, test_images=20, test=nulls).test.images, data.test.images[:20]
    )
    moved = load(train_images=205, test_images=20, test={"position": "uniform", "rotation": 0})
    assert torch.equal(moved.train.images, data.train.images)
    assert (moved.test.scenes.angle == 0).all()
    assert (data.train.scenes.angle != 0).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"position": "uniforn"}, "data.position=uniforn is not known"),
        ({"position_std": -1}, "data.position_std=-1 is not allowed; give a number from 0 to 10"),
        ({"object_size": [0.6, 0.35]}, "data.object_size="),
        ({"object_size": 0.5}, "data.object_size="),
        ({"object_size": [0.5, "wide"]}, "data.object_size="),
        ({"object_size": [0.5, 1.5]}, "data.object_size="),
        ({"size_law": "log"}, "data.size_law=log is not known"),
        ({"rotation": 400}, "data.rotation=400 is not allowed; give degrees from 0 to 180"),
        ({"clutter": "much"}, "data.clutter=much is not allowed"),
        ({"size": 8}, "data.size=8 is not allowed; give a whole number from 16 to 4096"),
        ({"size": 32.5}, "data.size=32.5 is not allowed"),
        ({"train_images": 3}, "data.train_images=3 is not allowed"),
        ({"test_images": True}, "data.test_images=True is not allowed"),
        ({"val_fraction": 1}, "data.val_fraction=1 is not allowed"),
        ({"test": {"positon": "uniform"}}, "data.test=positon is not known"),
        ({"position_std": math.inf}, "data.position_std=inf is not allowed"),
        ({"rotation": math.nan}, "data.rotation=nan is not allowed"),
        ({"test": 5}, "data.test=5 is not allowed; give a mapping"),
        ({"test": {"clutter": 9}}, "data.test.clutter=9 is not allowed"),
        ({"test": {"position": "left"}}, "data.test.position=left is not known"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(UsageError) as error:
        load(**arguments)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)
