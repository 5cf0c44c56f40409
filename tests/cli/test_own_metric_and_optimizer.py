"""A user's own metric and optimizer, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from shiftbench.report.load.collect import collect
from shiftbench.report.tables.labels import unlabelled_settings

pytestmark = pytest.mark.slow  # real runs, one after the other


METRIC = '''
from shiftbench.metric import Terms, metric

@metric("flips", higher_is_better=False)
def flips(table, at_least: int = 1):
    """Share of images whose answer changes under so many shifts."""
    return Terms.mean((table.top1 != table.top1[:, :1]).sum(axis=1) >= at_least, table.n_shifts)

def no_metric(table):
    return None
'''
OPTIONS = {
    "metric/flips": "# @package metric.flips\n# Images that flip\n_target_: my_parts.flips\n"
    "at_least: 1\n",
    "metric/nameless": "# Lacks its first line\n_target_: my_parts.flips\n",
    "metric/bare": "# @package metric.bare\n# Not decorated\n_target_: my_parts.no_metric\n",
    "metric/clash": "# @package metric.accuracy\n# Ours\n_target_: my_parts.flips\n",
    "optimizer/adagrad": "# Adagrad\n_target_: my_parts.adagrad\n_partial_: true\npower: 0.5\n"
    "default_lr: 0.02\ndefault_weight_decay: 0.0\n",
    "optimizer/forgotten": "# Not partial\n_target_: my_parts.nothing\n",
}
OPTIMIZER = """
import torch

def adagrad(model, settings, power: float = 0.5):
    print("adagrad", settings.lr, settings.weight_decay, power)
    return torch.optim.Adagrad(model.parameters(), lr=settings.lr)

def nothing():
    return 3
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with options of a user's own and the module that they name."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "my_parts.py").write_text(METRIC + OPTIMIZER)
    for name, text in OPTIONS.items():
        path = folder / "my" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def command(home, shiftbench_command, tiny):
    """Run the command line with these options at hand."""
    path = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))

    def run(*arguments):
        return shiftbench_command(
            "--config-dir", "my", *tiny, "figures=false", "progress=false", *arguments,
            cwd=home, env={"PYTHONPATH": path},
        )  # fmt: skip

    return run


def runs_in(folder):
    return sorted((folder / "runs").iterdir())


@pytest.fixture(scope="module")
def with_flips(home, command):
    """The output folder of a plain run, and of the same run with a metric more."""
    for chosen in ("metric=standard", "metric=[standard,flips]"):
        done = command(chosen, "out=both")
        assert done.returncode == 0, done.stderr
    assert "trained before" in done.stderr
    assert "flips" in done.stdout and "↓" in done.stdout.split("flips")[1].split("\n")[0]
    return home / "both"


def by_metrics(folder):
    """The metrics of the two runs, the plain one first."""
    frames = [pd.read_csv(run / "metrics.csv") for run in runs_in(folder)]
    return sorted(frames, key=len)


