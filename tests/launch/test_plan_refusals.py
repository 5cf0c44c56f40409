"""``--plan`` of jobs that would fail, and of commands that cannot be planned."""

import pytest


@pytest.mark.slow
def test_a_job_that_would_fail_is_named(shiftbench_command, tiny, tmp_path):
    done = shiftbench_command(
        "-m", *tiny, "pool=max,stride", "padding=zeros,sideways", "--plan", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 would fail, 2 to run" in done.stdout
    assert "padding" in done.stdout
    alone = shiftbench_command("padding=sideways", "--plan", cwd=tmp_path)
    assert alone.returncode == 2
    assert "sideways" in alone.stderr


@pytest.mark.slow
def test_an_error_of_data_or_network_is_one_sentence(shiftbench_command, tmp_path):
    done = shiftbench_command("--plan", "data=folder", cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "data.root" in line
    done = shiftbench_command("--plan", "experiment=smoke", "head=nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert "head=nothing is not known" in done.stderr


@pytest.mark.parametrize("other", ["--cfg=job", "--hydra-help", "--info"])
def test_a_plan_is_one_command(shiftbench_command, tmp_path, other):
    done = shiftbench_command("--plan", other, cwd=tmp_path)
    assert done.returncode == 2
    assert "two commands" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "key", ["precision", "measure.precision"], ids=["of training", "of measuring"]
)
def test_a_precision_that_this_machine_lacks_is_named(shiftbench_command, tiny, tmp_path, key):
    done = shiftbench_command("-m", *tiny, f"{key}=fp32,tf32", "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 would fail, 1 to run" in done.stdout
    assert f"{key}=tf32 is a format of CUDA devices" in " ".join(done.stdout.split())
    assert "of 1 of 1 networks on cpu" in done.stdout


@pytest.mark.slow
def test_the_first_job_may_be_the_one_that_would_fail(shiftbench_command, tiny, tmp_path):
    done = shiftbench_command("-m", *tiny, "device=cuda,cpu", "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 would fail, 1 to run" in done.stdout
    both = shiftbench_command("-m", *tiny, "device=cuda", "seed=0,1", "--plan", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    assert "2 would fail, 0 to run" in both.stdout
