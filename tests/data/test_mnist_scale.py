"""MNIST-scale, on tiny files in the official format."""

import pytest
import torch
from idx_files import tiny_mnist_arrays, write_idx_files

from shiftbench.data import mnist_scale, rotated_mnist
from shiftbench.errors import UsageError
from shiftbench.ops.window_resize import shrink_about_centre

ARRAYS = tiny_mnist_arrays(train=60, test=40)
POOL = torch.cat([torch.from_numpy(ARRAYS[f"{part}-images-idx3-ubyte.gz"])[:, None]
                  for part in ("train", "t10k")])  # fmt: skip
SMALL = {"train_images": 50, "test_images": 40, "val_fraction": 0.2}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Give a folder with 60 + 40 images of noise as MNIST."""
    root = tmp_path_factory.mktemp("idx")
    write_idx_files(root / "MNIST" / "raw", ARRAYS)
    return root


@pytest.fixture
def load(root):
    return lambda **values: mnist_scale.load(root, **{**SMALL, **values})


def splits(data):
    return data.train, data.val, data.test


def test_contents(load):
    data = load()
    assert data.name == "mnist_scale"
    assert [len(split) for split in splits(data)] == [40, 10, 40]
    factors = torch.cat([split.amounts for split in splits(data)])
    assert ((factors >= 0.3) & (factors <= 1)).all()
    assert factors.min() < 0.35
    assert factors.max() > 0.95
    source = torch.cat([split.source for split in splits(data)])
    assert len(source.unique()) == 90
    for split in splits(data):
        assert split.images.dtype == torch.uint8
        assert split.labels.tolist() == (split.source % 10).tolist()
        expected = shrink_about_centre(POOL[split.source].double(), split.amounts)
        assert torch.equal(split.images, expected.round().to(torch.uint8))


def test_by_one_it_is_mnist(load):
    for split in splits(load(scale=[1, 1])):
        assert torch.equal(split.images, POOL[split.source])


def test_the_test_split_may_have_factors_of_its_own(load):
    data, small = load(), load(test={"scale": [0.3, 0.3]})
    assert torch.equal(small.train.images, data.train.images)
    assert torch.equal(small.test.source, data.test.source)
    assert (small.test.amounts == 0.3).all()


def test_seeds_draw_factors_and_splits(load, root):
    data, same, other, redrawn = load(), load(), load(data_seed=1), load(split_seed=1)
    assert torch.equal(data.test.images, same.test.images)
    assert torch.equal(data.test.source, other.test.source)
    assert (data.test.amounts != other.test.amounts).all()
    assert not torch.equal(data.test.source, redrawn.test.source)
    # The same draw as that of rotated MNIST: the sets differ in what is done to a digit.
    assert torch.equal(data.test.source, rotated_mnist.load(root, **SMALL).test.source)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"scale": 0.5}, "data.scale=0.5 is not allowed; give two numbers from 0.1 to 1"),
        ({"scale": [1, 0.3]}, "data.scale=[1, 0.3] is not allowed"),
        ({"scale": [0.3, 2]}, "data.scale=[0.3, 2] is not allowed"),
        ({"scale": [0.05, 1]}, "data.scale=[0.05, 1] is not allowed"),
        ({"scale": ["a", 1]}, "data.scale=['a', 1] is not allowed"),
        ({"scale": [float("nan"), 1]}, "data.scale=[nan, 1] is not allowed"),
        ({"test": {"scale": "ab"}}, "data.test.scale=ab is not allowed"),
        ({"test": {"scales": 1}}, "data.test=scales is not known (did you mean 'scale'?)"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(load, values, sentence):
    with pytest.raises(UsageError) as error:
        load(**values)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_command_line(root, tmp_path, shiftbench_command):
    done = shiftbench_command(
        "data=mnist_scale", f"data.root={root}", "data.train_images=40", "data.test_images=10",
        "data.val_fraction=0.1", "data.test.scale=[0.3,0.5]", "model.width=4", "train.epochs=1",
        "train.batch_size=16", "shift=circular", "shift.circular.draws=2",
        "shift.circular.steps=1", "measure.resamples=20", "measure.layers=false",
        "figures=false", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "10 images × " in done.stdout
