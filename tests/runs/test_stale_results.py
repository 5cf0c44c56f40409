"""The same command after something outside of it changed: never the old numbers."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftbench.runs import results_versions

pytestmark = pytest.mark.slow  # real runs, one after the other

SMALL = (
    "train.epochs=1", "train.batch_size=8", "model.width=4", "model.downsamplings=2",
    "measure.layers=false", "measure.resamples=5", "figures=false", "shift=translate",
    "shift.translate.max_shift=1",
)  # fmt: skip
SHAPES = ("data.size=16", "data.train_images=40", "data.test_images=10")
POOL = """
from torch import nn
class Mine(nn.AvgPool2d):
    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__({kernel}, stride)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def paint(root, seed):
    rng = np.random.default_rng(seed)
    for split, count in (("train", 8), ("test", 3)):
        for name in "ab":
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")


def runs(place):
    return sorted(path.name for path in (place / "outputs" / "runs").iterdir())


def test_images_that_were_replaced_are_another_run_and_the_same_elsewhere_are_not(
    place, shiftbench_command
):
    command = ("data=folder", "data.size=16", "data.workers=0", "data.val_fraction=0.2", *SMALL)
    paint(place / "ds", 0)
    assert shiftbench_command(*command, "data.root=ds", cwd=place).returncode == 0
    [first] = runs(place)
    shutil.copytree(place / "ds", place / "copy")
    again = shiftbench_command(*command, "data.root=./copy", cwd=place)
    assert f"done, skipped: {first}" in again.stdout + again.stderr
    limits = ("data.memory_limit_gb=0", "measure.batch_size=3", "measure.memory_gb=0.5")
    limited = shiftbench_command(*command, "data.root=ds", *limits, cwd=place)
    assert "done, skipped" in limited.stdout + limited.stderr
    paint(place / "ds", 1)
    assert shiftbench_command(*command, "data.root=ds", cwd=place).returncode == 0
    assert len(runs(place)) == 2
    assert len(list((place / "outputs" / "trained").iterdir())) == 2


def test_an_edited_pool_is_another_run_and_its_source_is_kept(place, shiftbench_command):
    (place / "my" / "pool").mkdir(parents=True)
    (place / "my" / "pool" / "mine.yaml").write_text("_target_: pools.Mine\n_partial_: true\n")
    (place / "pools.py").write_text(POOL.format(kernel=2))
    command = ("--config-dir", "my", "pool=mine", *SHAPES, *SMALL)
    assert shiftbench_command(*command, cwd=place).returncode == 0
    assert "skipped" in shiftbench_command(*command, cwd=place).stderr
    [first] = runs(place)
    folder = place / "outputs" / "runs" / first
    assert list(json.loads((folder / "run.json").read_text())["sources"]) == ["pools"]
    assert list(json.loads((folder / "provenance.json").read_text())["sources"]) == ["pools"]
    (place / "pools.py").write_text(POOL.format(kernel=1))
    assert "skipped" not in shiftbench_command(*command, cwd=place).stderr
    assert len(runs(place)) == 2


