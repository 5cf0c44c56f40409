"""External networks in a run: what is kept, what is changed, what is refused."""

import functools
import json
import logging
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.experiment import external_model
from shiftbench.model.external import Foreign, made
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, NoPool2d
from shiftbench.pool.native import Native
from shiftbench.preprocessing import Preprocessing

SHAPE = (3, 32, 32)


class Net(nn.Module):
    """A stem of stride 2, a strided block, global average pooling."""

    def __init__(self, num_classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.fc = nn.Linear(6, num_classes)
        self.fc.weight.requires_grad_(False)

    def forward(self, x):
        return self.fc(self.block(self.stem(x)).mean((2, 3)))


@dataclass(frozen=True)
class Source(Foreign):
    num_classes: int = 5

    def network(self, num_classes, in_chans):
        return Net(self.num_classes)


def load_external_model(
    pool=Native, padding="zeros", weights=None, classes=5, shape=SHAPE, **source
):
    pool = functools.partial(pool)
    return external_model.load_external_model(
        Source(**source), classes, shape, pool, padding, weights
    ).eval()


@pytest.fixture
def weights(tmp_path):
    net = Net()
    torch.save({"state_dict": net.state_dict()}, tmp_path / "theirs.pth")
    return net.eval(), tmp_path / "theirs.pth"


@pytest.mark.parametrize("how", ["checkpoint", "model.weights"])
def test_native_leaves_the_network_as_it_is(weights, how):
    original, path = weights
    source, given = (Source(), path) if how == "checkpoint" else (Source(weights=str(path)), None)
    network = external_model.load_external_model(source, 5, SHAPE, Native, "zeros", given).eval()
    x = torch.rand(2, *SHAPE)
    assert torch.equal(network(x), original(x))


def test_what_its_maker_froze_stays_frozen_and_is_said(caplog):
    with caplog.at_level(logging.INFO, "shiftbench"):
        network = load_external_model()
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen == ["fc.weight"]
    assert "1 of 8 parameter tensors" in caplog.text


@dataclass(frozen=True)
class Made(Foreign):
    make: object = None

    def network(self, num_classes, in_chans):
        return made("it", self.make)


class Two(Net):
    def forward(self, x):
        return {"logits": super().forward(x), "features": x}


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))


def lazy_on_grey():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(5))


def function():
    net = Net()
    return lambda x: net(x)


@pytest.mark.parametrize("make", [Two, lazy, function, lambda: Net().double()])
def test_networks_of_other_kinds_answer_logits_and_train(make):
    network = external_model.load_external_model(Made(make=make), 5, SHAPE, Native, "zeros", None)
    assert all(module.training for module in network.modules())
    dtype = next(network.parameters()).dtype
    logits = network(torch.rand(2, *SHAPE, dtype=dtype))
    assert logits.shape == (2, 5)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_lazy_layers_take_weights_from_a_file(tmp_path):
    source = external_model.load_external_model(Made(make=lazy), 5, SHAPE, Native, "zeros", None)
    torch.save(source.state_dict(), tmp_path / "theirs.pth")
    again = external_model.load_external_model(
        Made(make=lazy), 5, SHAPE, Native, "zeros", tmp_path / "theirs.pth"
    )
    x = torch.rand(2, *SHAPE)
    assert torch.equal(source.eval()(x), again.eval()(x))


@pytest.mark.parametrize(
    ("make", "pool", "padding", "sentence"),
    [
        (function, BlurPool2d, "zeros", "returned a function, whose layers cannot be replaced"),
        (function, Native, "circular", "returned a function, whose layers cannot be replaced"),
        (lazy_on_grey, Native, "zeros", "first batch do not take images of 3×32×32"),
        (lambda: nn.Conv2d(3, 5, 1), Native, "zeros", r"returned shape \(1, 5, 32, 32\)"),
    ],
)
def test_what_cannot_be_measured_or_changed_is_refused(make, pool, padding, sentence):
    with pytest.raises(ShiftbenchError, match=sentence):
        external_model.load_external_model(Made(make=make), 5, SHAPE, pool, padding, None)


@pytest.mark.parametrize("stem", [False, True])
def test_a_pool_replaces_the_downsampling_and_says_so(weights, stem, caplog):
    original, path = weights
    with caplog.at_level(logging.INFO, "shiftbench"):
        network = load_external_model(BlurPool2d, weights=path, stem=stem)
    x = torch.rand(2, *SHAPE)
    assert not torch.allclose(network(x), original(x))
    assert torch.equal(network.fc.weight, original.fc.weight)
    blurs = [module for module in network.modules() if isinstance(module, BlurPool2d)]
    assert len(blurs) == 1 + stem
    assert "block.0" in caplog.text


def test_weights_trained_after_the_change_fit_again(tmp_path):
    changed = load_external_model(BlurPool2d)
    torch.save(changed.state_dict(), tmp_path / "ours.pt")
    again = load_external_model(BlurPool2d, weights=tmp_path / "ours.pt")
    x = torch.rand(2, *SHAPE)
    assert torch.equal(changed(x), again(x))


