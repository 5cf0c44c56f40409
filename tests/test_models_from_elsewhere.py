"""Networks from elsewhere through the command line: what they choose, what is refused, a run."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import nn

from shiftbench import build
from shiftbench.config import CONFIG_DIR, register
from shiftbench.errors import UsageError
from shiftbench.identity import Identity
from shiftbench.naming import names

MODULE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes=10, width=4):
        super().__init__(
            nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes),
        )
"""
SEEN = "model.preprocessing={size: 24, mean: [0.5,0.5,0.5], std: [0.25,0.25,0.25]}"


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
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
        (["pool=native"], r"model=vgg has none but its pool's; name another, as pool=max"),
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
