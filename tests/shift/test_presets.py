"""The presets of published evaluations: their offsets and random draws, and runs with them."""

import importlib
import inspect
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from shiftbench.api import measure
from shiftbench.data.images import TensorSplit
from shiftbench.data.shapes import load
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.experiment.build import instantiate
from shiftbench.metric import METRICS
from shiftbench.ops.geometry import resize
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.example_views import example_views
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import refuse
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.figures.example_views import caption, protocol_figure
from shiftbench.settings.schema import CONFIG_DIR
from shiftbench.shift.circular import Circular
from shiftbench.shift.embed import Embed
from shiftbench.shift.peer import PEERS

FILES = sorted((CONFIG_DIR / "shift").glob("*.yaml"))


def preset(name, **changes):
    node = OmegaConf.load(CONFIG_DIR / "shift" / f"{name}.yaml")
    for key, value in changes.items():
        OmegaConf.update(node, key.replace("__", "."), value, force_add=False)
    return instantiate(node)


def moved(protocol, images, shifts, mean=None):
    """Return every image, shifted by its shift."""
    return protocol.views(ShownSplit.of(images, mean), torch.arange(len(images)), shifts)


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


def azulay_crops(images, side):
    """The windows of the released script, of images that are 10 px larger, as plain code."""
    center = int((images.shape[3] - side - 1) / 2)
    for c in range(center - 4, center + 4):
        yield (
            images[:, :, c : c + side, c : c + side],
            images[:, :, c + 1 : c + side + 1, c + 1 : c + side + 1],
        )


def azulay_objects(objects, side):
    """The pasted objects of the released script, on black, as plain code."""
    wide = objects.shape[3]
    center = int((side - wide - 1) / 2)
    for c in range(center - 4, center + 4):
        before, after = (objects.new_zeros(len(objects), 3, side, side) for _ in range(2))
        before[:, :, c : c + wide, c : c + wide] = objects
        after[:, :, c + 1 : c + wide + 1, c + 1 : c + wide + 1] = objects
        yield before, after


def steps_of(protocol, images):
    """Yield the views before and after every one-pixel step, in the order of the path."""
    plan = protocol.plan(len(images), tuple(images.shape[2:]))
    rows = plan.rows(0, len(images))
    pairs = [(int(before), after) for after, before in enumerate(plan.previous) if before >= 0]
    pairs.sort(key=lambda pair: float((rows[0, pair[1]] - rows[0, pair[0]]) @ rows[0, pair[0]]))
    for pair in pairs:
        yield tuple(moved(protocol, images, rows[:, column], [0.5] * 3) for column in pair)


@pytest.mark.parametrize("side", [224, 33])
def test_azulay_2019_shows_the_windows_of_the_released_script_step_by_step(side):
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    expected = list(azulay_crops(resize(images, (side + 10, side + 10), "bicubic"), side))
    shown = list(steps_of(preset("azulay2019_crop"), images))
    assert len(shown) == len(expected) == 8
    for pair, views in zip(expected, shown, strict=True):
        assert all(map(torch.equal, pair, views))


@pytest.mark.parametrize(("side", "wide"), [(224, 100), (33, 15), (32, 14)])
@pytest.mark.parametrize("name", ["azulay2019_black", "azulay2019_inpaint"])
def test_azulay_2019_pastes_objects_where_the_released_script_does(name, side, wide):
    images = torch.randint(1, 256, (2, 3, side, side), dtype=torch.uint8)
    expected = list(azulay_objects(resize(images, (wide, wide)), side))
    shown = list(steps_of(preset(name), images))
    assert len(shown) == len(expected) == 8
    for pair, views in zip(expected, shown, strict=True):
        for canvas, view in zip(pair, views, strict=True):
            inside = (canvas > 0).expand_as(view)  # no pixel of an object is 0
            assert torch.equal(view[inside], canvas[inside])
            assert name == "azulay2019_inpaint" or not view[~inside].any()


def test_half_pixel_shifts_are_those_of_the_released_code():
    images = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(3))
    protocol = preset("michaeli2023_half")
    for i, j in [(1, 1), (1, 31), (17, 4), (31, 30)]:
        # The published computation as plain code: every second sample of an image of twice the
        # size, with the spectrum halved at the original Nyquist frequency; shifts are up and left.
        spectrum = torch.fft.fftshift(torch.fft.fft2(images), dim=(2, 3))
        large = torch.zeros(1, 2, 65, 65, dtype=torch.complex64)
        edge = torch.ones(33)
        edge[[0, -1]] = 0.5
        wrapped = torch.cat([spectrum, spectrum[:, :, :1]], 2)
        wrapped = torch.cat([wrapped, wrapped[:, :, :, :1]], 3)
        large[:, :, 16:49, 16:49] = wrapped * edge[:, None] * edge
        large = torch.fft.ifftshift(large[:, :, :64, :64], dim=(2, 3))
        twice = torch.fft.ifft2(large).real * 4
        theirs = twice.roll((1 - 2 * i, 1 - 2 * j), (2, 3))[:, :, ::2, ::2]
        back = moved(protocol, images, -torch.tensor([[i - 0.5, j - 0.5]]))
        assert torch.allclose(back, theirs, atol=1e-5)


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