def test_numbers_do_not_depend_on_what_fits_into_memory(place, shiftbench_command):
    paint(place / "ds", 0)
    texts = []
    for out, limit in (("memory", 4), ("stream", 0)):
        done = shiftbench_command(
            "data=folder", "data.root=ds", "data.size=16", "data.workers=0",
            "data.val_fraction=0.2", f"data.memory_limit_gb={limit}", f"out={out}", *SMALL,
            cwd=place,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        [metrics] = (place / out).glob("runs/*/metrics.csv")
        texts.append(metrics.read_text())
    assert texts[0] == texts[1]


def test_data_that_change_under_a_run_are_no_result(place, shiftbench_command):
    """The network's own code replaces a test image while the run is working."""
    paint(place / "ds", 0)
    (place / "net.py").write_text(
        "import shutil\nfrom torch import nn\n"
        "def make(num_classes=2):\n"
        "    shutil.copy('ds/test/a/0.png', 'ds/test/b/0.png')\n"
        "    head = nn.Linear(3, num_classes)\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)\n"
    )
    done = shiftbench_command(
        "data=folder", "data.root=ds", "data.size=16", "data.workers=0", "data.val_fraction=0.2",
        "model=import", "model.target=net.make", *SMALL[4:], "train=none", cwd=place,
    )  # fmt: skip
    assert done.returncode == 1
    assert "data.test.root changed while the run was working" in done.stderr
    assert not list((place / "outputs").glob("runs/*/metrics.csv"))


@pytest.fixture
def older(place, shiftbench_command):
    """A finished run of which a part has since got another results version."""
    command = (*SHAPES, *SMALL, "train=none")
    assert shiftbench_command(*command, "seed=0", cwd=place).returncode == 0
    [folder] = (place / "outputs" / "runs").iterdir()
    content = json.loads((folder / "run.json").read_text())
    content["versions"]["metric.accuracy"] = 7
    (folder / "run.json").write_text(json.dumps(content))
    return command


def test_a_finished_run_of_an_older_version_says_so(older, place, shiftbench_command):
    again = shiftbench_command(*older, "seed=0", cwd=place)
    assert again.returncode == 0
    text = " ".join((again.stdout + again.stderr).split())
    assert "metric.accuracy 7 (now 1)" in text
    assert "force=true" in text


def test_tables_that_mix_versions_say_so(older, place, shiftbench_command):
    assert shiftbench_command(*older, "seed=1", cwd=place).returncode == 0
    report = shiftbench_command("report", "--no-figures", "outputs", cwd=place)
    assert "mix results versions of metric.accuracy: 1 with 1, 1 with 7 (now 1)" in report.stderr


def test_a_part_counts_where_it_makes_a_run(monkeypatch):
    current = {"training": 2, "shift.crop": 3, "data.folder": 2, "metric.accuracy": 4,
               "surgery": 2, "answers": 5}  # fmt: skip
    monkeypatch.setattr(results_versions, "CURRENT", current)
    plain = {"train.epochs": 0, "shift.circular.draws": 3, "data._target_": "shapes.load"}
    assert results_versions.current(plain) == {"metric.accuracy": 4, "answers": 5}
    targets = {"data": "a.data.folder.load", "model": "timm_network.TimmNetwork", "pool": "max.Max"}
    whole = {"train.epochs": 1, "shift.crop.margin": 3}
    whole |= {f"{group}._target_": target for group, target in targets.items()}
    assert results_versions.current(whole) == current
    assert results_versions.current({**whole, "pool._target_": "native.Native"}).keys() == (
        current.keys() - {"surgery"}
    )


@pytest.mark.parametrize(("changed", "made"), [
    ({}, False), ({"model.anchor": True}, True), ({"padding": "circular"}, True),
    ({"pool._target_": "blur.Blur"}, True),
])  # fmt: skip
def test_surgery_counts_where_a_network_is_changed(changed, made):
    own = {"model._target_": "timm_network.TimmNetwork", "pool._target_": "native.Native"}
    assert results_versions.makes("surgery", {**own, **changed}) == made


def test_a_run_that_its_tables_bring_up_to_date_says_how(place, shiftbench_command):
    command = (*SHAPES, *SMALL, "train=none", "seed=0")
    assert shiftbench_command(*command, cwd=place).returncode == 0
    [folder] = (place / "outputs" / "runs").iterdir()
    first = (folder / "metrics.csv").read_bytes()
    content = json.loads((folder / "run.json").read_text())
    del content["versions"]["metric.correct_consistency"]
    (folder / "run.json").write_text(json.dumps(content))
    again = shiftbench_command(*command, cwd=place)
    text = " ".join((again.stdout + again.stderr).split())
    assert "metric.correct_consistency 1 (now 2)" in text
    assert f"shiftbench report --remeasure {Path('outputs') / 'runs' / folder.name}" in text
    remeasured = shiftbench_command("report", str(folder), "--remeasure", "--no-figures", cwd=place)
    assert "remeasured   1 runs" in remeasured.stderr
    assert (folder / "metrics.csv").read_bytes() == first
    assert "remeasure" not in shiftbench_command(*command, cwd=place).stderr


@pytest.mark.parametrize(("epochs", "width", "counts"), [
    (5, 8, True), (5, 16, False), (0, 8, False),
])  # fmt: skip
def test_only_trained_narrow_resnets_are_of_another_version(epochs, width, counts):
    made = {"train.epochs": epochs, "model._target_": "a.resnet.ResNet", "model.width": width}
    assert ("model.resnet" in results_versions.current(made)) == counts
