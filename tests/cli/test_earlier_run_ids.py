"""Run ids with the groups metric and optimizer, and runs that are older than these groups."""

import hashlib
import json

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from shiftbench.report.load.collect import collect
from shiftbench.runs.identity import Identity
from shiftbench.settings.labels import names
from shiftbench.settings.schema import CONFIG_DIR, register
from shiftbench.storage.result_files import METRIC_COLUMNS, SHIFT_COLUMNS

pytestmark = pytest.mark.slow  # real runs, one after the other


CHOICES = {"data": "shapes", "model": "vgg", "pool": "max", "head": "gap", "augment": "none",
           "train": "quick"}  # fmt: skip
SLUG = "shapes-vgg-max-gap-zeros-none-s0"
# Computed by the release before the groups metric and optimizer: run, training, configuration.
BEFORE = [
    ((), "5771cf58", "a3b67cd9", "cec22bcf"),
    (("train.lr=0.05", "train.momentum=0.8", "train.weight_decay=0.001"), "b63eac3d", "c183087d",
     "89fb6405"),
    (("train=none",), "aff05121", "eba70519", "e83715cf"),
    (("train=standard",), "14f30a8e", "0a627d2f", "7edf80e7"),
    (("shift=[subpixel]", "train.weight_decay=0"), "a637ede9", "78a98dc5", "bb9060a9"),
]  # fmt: skip
# The folder that the same release gave the run of conftest's TINY.
TINY_RUN = (
    "shapes-size-16-train_images-120-test_images-24-vgg-width-4-max-flatten-zeros-none-s0-81fee9d1"
)


@pytest.fixture(scope="module")
def identity():
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):

        def of(*overrides):
            config = compose("config", ["head=gap", *overrides])
            return Identity.of(config, names(config, CHOICES, [CONFIG_DIR]))

        yield of


@pytest.mark.parametrize(("overrides", "run", "training", "configuration"), BEFORE)
def test_ids_are_those_of_the_release_before(identity, overrides, run, training, configuration):
    for spelled in ((), ("optimizer=sgd",), ("metric=standard",), ("metric=[]",)):
        found = identity(*overrides, *spelled)
        assert (found.run_id, found.train_id) == (f"{SLUG}-{run}", f"{SLUG}-{training}")
        assert found.config_id == configuration
        assert not [key for key in found.settings if key.startswith(("metric", "optimizer"))]


def test_another_optimizer_is_another_training_and_its_rates_are_its_own(identity):
    plain, adamw = identity(), identity("optimizer=adamw")
    assert adamw.train_id != plain.train_id and adamw.run_id != plain.run_id
    assert (adamw.settings["train.lr"], adamw.settings["train.weight_decay"]) == (0.001, 0.05)
    assert adamw.settings["optimizer.betas"] == [0.9, 0.999]
    assert adamw.labels["train"] == "quick"
    assert identity("optimizer=adamw", "optimizer.eps=1e-6").train_id != adamw.train_id


def test_what_is_given_of_train_counts_whatever_the_optimizer(identity):
    given = ("train.lr=0.02", "train.weight_decay=0.3")
    found = identity("optimizer=adamw", *given)
    assert (found.settings["train.lr"], found.settings["train.weight_decay"]) == (0.02, 0.3)
    assert found.labels["train"] == identity(*given).labels["train"] == "quick[lr=0.02]"
    default = identity("optimizer=adamw", "optimizer.default_lr=0.02", given[1])
    assert default.run_id == found.run_id


def test_another_metric_is_another_run_of_the_same_training(identity):
    plain, chosen = identity(), identity("metric=[standard,kway_consistency]")
    assert chosen.train_id == plain.train_id
    assert chosen.run_id != plain.run_id
    fewer = identity("metric=[kway_consistency]", "metric.kway_consistency.k=3")
    assert fewer.run_id not in (plain.run_id, chosen.run_id)


@pytest.fixture
def old_run(tmp_path):
    """A finished run as the release before would have left it, with numbers that are made up."""
    folder = tmp_path / "outputs" / "runs" / TINY_RUN
    folder.mkdir(parents=True)
    row = {**dict.fromkeys(METRIC_COLUMNS, ""), "run_id": TINY_RUN, "data": "shapes",
           "model": "vgg", "pool": "max", "protocol": "circular", "metric": "accuracy",
           "value": 0.123, "seed": 0, "params": 1, "macs": 1, "n_images": 24, "n_shifts": 1,
           "schema_version": 2}  # fmt: skip
    pd.DataFrame([row], columns=METRIC_COLUMNS).to_csv(folder / "metrics.csv", index=False)
    pd.DataFrame(columns=SHIFT_COLUMNS).to_csv(folder / "shifts.csv", index=False)
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
             for name in ("metrics.csv", "shifts.csv")}  # fmt: skip
    labels = {**CHOICES, "head": "flatten", "experiment": "", "padding": "zeros",
              "precision": "fp32", "seed": 0}  # fmt: skip
    who = {"run_id": TINY_RUN, "config_id": "1da532c2", "labels": labels,
           "settings": {"train.lr": 0.1, "seed": 0}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(who))
    (folder / "status.json").write_text(json.dumps({"state": "done", "files": files}))
    return folder


def test_a_finished_run_of_the_release_before_is_skipped(
    tmp_path, shiftbench_command, tiny, old_run
):
    done = shiftbench_command(*tiny, "optimizer=sgd", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"done, skipped: {TINY_RUN}" in done.stderr
    assert "0.123" in done.stdout
    assert [path.name for path in old_run.parent.iterdir()] == [TINY_RUN]
    [record] = collect([tmp_path]).runs
    assert (record.state, record.error) == ("done", "")