def zhang_loop(n_images, batch, seed):
    """The published loop as plain code: the window corners of every image, pass by pass."""
    stream = np.random.RandomState(seed)  # the stream of np.random.seed
    rows = [[] for _ in range(n_images)]
    for _ in range(5):
        for start in range(0, n_images, batch):
            pair = [stream.randint(32, size=2), stream.randint(32, size=2)]
            for n in range(start, min(start + batch, n_images)):
                rows[n] += [tuple(16 - offset) for offset in pair]
    return rows


def chaman_loop(n_images, batch, seed):
    stream = np.random.RandomState(seed)  # the stream of np.random.seed
    rows = [[] for _ in range(n_images)]
    for start in range(0, n_images, batch):
        pair = [stream.randint(-3, 3, 2), stream.randint(-3, 3, 2)]
        for n in range(start, min(start + batch, n_images)):
            rows[n] += [tuple(shift) for shift in pair]
    return rows


def rojas_loop(n_images, batch, seed):
    torch.manual_seed(seed)
    rows = [[] for _ in range(n_images)]
    for start in range(0, n_images, batch):
        pair = [torch.randint(-3, 3, (2,)) for _ in range(2)]
        for _ in range(2):
            torch.randint(-3, 3, (2,))  # draws of the circular metric
        for n in range(start, min(start + batch, n_images)):
            rows[n] += [tuple((-shift).tolist()) for shift in pair]
    return rows


@pytest.mark.parametrize(
    ("name", "loop", "side", "batch", "seed"),
    [
        ("zhang2019", zhang_loop, 224, 8, 3),
        ("zou2020", zhang_loop, 224, 256, 7),
        ("chaman2021", chaman_loop, 32, 256, 0),
        ("rojas2022", rojas_loop, 32, 256, 5),
    ],
)
@pytest.mark.parametrize("n_images", [1, 300])
def test_peer_draws_are_those_of_the_published_loop(name, loop, side, batch, seed, n_images):
    plan = preset(name, sampling__mode="peer", sampling__seed=seed).plan(n_images, (side, side))
    expected = loop(n_images, batch, seed)
    assert plan.shifts[:, 1:].tolist() == [[list(map(int, s)) for s in row] for row in expected]
    assert not plan.shifts[:, 0].any()
    assert plan.sampled.tolist() == [False] + [True] * (len(plan) - 1)
    assert (plan.previous == -1).all()
    peer = plan.meta["peer"]
    assert peer["batch"] == batch
    assert [k for group in peer["groups"] for k in group] == list(range(1, len(plan)))


class Tiny(nn.Module):
    """A strided convolution and a global maximum: any input size, not shift-invariant."""

    def __init__(self, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 6, 3, stride=2)
        self.fc = nn.Linear(6, 7)

    def forward(self, x):
        return self.fc(self.conv(x).relu().amax((2, 3)))


@pytest.mark.parametrize("name", ["chaman2021", "rojas2022"])
def test_the_peer_metric_is_the_plain_loop(name, tmp_path):
    images, labels = torch.rand(11, 3, 16, 16), torch.arange(11) % 7
    protocol = preset(name, sampling__mode="peer", sampling__batch=4, sampling__seed=1)
    model = Tiny().eval()
    table = measure(model, images, labels, protocol, mean=[0.5] * 3).predictions
    table.save(tmp_path / "table.npz")
    table = PredictionTable.load(tmp_path / "table.npz")
    shifts = protocol.plan(11, (16, 16)).shifts
    means, sizes = [], []
    for start in range(0, 11, 4):
        part = images[start : start + 4]
        views = [moved(protocol, part, shifts[start : start + 4, k], [0.5] * 3) for k in (1, 2)]
        first, second = (model(view - 0.5).argmax(1) for view in views)
        means.append(float((first == second).float().mean()))
        sizes.append(len(part))
    weights = sizes if name == "rojas2022" else None
    value = METRICS["peer_consistency"](table).value
    assert value == pytest.approx(np.average(means, weights=weights))
    assert table.meta["peer"]["name"] == name


def test_the_peer_metric_is_skipped_without_replayed_draws():
    rows = measure(Tiny(), torch.rand(3, 3, 8, 8), [0, 1, 2], Circular()).metrics
    assert "peer_consistency" not in set(rows["metric"])


def test_peer_draws_estimate_the_exact_expectation():
    images, labels = torch.rand(200, 3, 8, 8), torch.zeros(200, dtype=torch.long)
    exact = measure(Tiny(), images, labels, preset("chaman2021"), resamples=2).metrics
    peer = measure(
        Tiny(),
        images,
        labels,
        preset("chaman2021", sampling__mode="peer", sampling__batch=1),
        resamples=2,
    ).metrics
    expected = float(exact.loc[exact["metric"] == "pair_consistency", "value"].iloc[0])
    found = float(peer.loc[peer["metric"] == "peer_consistency", "value"].iloc[0])
    assert abs(found - expected) < 4 * (expected * (1 - expected) / 200) ** 0.5


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
