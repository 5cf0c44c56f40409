"""Zoom: windows that grow and shrink pixel by pixel, of images and of photographs."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from shiftbench.data.imagenet import load
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.preprocessing import Preprocessing
from shiftbench.shift.zoom import Zoom


def factors(plan):
    return plan.shifts[..., 0]


def views(protocol, images, zoom):
    shifts = torch.full((len(images), 1), zoom)
    return protocol.views(ShownSplit.of(images), torch.arange(len(images)), shifts)


def test_the_window_changes_by_one_pixel_around_its_base_size():
    plan = Zoom().plan(3, (224, 224))  # a margin of 32 px
    windows = (224 / factors(plan)).round().int().tolist()
    assert sorted(windows) == list(range(208, 241))
    assert factors(plan)[0] == 1
    assert plan.sampled.all()
    after = (plan.previous >= 0).nonzero().squeeze(1).tolist()
    assert len(after) == 32
    assert all(windows[plan.previous[k]] - windows[k] == 1 for k in after)
    assert plan.meta["step"] == "1 px of the window"


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 1, 28, 35)])
@pytest.mark.parametrize(("mode", "filter_"), [("bicubic", 3), ("bilinear", 2)])
def test_views_are_windows_resized_by_pillow(shape, mode, filter_):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=generator)
    height, width = shape[2:]
    shorter = min(height, width)
    protocol = Zoom(margin=6, max_change=4, interpolation=mode)
    for zoom in factors(protocol.plan(1, (height, width))).tolist():
        share = round(shorter / zoom) / (shorter + 6)
        area = (width * (1 - share) / 2, height * (1 - share) / 2,
                width * (1 + share) / 2, height * (1 + share) / 2)  # fmt: skip
        for image, view in zip(images, views(protocol, images, zoom), strict=True):
            for channel, shown in zip(image, view, strict=True):
                source = Image.fromarray(channel.numpy())
                expected = np.asarray(source.resize((width, height), filter_, area))
                assert np.abs(shown.numpy() - expected).max() < 1e-5  # sums in float32


def test_the_largest_window_about_the_centre_is_the_whole_image():
    images = torch.randint(0, 256, (2, 3, 28, 28), dtype=torch.uint8)
    assert torch.equal(views(Zoom(margin=4, max_change=4), images, 28 / 32), images)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_random_points_stay_where_they_are(mode):
    # Brightness is the place, so that the value at the fixed point tells where it is.
    place = torch.arange(32).expand(32, 32) / 32
    images = torch.stack([place.T, place])[None].expand(40, 2, 32, 32)
    protocol = Zoom(margin=8, max_change=4, about="random", interpolation=mode)
    plan = protocol.plan(40, (32, 32))
    seen = torch.stack([views(protocol, images, float(z)) for z in factors(plan).sort().values])
    # The same (row, column) shows the same place under all factors where the spread vanishes.
    spread = (seen.amax(0) - seen.amin(0)).amax(1)
    fixed = spread.flatten(1).argmin(1)
    rows, columns = (fixed // 32 + 0.5) / 32, (fixed % 32 + 0.5) / 32
    points = protocol._points(ShownSplit.of(images), torch.arange(40))
    inner = ((points > 0.15) & (points < 0.85)).all(1)  # filters end at the image's border
    assert int(inner.sum()) > 10
    assert (rows - points[:, 0])[inner].abs().max() < 1.01 / 32
    assert (columns - points[:, 1])[inner].abs().max() < 1.01 / 32
    assert points.std(0).min() > 0.2
    other = Zoom(margin=8, max_change=4, about="random", seed=1)
    assert not torch.equal(other._points(ShownSplit.of(images), torch.arange(40)), points)


def test_an_images_point_does_not_depend_on_what_else_is_asked_for():
    images = torch.rand(6, 1, 16, 16)
    protocol, split = Zoom(margin=4, about="random"), ShownSplit.of(images)
    shifts = torch.full((6, 1), 16 / 15)
    together = protocol.views(split, torch.arange(6), shifts)
    alone = protocol.views(split, torch.tensor([4]), shifts[:1])
    assert torch.allclose(together[4:5], alone, atol=1e-6)


RECIPE = Preprocessing(24, 28, "bicubic", (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photographs on disk, and the same as Pillow's images."""
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    generator, files = np.random.default_rng(0), []
    for name, size in [("a", (60, 45)), ("b", (37, 81)), ("c", (50, 50))]:
        files.append(tmp_path / "photos" / "n01" / f"{name}.png")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(files[-1])
    (tmp_path / "wnids.txt").write_text("n01\nn02\n")
    source = load(tmp_path / "photos", classes=tmp_path / "wnids.txt", workers=2)
    return source, files


