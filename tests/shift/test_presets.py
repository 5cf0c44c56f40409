"""The presets of published evaluations: their offsets, what is refused, and runs with them."""

import importlib
import inspect
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from presets import FILES, Tiny, moved, preset
from torch import nn

from shiftbench.api import measure
from shiftbench.data.images import TensorSplit
from shiftbench.data.shapes import load
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.example_views import example_views
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import refuse
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.figures.example_views import caption, protocol_figure
from shiftbench.shift.circular import Circular
from shiftbench.shift.embed import Embed
from shiftbench.shift.peer import PEERS


def square(axis):
    return {(float(y), float(x)) for y in axis for x in axis}


PUBLISHED = {
    # name: image side, set of offsets, whether the base view belongs to the set
    "zhang2019": (224, square(16 - np.arange(32)), True),
    "zou2020": (224, square(16 - np.arange(32)), True),
    "chaman2021": (32, square(range(-3, 3)), True),
    "rojas2022": (32, square(range(-2, 4)), True),
    "michaeli2023": (32, square(range(1, 32)), False),
    "michaeli2023_half": (32, square(np.arange(31) + 0.5), False),
    "saha2024": (32, square(range(-4, 5)), True),
    "hendrycks2019": (32, {(0.0, float(t)) for t in range(-7, 9)}, True),
    "azulay2019_crop": (224, {(float(t), float(t)) for t in range(-4, 5)}, True),
    "azulay2019_black": (224, {(float(t), float(t)) for t in range(-4, 5)}, True),
    "azulay2019_inpaint": (224, {(float(t), float(t)) for t in range(-4, 5)}, True),
    "engstrom2019": (
        32,
        set(product(np.arange(-3, 3.5, 1.5), np.arange(-3, 3.5, 1.5), np.arange(-30.0, 31, 2))),
        True,
    ),
    "azulay2019_scale": (224, {(float(s),) for s in range(100, 109)}, True),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_shows_exactly_the_published_offsets(name):
    side, expected, base = PUBLISHED[name]
    plan = preset(name).plan(7, (side, side))
    assert plan.exhaustive
    shown = [tuple(map(float, row)) for row in plan.shifts[plan.sampled].tolist()]
    assert len(shown) == len(set(shown))
    assert set(shown) == expected
    assert bool(plan.sampled[0]) is base
    if plan.shifts.shape[1] == 2:
        assert plan.shifts[0].tolist() == [0, 0]


def test_every_preset_is_one_of_the_published_and_every_file_is_known():
    own = {path.stem for path in FILES if OmegaConf.load(path)._target_.split(".")[2] == path.stem}
    assert own == {
        "circular", "translate", "crop", "embed", "rescale", "subpixel", "camera", "rotate",
        "rotate_translate", "zoom", "resolution",
    }  # fmt: skip
    assert {path.stem for path in FILES} - own == set(PUBLISHED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_holds_every_argument(path):
    node = OmegaConf.load(path)
    module, _, name = node._target_.rpartition(".")
    arguments = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert [key for key in node if key != "_target_"] == list(arguments)


def test_a_sequence_steps_along_its_path():
    plan = preset("hendrycks2019").plan(1, (32, 32))
    ends = (plan.previous >= 0).nonzero().squeeze(1)
    assert len(ends) == 15
    assert (plan.shifts[ends] - plan.shifts[plan.previous[ends]]).tolist() == [[0, 1]] * 15
    assert len(preset("azulay2019_black").plan(1, (32, 32)).previous.unique()) == 9


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "protocol",
    [
        preset("rojas2022"),
        preset("embed", fill="mean"),
        preset("azulay2019_black", fill="mean"),
        preset("rescale", fill="mean"),
    ],
    ids=lambda protocol: type(protocol).__name__,
)
def test_the_mean_colour_is_zero_once_it_is_normalised(protocol, dtype):
    mean, std = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]  # not integer pixel values
    images = torch.full((1, 3, 32, 32), 1, dtype=torch.uint8)  # a value far from the mean
    images = images if dtype == torch.uint8 else images.to(dtype) / 255
    network = PixelModel(nn.Identity(), mean, std, torch.device("cpu"))
    plan = protocol.plan(1, (32, 32))
    views = moved(protocol, images, plan.rows(0, 1)[:, 1], mean)
    values = network.normalise(views).flatten(2)[0]
    darkest = network.normalise(images.float() / (255 if dtype == torch.uint8 else 1))[0, :, 0, 0]
    for channel, dark in zip(values, darkest, strict=True):
        filled = (channel - dark).abs() > 0.1
        assert filled.any()
        assert not filled.all()
        assert channel[filled].tolist() == [0.0] * int(filled.sum())


def test_what_is_not_filled_keeps_its_pixels():
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    views = moved(preset("rojas2022"), images, torch.tensor([[3, -2]] * 2), [0.49, 0.48, 0.45])
    assert views.dtype == torch.float32
    assert torch.equal(views[:, :, 3:, :14], images[:, :, :13, 2:].float() / 255)


@pytest.fixture(scope="module")
def shapes():
    return load(size=36, train_images=40, test_images=10)


