"""External networks through the command line: their defaults, what is refused, a run."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.runs.identity import Identity
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import names
from shiftbench.settings.schema import CONFIG_DIR, register

MODULE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes=10, width=4):
        super().__init__(
            nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes),
        )
"""
OTHERS = """
import torch
from torch import nn

class Frozen(nn.Sequential):
    def __init__(self, num_classes=10):
        super().__init__(nn.Flatten(), nn.Linear(3 * 256, num_classes))
        self.requires_grad_(False)

class Views(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.last = nn.LazyConv2d(4, 3, 2), nn.LazyLinear(num_classes)

    def forward(self, x):
        y = self.conv(x).relu()
        return {"logits": self.last(y.view(y.size(0), -1)), "maps": y}

def mean_colour(num_classes=10):
    return lambda x: torch.cat([x.mean((2, 3)), x.new_zeros(len(x), num_classes - 3)], 1)
"""
SEEN = "model.preprocessing={size: 24, mean: [0.5,0.5,0.5], std: [0.25,0.25,0.25]}"


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        yield lambda *overrides: compose("config", list(overrides))


def named(config, **choices):
    given = {"data": "shapes", "model": "vgg", "pool": "max", "augment": "none", "train": "none"}
    return names(config, {**given, **choices}, [CONFIG_DIR])


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(3):
        folder = tmp_path / "photos" / f"n0{number}"
        folder.mkdir(parents=True)
        for name in "ab":
            pixels = generator.integers(0, 256, (40, 33, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}.png")
    (tmp_path / "wnids.txt").write_text("n00\nn01\nn02\n")
    (tmp_path / "somebodys_nets.py").write_text(MODULE)
    (tmp_path / "nets_of_other_kinds.py").write_text(MODULE + OTHERS)
    return tmp_path


@pytest.mark.parametrize("model", ["torchvision", "timm", "import"])
def test_the_networks_own_downsampling_stays_unless_told(composed, model):
    assert composed(f"model={model}").pool._target_.endswith("native.Native")
    for order in ([f"model={model}", "pool=blur"], ["pool=blur", f"model={model}"]):
        assert composed(*order).pool._target_.endswith("BlurPool2d")
    assert composed("model=resnet").pool._target_.endswith("MaxPool2d")


def test_photographs_are_not_trained_on_unless_told(composed):
    assert composed("data=imagenet").train.epochs == 0
    assert composed("data=imagenet", "train=quick").train.epochs == 6
    assert composed("data=shapes").train.epochs == 6


def test_the_experiment_leaves_the_choice_of_pool_and_network(composed):
    experiment = ["experiment=azulay_weiss_imagenet", "scale=smoke"]
    assert composed(*experiment).pool._target_.endswith("native.Native")
    other = composed(*experiment, "model=import", "model.weights=mine.pth", "pool=blur")
    assert other.model._target_.endswith("ImportedNetwork")
    assert (other.model.weights, other.train.epochs) == ("mine.pth", 0)
    protocols = build.protocols(other)
    assert {p.plan(1, (224, 224)).shifts.shape[0] for p in protocols.values()} == {9}


@pytest.mark.parametrize(
    ("overrides", "choices", "label"),
    [
        (["model=torchvision", "model.name=resnet50", "model.weights=a/b/r50.pth"],
         {"model": "torchvision"}, "torchvision[name=resnet50,weights=r50]"),
        (["model=import", "model.target=a.b", "model.name=net", "model.stem=true", SEEN],
         {"model": "import"}, "import[name=net,stem=True]"),
        (["model=import", "model.target=a.b"], {"model": "import"}, "import[target=a.b]"),
    ],
)  # fmt: skip
def test_labels_are_short_and_hold_no_path(composed, overrides, choices, label):
    assert named(composed(*overrides), **choices).model == label
    assert named(composed(*overrides), **choices).head == "own"


def test_a_file_of_weights_counts_by_its_content(composed, tmp_path):
    ids = []
    for content, path in [(1, "a.pth"), (1, "b.pth"), (2, "a.pth")]:
        torch.save({"x": torch.tensor(content)}, tmp_path / "same.pth")
        (tmp_path / "same.pth").rename(tmp_path / path)
        os.utime(tmp_path / path, ns=(content, len(ids)))
        config = composed("model=torchvision", f"model.weights={tmp_path / path}")
        ids.append(Identity.of(config, named(config)).settings["model.weights"])
    assert ids[0] == ids[1] != ids[2]
    with pytest.raises(UsageError, match="cannot be read"):
        config = composed("model=torchvision", f"model.weights={tmp_path / 'none.pth'}")
        Identity.of(config, named(config))
    config = composed("model=torchvision", "model.weights=DEFAULT")
    assert Identity.of(config, named(config)).settings["model.weights"] == "DEFAULT"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["pool=native"], r"model=vgg has none but its pool's; name another, e.g. pool=max"),
        (["model=torchvision", "model.name=alexnet", "pool=global"], "pool=global takes out all"),
        (["model=torchvision", "model.name=alexnet", "head=gap"], "head=gap cannot be given"),
        (["model=torchvision", "model.name=alexnet", "padding=reflect"], "allowed: zeros"),
        (["model=torchvision"], r"give model\.name=resnet50"),
        (["model=torchvision", "model.name=alexnet"], "does not take images of 3×16×16"),
        (["data=imagenet", "data.root={root}", "model=vgg"], "use model=torchvision, timm"),
        (["data=imagenet", "data.root={root}", "train=quick"], r"testing only.*give train=none"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(composed, photos, overrides, sentence):
    overrides = [item.replace("{root}", str(photos / "photos")) for item in overrides]
    if "data=imagenet" in overrides:
        overrides.append(f"data.classes={photos / 'wnids.txt'}")
    else:
        overrides += ["data.size=16", "data.train_images=20", "data.test_images=10"]
    config = composed(*overrides)
    choices = dict(item.split("=") for item in overrides if "." not in item)
    choices.pop("padding", None)
    with pytest.raises(UsageError, match=sentence) as caught:
        build.model(config, named(config, **choices), build.dataset(config))
    assert "\n" not in str(caught.value)


SMALL = ("data.size=16", "data.train_images=20", "data.test_images=10")


@pytest.fixture
def theirs(photos, monkeypatch):
    monkeypatch.syspath_prepend(str(photos))
    return lambda name: ["model=import", f"model.target=nets_of_other_kinds.{name}", *SMALL]


@pytest.mark.parametrize("name", ["Frozen", "mean_colour"])
def test_what_has_nothing_to_train_is_refused_in_training_only(composed, theirs, name):
    config = composed(*theirs(name))
    with pytest.raises(UsageError, match=r"no parameter to train.*give train=none"):
        build.model(config, named(config, model="import"), build.dataset(config))
    config = composed(*theirs(name), "train=none")
    build.model(config, named(config, model="import"), build.dataset(config))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model=vgg", "train=none"], "weights: drawn from seed 0, not trained"),
        (["model=vgg", "train=none", "seed=3"], "weights: drawn from seed 3, not trained"),
        (["model=vgg"], None),
        (["model=torchvision", "model.name=resnet18", "train=none"], "drawn from seed 0, not"),
        (["model=torchvision", "model.name=resnet18"], None),
    ],
)
def test_weights_that_nobody_trained_are_said(composed, caplog, overrides, line):
    config = composed(*overrides, *SMALL)
    with caplog.at_level("INFO", "shiftbench"):
        build.model(config, named(config), build.dataset(config))
    weights = [message for message in caplog.messages if message.startswith("weights")]
    assert len(weights) == (line is not None)
    assert line is None or line in weights[0]