@pytest.mark.parametrize("window", [20, 24, 27])
def test_windows_of_photographs_are_resized_once_from_the_file(photos, window):
    source, files = photos
    split = ShownSplit.of_test(source.for_network(RECIPE))
    index = torch.tensor([2, 0, 1, 0])
    shifts = torch.full((4, 1), 24 / window)
    seen = Zoom(margin=4, max_change=4).views(split, index, shifts)
    for position, view in zip(index.tolist(), seen, strict=True):
        photo = Image.open(files[position])
        side = min(photo.size) * window / 28
        left, top = ((length - side) / 2 for length in photo.size)
        expected = photo.resize((24, 24), Image.Resampling.BICUBIC,
                                box=(left, top, left + side, top + side))  # fmt: skip
        assert np.array_equal(view.permute(1, 2, 0).numpy(), np.asarray(expected))


def test_the_largest_window_of_a_square_photograph_is_torchvisions_resize(photos):
    source, files = photos
    split = ShownSplit.of_test(source.for_network(RECIPE))
    seen = Zoom(margin=4, max_change=4).views(split, torch.tensor([2]), torch.tensor([[24 / 28]]))
    photo = functional.pil_to_tensor(Image.open(files[2]))
    expected = functional.resized_crop(photo, 0, 0, 50, 50, [24, 24], 3, antialias=True)
    assert (seen[0].int() - expected.int()).abs().max() <= 1  # Pillow rounds twice


def test_the_base_view_of_a_square_photograph_is_what_the_network_is_shown(photos):
    source, _ = photos
    split = ShownSplit.of_test(source.for_network(RECIPE))
    seen = Zoom(margin=4).views(split, torch.tensor([2]), torch.ones(1, 1))
    assert (seen.int() - split.pixels(torch.tensor([2])).int()).abs().max() <= 1


def test_squashed_photographs_have_windows_of_the_whole(photos):
    source, files = photos
    recipe = Preprocessing(24, 28, "bicubic", (0.5,) * 3, (0.25,) * 3, crop="squash")
    split = ShownSplit.of_test(source.for_network(recipe))
    seen = Zoom(margin=4, max_change=4).views(split, torch.tensor([1]), torch.tensor([[24 / 28]]))
    expected = Image.open(files[1]).resize((24, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(seen[0].permute(1, 2, 0).numpy(), np.asarray(expected))


def test_a_photograph_that_is_gone_is_an_error_that_names_it(photos):
    source, files = photos
    split = ShownSplit.of_test(source.for_network(RECIPE))
    files[1].write_bytes(b"not an image")
    with pytest.raises(ShiftbenchError, match=r"b\.png cannot be read \(not an image\)"):
        Zoom(margin=4).views(split, torch.tensor([1]), torch.ones(1, 1))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Zoom(about="center"), "did you mean 'centre'"),
        (lambda: Zoom(interpolation="nearest"), "bilinear, bicubic"),
        (lambda: Zoom(margin=0).plan(1, (32, 32)), "margin=0 does not fit"),
        (lambda: Zoom(margin=33).plan(1, (32, 32)), "allowed: 1 to 32"),
        (lambda: Zoom(margin=4, max_change=5).plan(1, (32, 32)), "allowed: 1 to 4"),
        (lambda: Zoom(margin=4, max_change=3, about="random").plan(1, (32, 32)), "1 to 2"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
