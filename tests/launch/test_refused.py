"""What a refused command leaves behind while other processes work in the same folders."""

import shutil
from contextlib import ExitStack

import pytest
from worker_processes import VARIABLES

from shiftbench.storage.locks import exclusive

REFUSED = "device=cuda"  # no part of a run's id


@pytest.fixture(scope="module")
def names(tmp_path_factory, shiftbench_command, tiny):
    """The names of the run's and of the training's folder."""
    folder = tmp_path_factory.mktemp("names")
    done = shiftbench_command(*tiny, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [
        path.name for part in ("runs", "trained") for path in (folder / "outputs" / part).iterdir()
    ]


@pytest.fixture
def start(popen, tiny):
    """Start the refused command in a process of its own."""
    return lambda: popen(*tiny, REFUSED, env={**VARIABLES, "CUDA_VISIBLE_DEVICES": ""})


def wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(text)


@pytest.mark.slow
@pytest.mark.parametrize("removes", [True, False], ids=["removed", "kept"])
def test_a_command_that_waited_for_another_refused_one_leaves_nothing(
    tmp_path, names, start, removes
):
    """This process is the first of the two commands: it makes the folder, and may remove it."""
    run = tmp_path / "outputs" / "runs" / names[0]
    with exclusive(run / ".lock"):
        process = start()
        wait_for(process, "waiting for it")
        if removes:
            shutil.rmtree(run)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 2, errors
    assert "device=cuda is not available" in errors
    assert "no lock in" not in errors
    assert not list(tmp_path.glob("outputs/*/*"))


@pytest.mark.slow
def test_what_another_command_wrote_meanwhile_is_kept(tmp_path, names, start):
    run = tmp_path / "outputs" / "runs" / names[0]
    with exclusive(run / ".lock"):
        process = start()
        wait_for(process, "waiting for it")
        (run / "run.log").write_text("a traceback")
    process.communicate(timeout=100)
    assert process.returncode == 2
    assert (run / "run.log").read_text().startswith("a traceback")


@pytest.mark.slow
def test_a_training_that_another_job_has_begun_is_kept(tmp_path, names, start):
    run, training = (tmp_path / "outputs" / part / name
                     for part, name in zip(("runs", "trained"), names, strict=True))  # fmt: skip
    with ExitStack() as locks:
        with exclusive(run / ".lock"):
            process = start()
            wait_for(process, "waiting for it")
            locks.enter_context(exclusive(training / ".lock"))  # since the command has started
            (training / "begun").touch()
        process.communicate(timeout=100)
        assert process.returncode == 2
        assert (training / "begun").exists()
        assert not run.exists()
