"""The files and the table of one run, and what a second execution of it does."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from shiftbench.storage.result_files import (
    LAYER_COLUMNS,
    METRIC_COLUMNS,
    SHIFT_COLUMNS,
    TRAIN_COLUMNS,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shiftbench_command, tiny):
    """A tiny run in a folder with spaces, finished once for all tests."""
    folder = tmp_path_factory.mktemp("my results")
    done = shiftbench_command(*tiny, "figures=true", "pool=blur", "out=here we are", cwd=folder)
    assert done.returncode == 0, done.stderr
    [run] = (folder / "here we are" / "runs").iterdir()
    return folder, run, done


def test_a_run_leaves_every_file_of_the_design(finished):
    _, run, _ = finished
    present = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert present == {
        "config.yaml", "overrides", "status.json", "provenance.json", "run.log", "train.csv",
        "predictions/circular.npz", "predictions/translate.npz", "shifts.csv", "metrics.csv",
        "figures/circular.png", "figures/translate.png", "figures/jagged_translate.png",
        "figures/views_circular.png", "figures/views_translate.png",
        "run.json", ".lock", "images.npz", "radius.csv", "phase.csv",
        "figures/radius_circular.png", "figures/radius_translate.png",
        "figures/phase_circular.png", "figures/phase_translate.png",
    }  # fmt: skip
    assert json.loads((run / "status.json").read_text())["state"] == "done"


def test_the_provenance_names_device_threads_and_precision(finished):
    _, run, _ = finished
    content = json.loads((run / "provenance.json").read_text())
    log = (run / "run.log").read_text()
    device = content["device"]
    assert f"{device['device']} ({device.get('GPU') or device['threads']}" in log
    assert content["training"]["precision"] == content["measuring"]["precision"] == "fp32"
    assert content["training"]["TF32"] is content["measuring"]["TF32"] is False
    assert content["command"][0] == "shiftbench"
    measured = content["measured"]
    assert set(measured) == {"circular", "translate"}
    assert all(one["seconds"] > 0 and one["views"] % 24 == 0 for one in measured.values())
    assert {"python", "packages", "machine", "commit"} <= content.keys()


@pytest.mark.slow
def test_the_layer_probe_is_part_of_a_run_unless_told(tmp_path, shiftbench_command, tiny):
    rest = [item for item in tiny if item not in ("measure.layers=false", "figures=false")]
    done = shiftbench_command(*rest, "padding=circular", "head=gap", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [run] = tmp_path.glob("outputs/runs/*")
    assert tuple(pd.read_csv(run / "layers.csv").columns) == LAYER_COLUMNS
    for figure in ("layers", "layer_maps", "jagged_circular"):
        assert (run / "figures" / f"{figure}.png").is_file()
    metrics = pd.read_csv(run / "metrics.csv").query("protocol == 'circular'")
    assert set(metrics["engine"]) == {"dense"}


def test_the_files_have_the_columns_in_order(finished):
    _, run, _ = finished
    for name, columns in [("metrics", METRIC_COLUMNS), ("shifts", SHIFT_COLUMNS),
                          ("train", TRAIN_COLUMNS)]:  # fmt: skip
        assert tuple(pd.read_csv(run / f"{name}.csv").columns) == columns


def test_the_rows_say_what_was_measured(finished):
    _, run, _ = finished
    metrics = pd.read_csv(run / "metrics.csv", keep_default_na=False)
    first = metrics.iloc[0]
    assert (first["model"], first["pool"], first["head"]) == ("vgg[width=4]", "blur", "flatten")
    assert first["run_id"] == run.name
    assert first["params"] > 0
    assert first["macs"] > 0
    assert {"accuracy", "consistency", "correct_consistency", "chance_consistency",
            "top1_change"} <= set(metrics["metric"])  # fmt: skip
    assert metrics["value"].astype(float).between(0, 1).all()


def test_the_table_fits_eighty_columns_and_says_where_the_files_are(finished):
    _, run, done = finished
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or "here we are" in line
    assert "consistency" in done.stdout
    assert str(run.relative_to(run.parents[2])) in done.stdout
    assert "\x1b" not in done.stdout


def test_a_finished_run_is_skipped_without_torch_and_prints_the_same_table(
    finished, shiftbench_command, tiny
):
    folder, run, done = finished
    before = (run / "metrics.csv").stat().st_mtime_ns
    again = shiftbench_command(
        *tiny, "figures=true", "pool=blur", "out=here we are", "device=cpu", cwd=folder,
        env={"PYTHONPROFILEIMPORTTIME": "1"},
    )  # fmt: skip
    assert again.returncode == 0
    assert "done, skipped" in again.stderr
    assert again.stdout == done.stdout
    assert " torch" not in again.stderr
    assert (run / "metrics.csv").stat().st_mtime_ns == before


@pytest.mark.slow
def test_two_runs_of_one_command_write_the_same_bytes(finished, shiftbench_command, tiny):
    folder, run, _ = finished
    done = shiftbench_command(*tiny, "pool=blur", "figures=true", "out=other", cwd=folder)
    assert done.returncode == 0, done.stderr
    other = folder / "other" / "runs" / run.name
    for name in ("metrics.csv", "shifts.csv", "figures/circular.png"):
        assert (other / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.slow
def test_force_runs_again(finished, shiftbench_command, tiny):
    folder, run, _ = finished
    before = (run / "metrics.csv").read_bytes()
    done = shiftbench_command(
        *tiny, "figures=true", "pool=blur", "out=here we are", "force=true", cwd=folder
    )
    assert done.returncode == 0
    assert "epoch   1" in done.stderr
    assert (run / "metrics.csv").read_bytes() == before


def weights_of(run):
    train_id = json.loads((run / "run.json").read_text())["train_id"]
    return run.parents[1] / "trained" / train_id / "checkpoint.pt"


@pytest.mark.slow
def test_a_checkpoint_can_be_measured_without_training(finished, shiftbench_command, tiny):
    folder, run, _ = finished
    done = shiftbench_command(
        *tiny, "pool=blur", "train=none", "train.epochs=0", f"checkpoint='{weights_of(run)}'",
        "shift=translate", "shift.translate.max_shift=1", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 2  # shift.circular is not there to be set
    rest = [item for item in tiny if "circular" not in item and "epochs" not in item]
    done = shiftbench_command(
        *rest, "pool=blur", "train=none", f"checkpoint='{weights_of(run)}'", "shift=translate",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trained = pd.read_csv(run / "metrics.csv").query("protocol == 'translate'")
    [measured] = (folder / "outputs" / "runs").glob("*/metrics.csv")
    values = pd.read_csv(measured)["value"].to_numpy()
    assert values == pytest.approx(trained["value"].to_numpy(), nan_ok=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_while_printing_is_no_traceback(tmp_path, finished, tiny):
    folder, _, _ = finished
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "shiftbench", *tiny, "figures=true", "pool=blur"]
        done = subprocess.run(
            [*command, "out=here we are"], cwd=folder, stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=100,
        )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
