"""Rotated MNIST and Fashion-MNIST, on tiny files in the official format."""

import json

import pytest
import torch
from idx_files import tiny_mnist_arrays, write_idx_files

from shiftbench.data import fashion_mnist, rotated_fashion_mnist, rotated_mnist
from shiftbench.data.rotated import draw_angles
from shiftbench.data.transformed import transformed
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.ops.rotation import turn

ARRAYS = tiny_mnist_arrays(train=60, test=40)
POOL = torch.cat([torch.from_numpy(ARRAYS[f"{part}-images-idx3-ubyte.gz"])[:, None]
                  for part in ("train", "t10k")])  # fmt: skip
SMALL = {"train_images": 50, "test_images": 40, "val_fraction": 0.2}
MODULES = {"MNIST": rotated_mnist, "FashionMNIST": rotated_fashion_mnist}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Give a folder with 60 + 40 images of noise as MNIST and as Fashion-MNIST."""
    root = tmp_path_factory.mktemp("idx")
    for name in ("MNIST", "FashionMNIST"):
        write_idx_files(root / name / "raw", ARRAYS)
    return root


@pytest.fixture(scope="module", params=MODULES)
def load(request, root):
    """Load one of the two sets at a tiny size."""
    return lambda **values: MODULES[request.param].load(root, **{**SMALL, **values})


def splits(data):
    return data.train, data.val, data.test


def test_contents(load):
    data = load()
    assert data.name in ("rotated_mnist", "rotated_fashion_mnist")
    assert data.image_shape == (1, 28, 28)
    assert data.num_classes == 10
    assert [len(split) for split in splits(data)] == [40, 10, 40]
    for split in splits(data):
        assert split.images.dtype == torch.uint8
        assert split.images.shape == (len(split), 1, 28, 28)
        # Ten classes of 10 in the pool, label i % 10 in both files.
        assert split.labels.tolist() == (split.source % 10).tolist()
        assert torch.bincount(split.labels, minlength=10).max() <= len(split) // 10 + 2


def test_no_image_is_in_two_splits(load):
    for data in (load(), load(split_seed=3)):
        source = torch.cat([split.source for split in splits(data)])
        assert len(source.unique()) == len(source) == 90


def test_each_image_is_its_source_rotated_by_its_angle(load):
    for split in splits(load()):
        assert ((split.amounts >= 0) & (split.amounts < 360)).all()
        expected = turn(POOL[split.source].double(), split.amounts)
        assert torch.equal(split.images, expected.round().to(torch.uint8))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4])
def test_quarter_turns_are_exact(quarters):
    angles = torch.full((len(POOL),), 90.0 * quarters, dtype=torch.float64)
    assert torch.equal(transformed(POOL, angles, turn), torch.rot90(POOL, quarters, (2, 3)))


def test_a_rotation_by_almost_a_quarter_is_almost_one():
    """The interpolated path turns the same way as the exact one: counter-clockwise."""
    smooth = torch.nn.functional.avg_pool2d(POOL.double(), 9, 1, 4).round().to(torch.uint8)
    angles = torch.full((len(POOL),), 90.001, dtype=torch.float64)
    gap = transformed(smooth, angles, turn).int() - torch.rot90(smooth, 1, (2, 3)).int()
    assert gap.abs().max() <= 1


def test_without_angles_the_same_images_are_upright(load):
    upright, rotated = load(angles="none"), load()
    for one, other in zip(splits(upright), splits(rotated), strict=True):
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.images, POOL[one.source])
        assert not one.amounts.any()


def test_trained_upright_and_tested_rotated(load):
    data, rotated = load(angles="none", test={"angles": "uniform"}), load(test={"angles": None})
    assert torch.equal(data.train.images, POOL[data.train.source])
    assert torch.equal(data.test.images, rotated.test.images)
    assert data.mean == load(angles="none").mean


def test_seeds_are_independent(load):
    data, same, turned, redrawn = load(), load(), load(data_seed=1), load(split_seed=1)
    for one, other in zip(splits(data), splits(same), strict=True):
        assert torch.equal(one.images, other.images)
    assert torch.equal(turned.test.source, data.test.source)
    assert (turned.test.amounts != data.test.amounts).all()
    assert not torch.equal(redrawn.test.source, data.test.source)
    # An image keeps its angle in whatever split it is.
    angles = torch.full((100,), -1.0, dtype=torch.float64)
    for split in splits(data):
        angles[split.source] = split.amounts
    common = angles[redrawn.test.source] >= 0
    assert torch.equal(redrawn.test.amounts[common], angles[redrawn.test.source][common])


def test_bytes_do_not_depend_on_the_number_of_threads(load):
    before = torch.get_num_threads()
    made = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        made.append(load().test.images)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


def test_angles_are_uniform():
    """Chi-square of 70,000 angles in 36 bins: 35 ± 8.4, its 99.9 % quantile 66.6."""
    angles = draw_angles("rotated_mnist", 70_000, 0)
    counts = torch.histc(angles, 36, 0, 360)
    expected = 70_000 / 36
    assert ((counts - expected) ** 2 / expected).sum() < 66.6
    assert angles.dtype == torch.float64
    assert (angles != draw_angles("rotated_fashion_mnist", 70_000, 0)).all()


def test_split_moves_with_what_it_was_made_from(load):
    split = load().test
    moved = split.to(torch.device("cpu"))
    assert torch.equal(moved.amounts, split.amounts)
    assert torch.equal(moved.source, split.source)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"angles": "normal"}, "data.angles=normal is not known"),
        ({"test": {"angles": "normal"}}, "data.test.angles=normal is not known"),
        ({"test": {"angle": "none"}}, "data.test=angle is not known (did you mean 'angles'?)"),
        ({"test": 5}, "data.test=5 is not allowed; give a mapping such as {angles: uniform}"),
        ({"test_images": 60}, "data.train_images=50 and data.test_images=60 are more than the 100"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(load, values, sentence):
    with pytest.raises(UsageError) as error:
        load(**values)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_a_typing_error_is_reported_before_files_are_read(tmp_path):
    with pytest.raises(UsageError, match=r"data\.angles=normal"):
        rotated_mnist.load(tmp_path / "none", angles="normal")


def test_damaged_files_are_one_sentence(tmp_path):
    write_idx_files(tmp_path / "MNIST" / "raw", ARRAYS)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"no archive")
    with pytest.raises(ShiftbenchError, match="is not a readable idx file") as error:
        rotated_mnist.load(tmp_path, **SMALL)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_command_line_measures_rotated_clothes(root, tmp_path, shiftbench_command):
    done = shiftbench_command(
        "data=rotated_fashion_mnist", f"data.root={root}", "data.train_images=40",
        "data.test_images=10", "data.val_fraction=0.1", "model.width=4", "train=none",
        "shift=circular", "shift.circular.draws=2", "shift.circular.steps=1",
        "measure.resamples=20", "measure.layers=false", "figures=false", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "10 images × " in done.stdout


@pytest.mark.skipif(not fashion_mnist.DEBIAN.is_dir(), reason="needs dataset-fashion-mnist")
def test_fashion_mnist_of_debian_rotated():
    data = rotated_fashion_mnist.load(train_images=1000, test_images=500)
    # The pool has 7,000 images of each class.
    assert (torch.bincount(data.test.labels, minlength=10) - 50).abs().max() < 2
    assert data.mean == pytest.approx((0.28,), abs=0.02)


@pytest.mark.slow
def test_command_line_trains_upright_and_tests_rotated(root, tmp_path, shiftbench_command):
    """Both runs share a training; their test images differ."""
    small = ("data=rotated_mnist", f"data.root={root}", "data.train_images=50",
             "data.test_images=20", "data.angles=none", "model.width=4", "train.epochs=1",
             "train.batch_size=16", "shift=circular", "shift.circular.draws=4",
             "shift.circular.steps=2", "measure.resamples=20", "measure.layers=false",
             "figures=false", "out=out")  # fmt: skip
    done = shiftbench_command("-m", "data.test.angles=null,uniform", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "trained").iterdir())) == 1
    runs = [json.loads(file.read_text()) for file in (tmp_path / "out" / "runs").glob("*/run.json")]
    labels = {run["labels"]["data"] for run in runs}
    base = "rotated_mnist[train_images=50,test_images=20,angles=none"
    assert labels == {f"{base}]", f"{base},test.angles=uniform]"}
    # The folder counts by the digest of its files.
    assert all(run["settings"]["data.root"].startswith("sha256:") for run in runs)
