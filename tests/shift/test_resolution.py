"""Resolution: the same field of view at fewer pixels, enlarged again or as it is."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from shiftbench.api import measure
from shiftbench.data.imagenet import load
from shiftbench.data.images import TensorSplit
from shiftbench.data.shapes import load as load_shapes
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.predict.example_views import example_views
from shiftbench.predict.protocol import refuse
from shiftbench.predict.strips import strips
from shiftbench.preprocessing import Preprocessing
from shiftbench.shift.resolution import Resolution


def inputs(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def views(protocol, images, side):
    shifts = torch.full((len(images), 1), float(side))
    return protocol.views(ShownSplit.of(images), torch.arange(len(images)), shifts)


class Counts(nn.Module):
    """Logits that tell the height and the width of the view: the class is the height."""

    def forward(self, x):
        return nn.functional.one_hot(torch.full((len(x),), x.shape[2]), 40).float() * x.shape[3]


def sides(plan):
    return plan.shifts[:, 0].tolist()


def test_sizes_go_down_from_the_networks_input_in_even_steps():
    plan = Resolution().plan(2, (32, 32))
    assert sides(plan) == [32, 30, 28, 26, 24, 22, 20, 18, 16]
    assert plan.previous.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, -1]  # one step is two pixels more
    assert plan.meta["step"] == "2 px of the resolution"
    assert sides(Resolution(size=29, step=1).plan(2, (32, 40))) == [32, 31, 30, 29]


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 1, 28, 40)])
def test_views_are_reduced_and_enlarged_by_pillow(shape):
    images = inputs(*shape).float() / 255
    height, width = shape[2:]
    small = (round(20 * height / min(shape[2:])), round(20 * width / min(shape[2:])))
    reduced, back = (views(Resolution(back=state), images, 20) for state in (False, True))
    assert reduced.shape[2:] == small
    assert back.shape == images.shape
    for image, less, again in zip(images, reduced, back, strict=True):
        for channel, one, other in zip(image, less, again, strict=True):
            expected = Image.fromarray(channel.numpy()).resize(small[::-1], 3)
            assert np.abs(one.numpy() - np.asarray(expected)).max() < 1e-5  # sums in float32
            whole = np.asarray(expected.resize((width, height), 3))
            assert np.abs(other.numpy() - whole).max() < 2e-5


def test_the_base_view_is_the_image_and_a_constant_stays_one():
    images = inputs(2, 3, 32, 32)
    assert torch.equal(views(Resolution(), images, 32), images)
    flat = torch.full((1, 1, 32, 32), 77, dtype=torch.uint8)
    assert torch.equal(views(Resolution(), flat, 18), flat)


def test_the_network_runs_at_every_resolution():
    table = measure(Counts(), inputs(3, 3, 32, 32), [32] * 3, Resolution(back=False)).predictions
    assert table.top1.tolist() == [[int(side) for side in table.shifts[:, 0]]] * 3
    kept = measure(Counts(), inputs(3, 3, 32, 32), [32] * 3, Resolution()).predictions
    assert (kept.top1 == 32).all()


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_answers_at_several_sizes_are_those_of_single_views(batch_size):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images, protocol = inputs(3, 3, 24, 24), Resolution(size=20, step=1, back=False)
    table = measure(net, images, [0] * 3, protocol, batch_size=batch_size).predictions
    for column, side in enumerate(table.shifts[:, 0]):
        with torch.inference_mode():
            chance = net(views(protocol, images, side).float() / 255).softmax(1)
        assert table.top1[:, column].tolist() == chance.argmax(1).tolist()
        np.testing.assert_allclose(table.p_true[:, column], chance[:, 0], atol=1e-6)


def test_figures_show_all_sizes_alike():
    split, protocol = ShownSplit.of(inputs(4, 3, 32, 32)), Resolution(back=False)
    shown = example_views(split, protocol)
    assert shown["moved"].shape == (4, 32, 32, 3)
    strip = strips(split, protocol, [1], [[32], [16]])[1]
    assert np.array_equal(strip[0], split.pixels(torch.tensor([1]))[0].permute(1, 2, 0))
    small = views(protocol, inputs(4, 3, 32, 32), 16)[1].permute(1, 2, 0).numpy()
    assert np.array_equal(strip[1], small.repeat(2, 0).repeat(2, 1))


def test_a_network_that_does_not_take_every_size_is_refused():
    data = load_shapes(size=32, train_images=40, test_images=10)
    flat = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))
    refuse(Resolution(), data, flat)
    with pytest.raises(UsageError, match=r"views of 16×16.*shift.resolution.back=true"):
        refuse(Resolution(back=False), data, flat)


@pytest.mark.parametrize("squash", [False, True])
def test_photographs_are_reduced_once_from_the_file(tmp_path, monkeypatch, squash):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "photos" / "n01" / "a.png"
    file.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 44, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    (tmp_path / "wnids.txt").write_text("n01\nn02\n")
    recipe = Preprocessing(24, 28, "bicubic", (0.5,) * 3, (0.25,) * 3,
                           crop="squash" if squash else None)  # fmt: skip
    source = load(tmp_path / "photos", classes=tmp_path / "wnids.txt", workers=0)
    split = ShownSplit.of_test(source.for_network(recipe))
    index, shift = torch.tensor([0]), torch.tensor([[16.0]])
    seen = Resolution(back=False).views(split, index, shift)[0].permute(1, 2, 0).numpy()
    width, height = (44 * 24 / 28, 60 * 24 / 28) if squash else (44 * 24 / 28,) * 2
    left, top = (44 - width) / 2, (60 - height) / 2
    expected = Image.open(file).resize((16, 16), 3, (left, top, left + width, top + height))
    assert np.array_equal(seen, np.asarray(expected))
    base = Resolution().views(split, index, torch.tensor([[24.0]]))
    assert torch.equal(base, split.pixels(index))


def test_grey_images_of_a_split_are_taken():
    split = TensorSplit(inputs(2, 1, 28, 28), torch.zeros(2, dtype=torch.long))
    seen = Resolution().views(ShownSplit(split, (28, 28)), torch.tensor([1]), torch.tensor([[14]]))
    assert seen.shape == (1, 1, 28, 28)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Resolution(interpolation="nearest"), "bilinear, bicubic"),
        (lambda: Resolution(size=32).plan(1, (32, 32)), "a single resolution"),
        (lambda: Resolution(size=30, step=3).plan(1, (32, 32)), "a smaller step or size"),
        (lambda: Resolution(size=64).plan(1, (32, 32)), "allowed: 1 to 32 px"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
