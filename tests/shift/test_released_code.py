"""The presets against the code that the publications released: windows, draws and metrics."""

import numpy as np
import pytest
import torch
from presets import Tiny, moved, preset

from shiftbench.api import measure
from shiftbench.metric import METRICS
from shiftbench.ops.geometry import resize
from shiftbench.prediction_table import PredictionTable
from shiftbench.shift.circular import Circular


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
