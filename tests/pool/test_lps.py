"""Learned polyphase sampling: ratings, noise, temperature, and exactness under every shift."""

import pytest
import torch
import torch.nn.functional as F
from exact_networks import assert_exact
from toy_training import Silent, dataset

from shiftbench.api import measure
from shiftbench.augment.crop import CropAugment
from shiftbench.errors import UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.head.gmp import GlobalMaxHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.pool import LearnedPolyphase2d, StepStart
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.settings.schema import Train
from shiftbench.surgery import circular, replace_downsampling
from shiftbench.training.trainer import Trainer


def pool(channels=8, padding="circular", **settings):
    torch.manual_seed(0)
    made = LearnedPolyphase2d(channels, padding=padding, **settings).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.eval()


def maps(size=(8, 8), channels=8, count=6):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, *size, generator=draw, dtype=torch.float64)


def components(x):
    return [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def start(progress, batch=6, seed=0):
    return StepStart(progress, batch, slice(None), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("width", "hidden"), [(0.125, 1), (0.5, 4), (1.0, 8), (0.0, 1)])
def test_every_component_is_rated_by_the_same_network(width, hidden):
    made, x = pool(selector_width=width), maps()
    first, second = made.selector.first.weight, made.selector.second.weight
    assert first.shape == (hidden, 8, 3, 3)
    assert second.shape == (hidden, hidden, 3, 3)
    rated = []
    for one in components(x):
        inner = F.relu(F.conv2d(F.pad(one, (1, 1, 1, 1), mode="circular"), first))
        outer = F.conv2d(F.pad(inner, (1, 1, 1, 1), mode="circular"), second)
        rated.append(outer.mean((1, 2, 3)))
    torch.testing.assert_close(made.ratings(x), torch.stack(rated, 1))


def test_the_component_with_the_highest_rating_is_kept():
    made, x = pool(), maps()
    best = made.ratings(x).argmax(1).tolist()
    assert len(set(best)) > 1
    for image, grid in enumerate(best):
        assert torch.equal(made(x)[image], components(x)[grid][image])


@pytest.mark.parametrize("filter_size", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (4, 12)])
def test_every_circular_shift_keeps_the_same_values(size, filter_size):
    made, x = pool(filter_size=filter_size), maps(size)
    kept = made(x).flatten(1).sort(1).values
    for dy in range(size[0]):
        for dx in range(size[1]):
            moved = made(x.roll((dy, dx), (2, 3))).flatten(1).sort(1).values
            torch.testing.assert_close(moved, kept, rtol=0, atol=0 if filter_size == 1 else 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("head", [GlobalAverageHead, GlobalMaxHead])
@pytest.mark.parametrize("model", [VGG, ResNet])
@pytest.mark.parametrize("engine", ["dense", "direct"])
def test_a_network_with_random_weights_is_exact_under_every_shift(model, head, engine):
    assert_exact(model, LearnedPolyphase2d, head, engine)


def test_with_zero_padding_it_is_not_exact():
    made, x = pool(padding="zeros"), maps(count=64)
    grids = [made.phase(x.roll(shift, (2, 3))) for shift in [(0, 0), (2, 0), (4, 4)]]
    assert not all(torch.equal(grids[0], other) for other in grids[1:])


def test_in_training_it_is_the_mixture_of_all_components():
    made, x = pool().train(), maps()
    made.start_step(start(0.0))
    weights = made.phase(x)
    assert weights.shape == (6, 4)
    torch.testing.assert_close(weights.sum(1), torch.ones(6, dtype=torch.float64))
    expected = sum(
        weights[:, grid, None, None, None] * one for grid, one in enumerate(components(x))
    )
    torch.testing.assert_close(made(x), expected)


def test_with_the_noise_of_gumbel_each_component_leads_as_often_as_the_softmax_says():
    made, count = pool().train(), 20000
    ratings = made.ratings(maps(count=1))
    ratings = ratings - ratings.mean() + torch.tensor([0.0, 1.0, -1.0, 0.5])
    made.start_step(start(0.0, count))
    made.ratings = lambda x: ratings.expand(count, -1)
    leads = made.phase(maps(count=1)).argmax(1).bincount(minlength=4) / count
    torch.testing.assert_close(leads, ratings.softmax(1)[0].float(), rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("progress", "temperature"), [(0, 1), (0.455, 0.025**0.5), (0.91, 0.025), (0.999, 0.025)]
)
def test_the_temperature_falls_with_the_steps(progress, temperature):
    made = LearnedPolyphase2d(4)
    made.start_step(start(progress))
    assert float(made.current_temperature) == pytest.approx(temperature)
    assert "current_temperature" not in made.state_dict()


def test_the_published_schedule_of_epochs_is_the_one_of_steps():
    made = LearnedPolyphase2d(4)
    for epoch in (0, 50, 120, 200, 249):
        made.start_step(start(epoch / 250))
        published = max(0.025, 0.85 ** (epoch / 10))
        assert float(made.current_temperature) == pytest.approx(published, rel=0.02)


def test_a_step_writes_in_place_so_that_a_captured_one_sees_it():
    made = LearnedPolyphase2d(4)
    made.start_step(start(0.1))
    addresses = made.current_temperature.data_ptr(), made._uniform.data_ptr()
    before = made._uniform.clone()
    made.start_step(start(0.5, seed=1))
    assert (made.current_temperature.data_ptr(), made._uniform.data_ptr()) == addresses
    assert not torch.equal(made._uniform, before)


def test_a_shortcut_has_no_selector_and_says_so():
    torch.manual_seed(0)
    net = ResNet(4, 3, (16, 16), LearnedPolyphase2d, GlobalAverageHead, "circular", width=8)
    names = [name for name, _ in net.named_parameters() if "selector" in name]
    assert len(names) == 4  # two convolutions at each of two steps
    assert not any("shortcut" in name for name in names)
    shortcut = next(block.shortcut_pool for block in net.blocks if block.shortcut_pool)
    with pytest.raises(UsageError, match="in a shortcut selects no grid"):
        shortcut(torch.zeros(1, 8, 4, 4))


SETTINGS = Train(epochs=3, batch_size=20, lr=0.1)


def trained(path, watcher=None, seed=0):
    torch.manual_seed(seed)
    model = VGG(2, 3, (8, 8), LearnedPolyphase2d, GlobalAverageHead, "circular", width=4,
                downsamplings=2)  # fmt: skip
    net = PixelModel(model, (0.4,) * 3, (0.2,) * 3, torch.device("cpu"))
    Trainer(net, dataset(), CropAugment(1), SETTINGS, seed=0, path=path, train_id="r",
            watcher=watcher or Silent()).run()  # fmt: skip
    return model


def test_a_stopped_training_ends_with_the_same_weights_and_a_trained_network_is_exact(tmp_path):
    class Stop(Silent):
        def epoch(self, row):
            if row.epoch == 2:
                raise KeyboardInterrupt

    whole = trained(tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts.pt", Stop())
    parts = trained(tmp_path / "parts.pt", seed=5)
    states = whole.state_dict().values(), parts.state_dict().values()
    assert all(map(torch.equal, *states))

    images = torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    result = measure(whole.double().eval(), images, [0, 1, 0, 1], "circular", resamples=2)
    assert result.metrics.set_index("metric").value["exact_fraction"] == 1


@pytest.mark.slow
def test_rewritten_networks_share_the_grid_and_are_exact():
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = models.resnet18(num_classes=4).double().eval()
    net, _ = replace_downsampling(net, LearnedPolyphase2d, "circular", stem=True)
    net, _ = circular(net)
    net = net.double()
    selectors = [name for name, part in net.named_modules() if name.endswith("selector")]
    assert len(selectors) == 5  # the stem, the maximum, and the main branch of three stages
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        logits = torch.stack([net(x.roll((d, 3 * d), (2, 3))) for d in range(8)])
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0}, {"final_temperature": 2}, {"filter_size": 8}, {"selector_width": -1}],
    ids=str,
)
def test_it_refuses_what_it_cannot_do(settings):
    with pytest.raises(UsageError, match="allowed"):
        LearnedPolyphase2d(4, **settings)


def test_it_answers_in_the_type_that_it_is_given():
    x = torch.randn(2, 8, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        for made in (LearnedPolyphase2d(8), LearnedPolyphase2d(8).eval()):
            assert made(x).dtype == torch.bfloat16