def test_a_users_own_metric_needs_no_fork(with_flips):
    plain, more = by_metrics(with_flips)
    [run] = [run for run in runs_in(with_flips) if run.name == more["run_id"][0]]
    flips = more[more["metric"] == "flips"].set_index("protocol")
    for protocol in ("circular", "translate"):
        with np.load(run / "predictions" / f"{protocol}.npz") as table:
            top1 = table["top1"]
        expected = np.mean([len(set(answers)) > 1 for answers in top1.tolist()])
        assert flips.loc[protocol, "value"] == pytest.approx(expected, abs=1e-8)
        assert flips.loc[protocol, "ci_low"] <= expected <= flips.loc[protocol, "ci_high"]
    others = more[more["metric"] != "flips"].drop(columns="run_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(others, plain.drop(columns="run_id"))


def test_a_report_knows_a_metric_whose_code_it_does_not_have(
    with_flips, shiftbench_command, tmp_path
):
    done = shiftbench_command(
        "report", str(with_flips), "--metrics", "flips", "--protocol", "circular", "--output",
        str(tmp_path / "report"), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "flips↓" in done.stdout
    summary = pd.read_csv(tmp_path / "report" / "summary.csv", keep_default_na=False)
    assert sorted(set(summary["settings"])) == ["metric=standard", "metric=standard,flips"]
    assert {"flips", "flips_ci_low", "flips_interval"} <= set(summary)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Share of images whose answer changes under so many shifts." in page


def test_comparing_has_the_metric_too(with_flips, command, shiftbench_command):
    done = command("metric=[standard,flips]", "pool=blur", "out=both")
    assert done.returncode == 0, done.stderr
    mine = [run for run in runs_in(with_flips) if "flips" in (run / "metrics.csv").read_text()]
    compared = shiftbench_command("compare", *map(str, mine), cwd=with_flips)
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.count("flips") == 2  # once for each protocol
    left = shiftbench_command("report", str(mine[0]), "--remeasure", "--no-figures", cwd=with_flips)
    assert "its metric flips is not of shiftbench (my_parts.flips)" in left.stderr


def test_an_edited_metric_is_another_run(home, command):
    assert command("metric=flips", "metric.flips.at_least=2", "out=edited").returncode == 0
    [first] = runs_in(home / "edited")
    assert set(pd.read_csv(first / "metrics.csv")["metric"]) == {"flips"}
    module = home / "my_parts.py"
    module.write_text(module.read_text().replace("so many shifts", "that many shifts"))
    done = command("metric=flips", "metric.flips.at_least=2", "out=edited")
    assert done.returncode == 0 and "skipped" not in done.stderr
    assert len(runs_in(home / "edited")) == 2
    settings = json.loads((first / "run.json").read_text())["settings"]
    assert settings["metric.flips._target_.source"].startswith("sha256:")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("metric=bare", "names my_parts.no_metric, which is not a metric; put @shiftbench.metric"),
        ("metric=nameless", "begin its yaml with the line '# @package metric.NAME'"),
        ("metric=clash", "metric.accuracy would be two metrics of one name"),
        ("metric=flip", "metric=flip is not known (did you mean 'flips'?)"),
        ("metric.kway_consistency.k=2", "add it, e.g. metric=[standard,kway_consistency]"),
        ("optimizer=forgotten", "add '_partial_: true' to its yaml"),
        ("optimizer.lr=1", "'optimizer.lr' is called train.lr, whatever the optimizer"),
        ("optimizer.betas=[0.9,0.99]", "give one of them, e.g. optimizer=adamw optimizer.betas="),
    ],
)
def test_what_cannot_be_is_one_sentence(command, given, sentence):
    done = command(given, "out=refused")
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_users_own_optimizer_needs_no_fork(home, command):
    done = command("optimizer=adagrad", "optimizer.power=0.25", "out=own")
    assert done.returncode == 0, done.stderr
    assert "adagrad 0.02 0.0 0.25" in done.stdout
    [run] = runs_in(home / "own")
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert settings["optimizer._target_"] == "my_parts.adagrad"
    assert "optimizer._target_.source" in settings


def start(home, arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "shiftbench", *arguments], cwd=home, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_adamw_that_was_killed_ends_with_the_same_bytes(tmp_path, shiftbench_command, tiny):
    given = (*tiny, "figures=false", "optimizer=adamw", "train.epochs=4", "augment=crop")
    assert shiftbench_command(*given, "out=whole", cwd=tmp_path).returncode == 0
    process = start(tmp_path, [*given, "out=parts"])
    while not list(tmp_path.glob("parts/trained/*/checkpoint.pt")):
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = shiftbench_command(*given, "out=parts", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch" in done.stderr or "trained before" in done.stderr
    [whole], [parts] = runs_in(tmp_path / "whole"), runs_in(tmp_path / "parts")
    assert whole.name == parts.name
    for name in ("metrics.csv", "shifts.csv"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    losses = pd.read_csv(whole / "train.csv")["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    assert pd.read_csv(whole / "train.csv")["lr"].max() <= 0.001


def test_tables_say_which_optimizer_a_run_has(make_run):
    rates = {"train": {"lr": 0.1}}
    own = {"optimizer": {"_target_": "shiftbench.optimizer.adamw.AdamW", "eps": 1e-8}}
    folders = [make_run(settings=rates), make_run(settings={**rates, **own})]
    records = {run.config_id: run for run in collect(folders).runs}
    assert sorted(unlabelled_settings(records).values()) == [
        "optimizer._target_=adamw.AdamW",
        "optimizer._target_=sgd.Sgd",
    ]
