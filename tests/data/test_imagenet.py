"""Photographs to test on: classes in order, the network's own resizing, windows of real pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from shiftbench.data.imagenet import FIRST, LAST, load
from shiftbench.data.images import EnlargeableSplit
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.example_views import example_views
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import source
from shiftbench.predict.strips import strips
from shiftbench.preprocessing import Preprocessing
from shiftbench.shift.embed import Embed
from shiftbench.shift.rescale import Rescale

WNIDS = ["n03", "n01", "n02"]
RECIPE = Preprocessing(24, 28, "bicubic", (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    """Two photographs of n01, one of n03, of several shapes; n02 is named and has none."""
    generator = np.random.default_rng(0)
    for name, size in [("n01/a", (60, 45)), ("n01/b", (37, 81)), ("n03/c", (53, 50))]:
        path = tmp_path / "photos" / "val" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    (tmp_path / "wnids.txt").write_text("".join(f"{wnid} some words\n" for wnid in WNIDS))
    return tmp_path / "photos"


def photographs(root, **settings):
    return load(root, classes=root.parent / "wnids.txt", workers=0, **settings)


@pytest.mark.parametrize("where", ["", "val"])
def test_labels_are_places_in_the_list_of_classes(root, where):
    listing = load(root / where, classes=root.parent / "wnids.txt", workers=0)
    data = listing.for_network(RECIPE)
    assert data.classes == tuple(WNIDS)
    assert data.test.labels.tolist() == [1, 1, 0]
    assert (data.image_shape, data.mean, data.std) == ((3, 24, 24), RECIPE.mean, RECIPE.std)
    assert (len(data.train), len(data.val)) == (0, 0)


@pytest.mark.parametrize("filter_name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("size", "resize"), [(24, 28), (24, 24), (23, 30)])
def test_images_are_what_torchvision_makes_of_the_files(root, filter_name, size, resize):
    recipe = Preprocessing(size, resize, filter_name, RECIPE.mean, RECIPE.std)
    split = photographs(root).for_network(recipe).test
    mode = InterpolationMode(filter_name)
    steps = [transforms.Resize(resize, mode), transforms.CenterCrop(size)]
    theirs = transforms.Compose([*steps, transforms.PILToTensor()])
    images, _ = next(split.batches(10))
    for image, file in zip(images, ["n01/a", "n01/b", "n03/c"], strict=True):
        assert torch.equal(image, theirs(Image.open(root / "val" / f"{file}.png")))


def test_squashed_images_are_decoded_beside_cut_out_ones(root):
    source = photographs(root)
    squashed = source.for_network(replace(RECIPE, crop="squash")).test
    steps = [transforms.Resize((28, 28), InterpolationMode.BICUBIC), transforms.CenterCrop(24)]
    theirs = transforms.Compose([*steps, transforms.PILToTensor()])
    images, _ = next(squashed.batches(10))
    whole, _ = next(squashed.enlarged((36, 36)).batches(10))
    for image, larger, file in zip(images, whole, ["n01/a", "n01/b", "n03/c"], strict=True):
        original = Image.open(root / "val" / f"{file}.png")
        assert torch.equal(image, theirs(original))
        expected = transforms.Resize((36, 36), InterpolationMode.BICUBIC)(original)
        assert torch.equal(larger, transforms.PILToTensor()(expected))
    centred, _ = next(source.for_network(RECIPE).test.batches(10))
    assert not torch.equal(centred, images)


def test_larger_images_have_pixels_of_their_own(root):
    split = photographs(root).for_network(RECIPE).test
    assert isinstance(split, EnlargeableSplit)
    images, labels = next(split.enlarged((36, 36)).batches(10))
    whole = transforms.Compose([
        transforms.Resize(36, InterpolationMode.BICUBIC), transforms.CenterCrop(36),
        transforms.PILToTensor(),
    ])  # fmt: skip
    assert torch.equal(images[2], whole(Image.open(root / "val" / "n03" / "c.png")))
    assert torch.equal(labels, split.labels)


def test_photographs_beyond_the_memory_limit_stream_the_same_pixels(root):
    kept, streamed = (
        photographs(root, memory_limit_gb=limit).for_network(RECIPE).test for limit in (4, 0)
    )
    order = torch.tensor([2, 0])
    for part in ("shown", "enlarged"):
        one, two = (split if part == "shown" else split.enlarged((30, 30))
                    for split in (kept, streamed))  # fmt: skip
        for (ours, label), (theirs, other) in zip(
            one.batches(1, order), two.batches(1, order), strict=True
        ):
            assert torch.equal(ours, theirs)
            assert torch.equal(label, other)


def reduced(root, side):
    """What PIL and torchvision make of the three files at ``side`` px: the whole centre square."""
    steps = [transforms.Resize(side, InterpolationMode.BICUBIC), transforms.CenterCrop(side)]
    whole = transforms.Compose([*steps, transforms.PILToTensor()])
    files = (root / "val" / f"{name}.png" for name in ("n01/a", "n01/b", "n03/c"))
    return torch.stack([whole(Image.open(file)) for file in files])


@pytest.mark.parametrize("limit", [4, 0], ids=["in memory", "streamed"])
@pytest.mark.parametrize("network_size", [24, 15])
def test_objects_on_a_canvas_are_reduced_from_the_files(root, limit, network_size):
    recipe = replace(RECIPE, size=network_size, resize=network_size + 4)
    split = photographs(root, memory_limit_gb=limit).for_network(recipe).test
    for protocol in (Embed(size=9, sampling="path", steps=2), Rescale(size=8, steps=3)):
        shown, rows = source(protocol, split)
        plan = shown.plan(3, (network_size, network_size))
        moves = plan.rows(0, 3)
        [(images, labels)] = rows.batches(10)
        assert torch.equal(labels, split.labels)
        for column in range(len(plan)):
            views = shown.views(images, moves[:, column], None)
            offset, side = moves[0, column].tolist(), 9
            if len(offset) == 1:
                offset, side = (0, 0), offset[0]
            expected = torch.zeros(3, 3, network_size, network_size, dtype=torch.uint8)
            top, left = ((network_size - side) // 2 + move for move in offset)
            expected[:, :, top : top + side, left : left + side] = reduced(root, side)
            assert torch.equal(views, expected)
    assert plan.meta["reduced_from_files"] == [[8, 8], [9, 9], [10, 10], [11, 11]]


def test_a_table_and_the_figures_show_objects_from_the_files(root):
    split = photographs(root).for_network(RECIPE).test
    protocol = Embed(size=9, fill="mean", sampling="path", steps=2)
    seen = []

    class Watch(nn.Module):
        def forward(self, x):
            seen.append(x.clone())
            return x.mean((2, 3))

    network = PixelModel(Watch(), RECIPE.mean, RECIPE.std, torch.device("cpu"))
    table = predict(network, split, (3, 24, 24), protocol, Options("direct"), mean=RECIPE.mean)
    # Before the views, a few images are answered to see whether answers depend on the batch.
    views = torch.cat(seen)[-9:].unflatten(0, (3, 3))[:, 0, :, 7:16, 7:16]
    pixels = (views * 0.25 + 0.5) * 255
    assert torch.equal(pixels.round().to(torch.uint8), reduced(root, 9))
    assert table.meta["reduced_from_files"] == [9, 9]
    pictures = strips(split, protocol, [2], table.shifts, RECIPE.mean)
    assert np.array_equal(pictures[2][0, 7:16, 7:16], reduced(root, 9)[2].permute(1, 2, 0).numpy())
    example = example_views(split, protocol, RECIPE.mean, 3)["base"][:, 7:16, 7:16]
    assert np.allclose(example * 255, reduced(root, 9).permute(0, 2, 3, 1).numpy(), atol=1e-3)


def test_all_thousand_folders_need_no_list(tmp_path):
    middle = [f"n{number:08d}" for number in range(2_000_000, 2_000_998)]
    for wnid in [FIRST, *middle, LAST]:
        (tmp_path / wnid).mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / LAST / "one.png")
    data = load(tmp_path, workers=0).for_network(RECIPE)
    assert data.num_classes == 1000
    assert data.test.labels.tolist() == [999]


def test_the_limit_keeps_the_same_images_each_time(root):
    one, two = (photographs(root, limit_test=2).for_network(RECIPE).test for _ in range(2))
    assert len(one) == 2
    assert torch.equal(next(one.batches(2))[0], next(two.batches(2))[0])


def test_an_unreadable_photograph_is_named_or_left_out(root):
    (root / "val" / "n01" / "b.png").write_text("not a picture")
    with pytest.raises(ShiftbenchError, match=r"n01/b\.png .*skip_unreadable=true"):
        photographs(root).for_network(RECIPE)
    split = photographs(root, skip_unreadable=True).for_network(RECIPE).test
    assert split.labels.tolist() == [1, 0]
    assert len(split.enlarged((30, 30))) == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"root": None}, r"add data\.root=PATH"),
        ({"root": "nowhere"}, "is not a folder"),
        ({"classes": None}, r"2 class folders, not the 1,000.*data\.classes=PATH"),
        ({"classes": "nowhere.txt"}, "cannot be read"),
        ({"classes": "short.txt"}, r"not there: n03"),
        ({"limit_test": 0}, "limit_test=0"),
        ({"workers": -1}, "workers=-1"),
    ],
)
def test_what_makes_no_sense_is_refused(root, settings, sentence, monkeypatch):
    monkeypatch.chdir(root)
    (root / "short.txt").write_text("n01\nn02\n")
    with pytest.raises(UsageError, match=sentence):
        load(**{"root": root, "classes": root.parent / "wnids.txt", **settings})


def test_what_the_network_does_not_say_has_to_be_given(root):
    with pytest.raises(UsageError, match=r"give model\.preprocessing\.size=224"):
        photographs(root).for_network(Preprocessing())
    with pytest.raises(UsageError, match="3 channels"):
        photographs(root).for_network(Preprocessing(24, mean=(0.5,), std=(0.5,)))
