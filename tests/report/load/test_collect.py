"""Collecting runs from folders: which ones count, and reports of those that are left out."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from shiftbench.errors import ShiftbenchError
from shiftbench.report.load.collect import collect
from shiftbench.runs.sweep_state import DONE, FAILED, Sweep
from shiftbench.storage.locks import exclusive
from shiftbench.storage.result_files import METRIC_COLUMNS, SHIFT_COLUMNS


def states(collection):
    return [run.state for run in collection.runs]


def test_a_run_is_found_from_every_folder_above_it(make_run, tmp_path):
    folder = make_run()
    for place in (folder, folder.parent, tmp_path / "out", tmp_path):
        [run] = collect([place]).runs
        assert (run.folder, run.state, run.seed) == (folder, "done", 0)
        assert run.labels["pool"] == "max"
        assert run.command[0] == "shiftbench"
        assert run.versions["python"].startswith("3.")


def test_an_outputs_folder_three_levels_down_is_found(make_run, tmp_path):
    make_run(out=tmp_path / "a" / "b" / "out")
    assert len(collect([tmp_path]).runs) == 1


def test_a_run_that_is_reached_twice_counts_once(make_run, tmp_path):
    folder = make_run()
    copy = shutil.copytree(folder, tmp_path / "copied" / folder.name)
    collection = collect([folder, folder.parent, tmp_path / "out", copy])
    assert len(collection.runs) == 1
    assert len(collection.metrics) == 2


def test_of_two_copies_the_finished_one_counts(make_run, tmp_path):
    folder = make_run()
    copy = shutil.copytree(folder, tmp_path / "a copy" / folder.name)
    (copy / "status.json").write_text(json.dumps({"state": "failed"}))
    [run] = collect([copy, folder]).runs
    assert (run.state, run.folder) == ("done", folder)


def test_what_holds_no_run_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for place, part in [(tmp_path, "holds no run"), (tmp_path / "file", "is a file"),
                        (tmp_path / "nowhere", "no folder")]:  # fmt: skip
        with pytest.raises(ShiftbenchError, match=part) as caught:
            collect([place])
        assert "\n" not in str(caught.value)


def test_the_rows_are_those_of_the_runs(make_run, tmp_path):
    make_run({"circular": {"accuracy": (0.123456789, 0.1, float("nan"))}}, pool="none")
    make_run({"translate": {"accuracy": 0.25}}, pool="null", seed=3)
    metrics = collect([tmp_path]).metrics
    assert tuple(metrics.columns) == METRIC_COLUMNS
    assert metrics["pool"].tolist() == ["none", "null"]
    assert metrics["seed"].tolist() == [0, 3]
    assert metrics["value"].tolist() == [0.123456789, 0.25]
    assert metrics["ci_high"].isna().tolist() == [True, False]
    assert metrics["experiment"].tolist() == ["", ""]


def test_the_shifts_are_read_when_asked_for(make_run, tmp_path):
    for seed in range(3):
        make_run(seed=seed)
    shifts = collect([tmp_path]).shifts()
    assert tuple(shifts.columns) == SHIFT_COLUMNS
    assert len(shifts) == 12
    assert shifts["run_id"].nunique() == 3


def test_runs_are_in_the_order_of_their_labels(make_run, tmp_path):
    for pool, seed in [("max", 10), ("max", 2), ("blur", 0)]:
        make_run(pool=pool, seed=seed)
    found = [(run.labels["pool"], run.seed) for run in collect([tmp_path]).runs]
    assert found == [("blur", 0), ("max", 2), ("max", 10)]


def test_a_killed_run_is_interrupted_and_a_living_one_is_running(make_run, tmp_path):
    folder = make_run()
    (folder / "status.json").write_text(json.dumps({"state": "running"}))
    [run] = collect([tmp_path]).runs
    assert (run.state, run.error) == ("interrupted", "its process was killed")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from shiftbench.storage.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(folder / ".lock")],
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert holder.stdout.readline() == "in\n"
        assert states(collect([tmp_path])) == ["running"]
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert states(collect([tmp_path])) == ["interrupted"]


def test_a_failed_run_says_why(make_run, tmp_path):
    make_run(error="the disk is full")
    [run] = collect([tmp_path]).runs
    assert (run.state, run.error) == ("failed", "the disk is full")


def damage(folder, how):
    metrics, status = folder / "metrics.csv", folder / "status.json"
    text = metrics.read_text()
    if how == "one digit":
        metrics.write_text(text.replace("0.5", "0.6", 1))
    elif how == "half of it":
        metrics.write_text(text[: len(text) // 2])
    elif how == "gone":
        metrics.unlink()
    elif how == "status":
        status.write_text("{")
    elif how == "no such state":
        status.write_text(json.dumps({"state": "splendid"}))
    elif how == "run.json":
        (folder / "run.json").write_text("[]")
    else:
        # Without a recorded digest, the damage has to be detected from the file itself.
        status.write_text(json.dumps({"state": "done"}))
        damaged = {
            "other columns": text.replace("protocol", "shift", 1),
            "a torn row": text[:-20],
            "a word for a number": text.replace(",0.5,", ",half,", 1),
            "bytes": text + "\x00\x01\n",
        }[how]
        metrics.write_text(damaged)


@pytest.mark.parametrize(
    ("how", "part"),
    [("one digit", "changed since"), ("half of it", "changed since"), ("gone", "cannot be read"),
     ("status", "status.json is damaged"), ("no such state", "is not a state"),
     ("run.json", "run.json is damaged"), ("other columns", "lacks the columns protocol"),
     ("a torn row", "damaged"), ("a word for a number", "damaged"), ("bytes", "damaged")],
)  # fmt: skip
def test_a_damaged_run_is_named_and_not_used(make_run, tmp_path, how, part):
    make_run(pool="max")
    folder = make_run(pool="blur")
    damage(folder, how)
    collection = collect([tmp_path])
    assert sorted(states(collection)) == ["damaged", "done"]
    [run] = [run for run in collection.runs if run.state == "damaged"]
    assert part in run.error
    [warning] = collection.warnings
    assert warning.startswith(f"{folder}: ")
    assert collection.metrics["pool"].unique().tolist() == ["max"]


def test_rows_without_a_digest_are_used_if_they_are_whole(make_run, tmp_path):
    folder = make_run()
    (folder / "status.json").write_text(json.dumps({"state": "done"}))
    assert states(collect([tmp_path])) == ["done"]


def test_a_damaged_shifts_file_is_left_out_with_a_warning(make_run, tmp_path, caplog):
    make_run(seed=0)
    folder = make_run(seed=1)
    (folder / "shifts.csv").write_text("nothing\n")
    assert collect([tmp_path]).shifts()["run_id"].nunique() == 1
    assert str(folder) in caplog.text


def sweep_of(tmp_path, jobs):
    return Sweep.start(tmp_path / "out" / "sweeps" / "s", tmp_path / "out" / "runs", jobs)


def test_a_sweep_knows_its_runs_its_order_and_what_waits(make_run, tmp_path):
    blur, largest = make_run(pool="blur"), make_run(pool="max")
    make_run(pool="avg")  # not part of this sweep
    jobs = [(f"pool={pool}", f"seed={seed}") for pool in ("max", "blur", "aps") for seed in (0, 1)]
    sweep = sweep_of(tmp_path, jobs)
    sweep.put(jobs[0], state=DONE, run_id=largest.name)
    sweep.put(jobs[2], state=DONE, run_id=blur.name)
    sweep.put(jobs[4], state=FAILED, error="pool=aps is broken", usage=True)
    collection = collect([sweep.folder])
    assert [run.labels["pool"] for run in collection.runs] == ["max", "blur"]
    assert [(job.overrides[0], job.state) for job in collection.waiting] == [
        ("pool=max", "waiting"), ("pool=blur", "waiting"), ("pool=aps", "failed"),
        ("pool=aps", "waiting"),
    ]  # fmt: skip
    known = [run.config_id for run in collection.runs]
    assert [job.config_id for job in collection.waiting] == [*known, None, None]
    assert collection.waiting[2].error == "pool=aps is broken"
    assert collection.waiting[2].distinguishing == ("pool=aps",)
    everything = collect([tmp_path / "out"])
    assert [run.labels["pool"] for run in everything.runs] == ["max", "blur", "avg"]
    # A job with an invalid setting is reported only with its own sweep.
    assert [job.state for job in everything.waiting] == ["waiting"] * 3


def test_a_job_that_another_sweep_has_done_does_not_wait(make_run, tmp_path):
    run = make_run()
    first = Sweep.start(tmp_path / "out/sweeps/a", tmp_path / "out/runs", [("pool=max",)])
    first.put(("pool=max",), state=DONE, run_id=run.name)
    Sweep.start(tmp_path / "out/sweeps/b", tmp_path / "out/runs",
                [("pool=max", "device=cpu"), ("pool=blur", "device=cpu")])  # fmt: skip
    [job] = collect([tmp_path / "out"]).waiting
    assert job.overrides[0] == "pool=blur"


def test_a_sweep_that_has_not_begun_is_a_collection(tmp_path):
    sweep = sweep_of(tmp_path, [("pool=max",), ("pool=blur",)])
    collection = collect([sweep.folder])
    assert collection.runs == []
    assert len(collection.waiting) == 2
    assert tuple(collection.metrics.columns) == METRIC_COLUMNS


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_passed_over(make_run, tmp_path):
    make_run()
    (tmp_path / "closed").mkdir(mode=0)
    assert len(collect([tmp_path]).runs) == 1


def test_the_lock_of_a_finished_run_does_not_matter(make_run, tmp_path):
    folder = make_run()
    with exclusive(folder / ".lock"):
        assert states(collect([tmp_path])) == ["done"]


def made_by(folder, **facts):
    content = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**content, **facts}))


def test_runs_of_one_version_need_no_note(make_run, tmp_path):
    for seed in range(3):
        made_by(make_run(seed=seed), shiftbench="0.2.0", commit="abc")
    assert collect([tmp_path]).warnings == []


def test_tables_of_several_versions_name_them(make_run, tmp_path):
    for seed, commit in enumerate(["abc", "abc", "def"]):
        made_by(make_run(seed=seed), shiftbench="0.2.0", commit=commit)
    made_by(make_run(seed=3), shiftbench="0.1.0", commit=None)
    (make_run(seed=4) / "provenance.json").unlink()
    made_by(make_run(seed=5, error="failed"), shiftbench="0.0.1", commit="of a failed run")
    assert collect([tmp_path]).warnings == [
        "different versions of shiftbench made the runs of these tables: 2 by 0.2.0 (abc), "
        "1 by 0.2.0 (def), 1 by 0.1.0 (commit not recorded)"
    ]


def test_of_many_versions_a_few_are_named(make_run, tmp_path):
    for seed in range(6):
        made_by(make_run(seed=seed), commit=f"c{seed}")
    [note] = collect([tmp_path]).warnings
    assert note.endswith("1 by 0 (c2), 1 by 0 (c3), 2 by 2 more")