def test_circular_borders_and_aps_make_it_invariant(caplog):
    with caplog.at_level(logging.INFO, "shiftbench"):
        network = load_external_model(AdaptivePolyphase2d, padding="circular", stem=True)
    x = torch.rand(2, *SHAPE)
    torch.testing.assert_close(network(x.roll((1, 3), (2, 3))), network(x))
    assert "padding=circular" in caplog.text


def test_anchoring_and_circular_borders_make_it_invariant(weights, caplog):
    original, path = weights
    with caplog.at_level(logging.INFO, "shiftbench"):
        network = load_external_model(padding="circular", weights=path, anchor=True)
    x = torch.rand(2, *SHAPE)
    for shift in [(1, 0), (0, 3), (17, 30)]:
        torch.testing.assert_close(network(x.roll(shift, (2, 3))), network(x))
    assert not torch.allclose(original(x.roll(1, 2)), original(x))
    assert "stem.0: Conv2d 3×3, stride 2 -> anchored to period 2" in caplog.text
    assert "stem.0: its own border, and those of 1 more, kept" in caplog.text
    assert torch.equal(network.fc.weight, original.fc.weight)


def test_anchoring_keeps_the_networks_own_downsampling():
    with pytest.raises(UsageError, match=r"model\.anchor=true .* pool=blur replaces; leave one"):
        external_model.refuse(BlurPool2d, "blur", None, "circular", anchor=True)
    external_model.refuse(Native, "native", None, "circular", anchor=True)
    external_model.refuse(BlurPool2d, "blur", None, "circular", anchor=False)


@pytest.mark.parametrize(
    ("pool", "head", "padding", "sentence"),
    [
        (NoPool2d, None, "zeros", r"pool=it .*model=vgg or model=resnet"),
        (Native, "gap", "zeros", "head=gap cannot be given"),
        (Native, None, "reflect", "allowed: zeros .*circular"),
    ],
)
def test_what_only_our_networks_take_is_refused(pool, head, padding, sentence):
    with pytest.raises(UsageError, match=sentence):
        external_model.refuse(functools.partial(pool), "it", head, padding)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"classes": 10}, r"answers 5 classes and the data has 10.*model\.weights=null"),
        ({"shape": (1, 28, 28)}, r"does not take images of 1×28×28"),
    ],
)
def test_images_and_classes_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        load_external_model(**settings)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ShiftbenchError, match="does not fit this network"):
        load_external_model(weights=tmp_path / "other.pth")


def toy(channels=3):
    split = TensorSplit(torch.zeros(2, channels, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    own = ((0.4,) * channels, (0.3,) * channels)
    return Dataset("toy", ("a", "b"), (channels, 8, 8), *own, split, split, split)


def test_the_networks_normalisation_counts_where_it_is_known():
    known = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    assert external_model.prepared(toy(), known).mean == (0.1, 0.2, 0.3)
    assert external_model.prepared(toy(), Preprocessing(size=8)).mean == (0.4,) * 3
    assert external_model.prepared(toy(), None).mean == (0.4,) * 3
    with pytest.raises(UsageError, match=r"3 channels and the images have 1"):
        external_model.prepared(toy(channels=1), known)


KNOWN = Preprocessing(224, 235, "bicubic", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("recipe", "normalisation", "mean", "line"),
    [
        (None, "data", [0.4] * 3, None),
        (
            Preprocessing(), "data", [0.4] * 3,
            "not known; the data's own mean and standard deviation are used (mean 0.4 0.4 0.4, "
            "std 0.3 0.3 0.3), images stay at 8 px",
        ),
        (
            KNOWN, "network", [0.1, 0.2, 0.3],
            "224 px of 235, bicubic, mean 0.1 0.2 0.3, std 1 1 1; images stay at 8 px",
        ),
    ],
)  # fmt: skip
def test_what_is_done_to_images_is_kept_and_said(recipe, normalisation, mean, line, caplog):
    data = external_model.prepared(toy(), recipe).to(torch.device("cpu"))
    assert data.preprocessing["normalisation"] == normalisation
    assert data.preprocessing["mean"] == mean
    assert data.preprocessing["size"] == 8
    assert data.preprocessing["resize"] is None
    assert json.loads(json.dumps(data.preprocessing)) == data.preprocessing
    if recipe is not None:
        with caplog.at_level(logging.INFO, "shiftbench"):
            external_model.announce(recipe, data)
        assert caplog.messages == [f"preprocessing of the network: {line}"]


def test_layers_of_a_scripted_network_cannot_be_replaced():
    with pytest.warns(FutureWarning, match="deprecated"):
        scripted = torch.jit.script(Net())
    with pytest.raises(ShiftbenchError, match=r"^the network \(.*\) is TorchScript"):
        external_model.replace_downsampling(
            scripted, functools.partial(BlurPool2d), image_shape=SHAPE
        )
