"""``force=true`` with a wrong setting: the finished results are kept, byte for byte."""

import json

import pytest

KEPT = ("metrics.csv", "shifts.csv", "status.json", "run.json", "provenance.json", "config.yaml",
        "checkpoint.pt", ".npz", ".png", "overrides")  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shiftbench_command, tiny):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    done = shiftbench_command(*tiny, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def files_of(folder):
    """Content and time of everything but logs and locks."""
    found = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for part in ("runs", "trained")
        for path in (folder / "outputs" / part).rglob("*")
        if path.is_file() and path.name.endswith(KEPT)
    }
    names = {path.name for path in found}
    assert {"metrics.csv", "shifts.csv", "status.json", "checkpoint.pt", "circular.npz"} <= names
    return found


WRONG = {
    "a device": ("device=cuda", "device=cuda is not available"),
    "a graph": ("train.capture=true", "CUDA graphs need cuda"),
    "a precision": ("measure.precision=tf32", "is a format of CUDA devices"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("mode", [(), ("-m", "threads=1,2")], ids=["a run", "a sweep"])
def test_a_wrong_setting_costs_no_results(finished, shiftbench_command, tiny, mode, setting, words):
    before = files_of(finished)
    refused = shiftbench_command(*mode, *tiny, "force=true", setting, cwd=finished)
    assert refused.returncode == 2, refused.stderr
    assert words in refused.stderr
    assert files_of(finished) == before


@pytest.mark.slow
def test_without_a_wrong_setting_everything_is_made_again(finished, shiftbench_command, tiny):
    before = files_of(finished)
    done = shiftbench_command(*tiny, "force=true", cwd=finished)
    assert done.returncode == 0, done.stderr
    after = files_of(finished)
    assert set(after) == set(before)
    for path, (content, written) in after.items():
        if path.name in ("metrics.csv", "shifts.csv", "checkpoint.pt", "status.json"):
            assert written > before[path][1], path
        if path.suffix == ".csv":
            assert content == before[path][0]
    [status] = finished.glob("outputs/runs/*/status.json")
    assert json.loads(status.read_text())["state"] == "done"


@pytest.mark.slow
def test_a_graph_is_not_needed_without_training(tmp_path, shiftbench_command, tiny):
    settings = [item for item in tiny if not item.startswith("train.")]
    done = shiftbench_command(*settings, "train=none", "train.capture=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