@pytest.mark.parametrize("name", [path.stem for path in FILES])
@pytest.mark.parametrize("engine", ["direct", "auto"])
def test_every_protocol_runs_end_to_end(shapes, name, engine, tmp_path):
    split = TensorSplit(shapes.test.images[:2], shapes.test.labels[:2])
    split = shapes.test if name == "camera" else split
    net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3 * 81, 10)).eval()
    network = PixelModel(net, shapes.mean, shapes.std, torch.device("cpu"))
    protocol = preset(name)
    refuse(protocol, shapes, net)
    table = predict(network, split, shapes.image_shape, protocol, Options(engine), mean=shapes.mean)
    assert np.isfinite(table.p_top1).all()
    assert table.n_shifts >= 2
    table.save(tmp_path / "t.npz")
    assert PredictionTable.load(tmp_path / "t.npz").meta["protocol"]["name"]


@pytest.mark.parametrize("name", [path.stem for path in FILES if path.stem != "camera"])
def test_every_protocol_takes_one_grey_image(name):
    images = torch.randint(0, 256, (1, 1, 35, 33), dtype=torch.uint8)
    protocol = preset(name)
    if name in ("zhang2019", "zou2020", "michaeli2023", "michaeli2023_half"):
        protocol = replace(protocol, sampling="draws")
    table = measure(Tiny(1), images, [0], protocol, mean=[0.5], resamples=2).predictions
    assert table.n_images == 1


def test_a_camera_without_scenes_is_refused(shapes):
    with pytest.raises(UsageError, match="only data=shapes"):
        measure(Tiny(), torch.rand(2, 3, 16, 16), [0, 1], preset("camera"))


def test_a_canvas_that_the_network_does_not_take_is_refused_without_a_trace(shapes):
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36 * 36, 10))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    refuse(Embed(), shapes, net)
    with pytest.raises(UsageError, match="views of 48×48"):
        refuse(Embed(canvas=48), shapes, net)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    refuse(Embed(canvas=48), shapes, Tiny())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Circular(sampling="peer").plan(1, (32, 32)), "shift peer=None"),
        (lambda: Circular(peer="zang2019").plan(1, (32, 32)), "did you mean 'zhang2019'"),
        (lambda: Circular(batch=0).plan(1, (32, 32)), "batch=0"),
        (lambda: Circular(offsets=[0, 32]).plan(1, (32, 32)), "at most 32 offsets"),
        (lambda: Circular(offsets=[3, 1]), "smaller first"),
        (lambda: Circular(offsets=[0.5, 1]), "two whole numbers"),
        (lambda: preset("crop", base="center"), "did you mean 'centre'"),
        (lambda: preset("embed", base="edge"), "centre, before_centre"),
        (
            lambda: moved(preset("rojas2022"), torch.zeros(1, 3, 8, 8), torch.ones(1, 2)),
            "fill=mean",
        ),
        (lambda: preset("saha2024", offsets=[-32, 0]).plan(1, (32, 32)), "allowed: −31 to 31"),
        (lambda: preset("michaeli2023").plan(1, (28, 28)), "does not fit images of 28×28"),
        (lambda: preset("michaeli2023", sampling__mode="path").plan(1, (32, 32)), "sampling=path"),
    ],
)
def test_what_cannot_apply_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()


def test_draws_of_a_set_without_the_base_never_draw_it():
    plan = preset(
        "michaeli2023", sampling__mode="draws", sampling__draws=8, sampling__steps=4
    ).plan(50, (32, 32))
    assert (plan.shifts[:, 1:] >= 1).all()
    ends = (plan.previous >= 0).nonzero().squeeze(1)
    assert len(ends) == 4
    assert torch.equal(plan.shifts[:, plan.previous[ends]] + 1, plan.shifts[:, ends])


def test_every_peer_has_a_preset():
    for name in PEERS:
        assert preset(name).sampling.peer == name


@pytest.mark.parametrize("name", ["crop", "camera", "rescale", "embed"])
def test_pictures_of_what_the_network_sees(shapes, name, tmp_path):
    protocol = preset(name)
    views = example_views(ShownSplit.of_test(shapes), protocol, 2)
    assert views["base"].shape == views["moved"].shape == (2, 36, 36, 3)
    assert np.abs(views["base"] - views["moved"]).max() > 0
    captions = [caption(shift, protocol.axes) for shift in views["shifts"].tolist()]
    for path in ("a.png", "b.png"):
        grey = (views["base"][..., :1], views["moved"][..., :1])
        protocol_figure(*grey, tmp_path / path, title=name, captions=captions)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["chaman2021", "michaeli2023", "circular"])
def test_the_dense_engine_answers_for_presets_too(name):
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, padding_mode="circular")
    net = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    images, labels = torch.rand(3, 3, 32, 32), [0, 1, 2]
    protocol = preset(name, sampling__mode="all")
    dense, direct = (
        measure(net, images, labels, protocol, engine=engine, resamples=2).predictions
        for engine in ("dense", "direct")
    )
    assert dense.meta["engine"] == "dense"
    for array in ("top1", "shifts", "sampled", "previous", "labels"):
        assert np.array_equal(getattr(dense, array), getattr(direct, array)), array
    assert np.allclose(dense.p_previous, direct.p_previous, atol=1e-5, equal_nan=True)
