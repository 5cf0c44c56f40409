"""Runs with test-time wrappers: they share one training, and say what an answer costs."""

import json

import pandas as pd
import pytest
from omegaconf import OmegaConf
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.experiment import test_time
from shiftbench.model.cost import cost

CIRCULAR_NET = ("padding=circular", "head=gap", "shift=[circular]", "shift.circular.draws=256")


@pytest.fixture(scope="module")
def swept(shiftbench_command, tiny, tmp_path_factory):
    """Runs of one network, circular and with a global head: by wrapper, its metrics.csv."""
    folder = tmp_path_factory.mktemp("infer")
    draws = [item for item in tiny if not item.startswith("shift.")]
    wrappers = "single,average,phases,crop_selection,canonical"
    done = shiftbench_command("-m", *draws, *CIRCULAR_NET, f"infer={wrappers}", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows, settings = {}, {}
    for run in (folder / "outputs" / "runs").iterdir():
        who = json.loads((run / "run.json").read_text())["settings"]
        name = who.get("infer._target_", "single").partition(".")[0]
        rows[name] = pd.read_csv(run / "metrics.csv").set_index("metric")
        settings[name] = who
    return folder, rows, settings, done


@pytest.mark.slow
def test_all_wrappers_share_one_training(swept):
    folder, rows, _, _ = swept
    assert set(rows) == {"single", "average", "phases", "crop_selection", "canonical"}
    assert len(list((folder / "outputs" / "trained").iterdir())) == 1


@pytest.mark.slow
def test_the_run_without_a_wrapper_is_the_one_of_before(swept):
    _, _, settings, _ = swept
    assert not [key for key in settings["single"] if key.startswith("infer")]
    assert settings["average"]["infer.count"] == 4


@pytest.mark.slow
def test_exact_wrappers_are_exact_and_others_are_not(swept):
    _, rows, _, _ = swept
    for name in ("phases", "crop_selection", "canonical"):
        assert rows[name].loc["consistency", "value"] == 1, name
        assert rows[name].loc["exact_fraction", "value"] == 1, name
    for name in ("single", "average"):
        assert rows[name].loc["exact_fraction", "value"] < 1, name
    assert rows["phases"].loc["consistency", "engine"] == "dense"
    assert rows["canonical"].loc["consistency", "engine"] == "direct"


@pytest.mark.slow
def test_the_multiply_adds_are_those_of_an_answer(swept):
    _, rows, _, _ = swept
    macs = {name: frame["macs"].unique().item() for name, frame in rows.items()}
    assert macs["average"] == 4 * macs["single"]
    assert macs["single"] < macs["phases"] <= 16 * macs["single"]
    assert macs["crop_selection"] == macs["canonical"] == macs["single"]
    assert len({frame["params"].unique().item() for frame in rows.values()}) == 1


@pytest.mark.slow
def test_the_report_distinguishes_them(swept):
    folder, _, _, done = swept
    summary = pd.read_csv(next((folder / "outputs" / "sweeps").glob("*/summary.csv")))
    named = {text.split()[0] for text in summary["settings"]}
    assert named == {
        "infer._target_=single.Single", "infer._target_=average.Average",
        "infer._target_=phases.Phases", "infer._target_=crop_selection.CropSelection",
        "infer._target_=canonical.Canonical",
    }  # fmt: skip
    assert "infer" in done.stdout


@pytest.mark.slow
def test_a_window_that_the_network_does_not_take_is_refused_before_training(
    shiftbench_command, tiny, tmp_path
):
    wrong = ("head=flatten", "infer=crop_selection", "infer.crop=8", "infer.filter_size=3")
    done = shiftbench_command(*tiny, *wrong, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "the network does not take the windows of infer.crop" in done.stderr
    assert not list(tmp_path.glob("outputs/trained/*/checkpoint.pt"))
    taken = shiftbench_command(*tiny, "head=gap", *wrong[1:], cwd=tmp_path)
    assert taken.returncode == 0, taken.stderr


def test_what_is_no_wrapper_is_refused():
    config = OmegaConf.create({"infer": {"_target_": "torch.nn.Identity"}})
    with pytest.raises(UsageError, match="infer names Identity, which is not a test-time wrapper"):
        test_time.option(config)


def test_another_module_costs_what_it_computes():
    class Twice(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x) + self.network(x.flip(3))

    network = nn.Conv2d(3, 2, 3)
    plain = cost(network, (3, 8, 8))
    found = test_time.view_cost(Twice(network), plain, (3, 8, 8))
    assert (found.params, found.macs) == (plain.params, 2 * plain.macs)


@pytest.mark.slow
def test_a_plan_counts_the_passes_of_an_average(shiftbench_command, tiny, tmp_path):
    passes = []
    for infer in ("single", "average"):
        done = shiftbench_command("--plan", *tiny, f"infer={infer}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        [row] = [line.split() for line in done.stdout.splitlines() if "translate  " in line]
        passes.append(int(row[3].replace(",", "")))
    assert passes[1] == 4 * passes[0]