def test_what_a_target_leaves_in_a_network_is_said(composed, theirs, caplog):
    config = composed(*theirs("Net"), "train=none")
    with caplog.at_level("INFO", "shiftbench"):
        build.model(config, named(config, model="import"), build.dataset(config))
    assert "weights: those that the target leaves in the network" in caplog.text


def test_the_second_job_with_the_same_data_says_what_is_done_to_images(composed, theirs, caplog):
    config = composed(*theirs("Net"))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("INFO", "shiftbench"):
            build.dataset(config)
        assert "not known; the data's own mean" in caplog.text
        assert "images stay at 16 px" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("train", ["train=none", "train.epochs=1"])
def test_a_lazy_network_that_views_and_returns_a_dict_runs(
    photos, shiftbench_command, theirs, train
):
    done = shiftbench_command(
        *theirs("Views"), train, "shift=translate", "shift.translate.max_shift=1",
        "measure.resamples=20", "figures=false", cwd=photos,
        env={"PYTHONPATH": str(photos), "SHIFTBENCH_CACHE": str(photos / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [log] = (photos / "outputs" / "runs").glob("*/run.log")
    assert "contiguous memory" in log.read_text()


@pytest.mark.slow
def test_a_run_on_photographs_from_start_to_figures(photos, shiftbench_command):
    weights = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    torch.save({"state_dict": weights.state_dict()}, photos / "theirs.pth")
    done = shiftbench_command(
        "data=imagenet", "data.root=photos", "data.classes=wnids.txt", "data.workers=0",
        "model=import", "model.target=somebodys_nets.Net", "model.kwargs={width: 4}",
        "model.weights=theirs.pth", SEEN, "pool=blur", "padding=circular",
        "shift=[azulay2019_crop,azulay2019_black,azulay2019_scale]",
        "shift.azulay2019_crop.margin=8", "shift.azulay2019_crop.steps=4",
        "shift.azulay2019_black.steps=4", "shift.azulay2019_scale.steps=4",
        "measure.resamples=20", cwd=photos,
        env={"PYTHONPATH": str(photos), "SHIFTBENCH_CACHE": str(photos / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [run] = (photos / "outputs" / "runs").iterdir()
    metrics = pd.read_csv(run / "metrics.csv")
    assert set(metrics["protocol"]) == {"azulay2019_crop", "azulay2019_black", "azulay2019_scale"}
    assert set(metrics["pool"]) == {"blur"}
    assert (metrics.loc[metrics["metric"] == "top1_change", "n_images"] == 6).all()
    assert (run / "figures" / "views_azulay2019_crop.png").is_file()
    assert (run / "layers.csv").is_file()
    log = (run / "run.log").read_text()
    assert "preprocessing of the network: 24 px" in log
    assert "padding=circular" in log
