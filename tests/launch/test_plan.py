"""``--plan`` in real processes: its numbers against the configuration, and that nothing is left."""

import pytest
from plan_output import files_in, rows_of

TRAIN_IMAGES, BATCH, TEST_IMAGES = 120, 32, 24
CIRCULAR, TRANSLATE = 1 + 4 + 2, 9  # columns: base, draws, steps; offsets of up to one pixel


@pytest.fixture(scope="module")
def steps():
    """Augmented images of an epoch: whole batches of the images that are not for validation."""
    images = TRAIN_IMAGES - round(0.1 * TRAIN_IMAGES)
    return images // BATCH * BATCH, TRAIN_IMAGES - images


@pytest.mark.slow
def test_a_single_job(shiftbench_command, tiny, tmp_path, steps):
    done = shiftbench_command("--plan", *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "1 job: 0 done before, 1 to run" in done.stdout
    assert "1 training for 1 job\n" in done.stdout
    rows = rows_of(done.stdout)
    trained, validated = steps
    assert rows["training"] == (1, trained, 3 * trained + validated)
    assert rows["circular"] == (1, TEST_IMAGES * CIRCULAR, TEST_IMAGES * CIRCULAR)
    assert rows["translate"] == (1, TEST_IMAGES * TRANSLATE, TEST_IMAGES * TRANSLATE)
    assert "by the direct engine at most" in done.stdout  # circular shifts, zero padding
    assert "of 1 of 1 networks on cpu" in done.stdout


@pytest.mark.slow
def test_a_sweep_shares_trainings_and_counts_finished_runs(
    shiftbench_command, tiny, tmp_path, steps
):
    ran = shiftbench_command(*tiny, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    before = {path: path.stat().st_mtime_ns for path in files_in(tmp_path)}
    grid = ("measure.resamples=20,30", "pool=max,stride")
    done = shiftbench_command("-m", *tiny, *grid, "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in files_in(tmp_path)} == before
    assert "4 jobs: 1 done before, 3 to run" in done.stdout
    # Both jobs of pool=stride share one training, that of pool=max is finished.
    assert "1 training for 3 jobs, 1 more finished before" in done.stdout
    rows = rows_of(done.stdout)
    assert rows["training"][:2] == (1, steps[0])
    assert rows["translate"][:2] == (3, 3 * TEST_IMAGES * TRANSLATE)
    assert rows["circular"][:2] == (3, 3 * TEST_IMAGES * CIRCULAR)


@pytest.mark.slow
def test_a_finished_job_needs_nothing_unless_forced(shiftbench_command, tiny, tmp_path):
    settings = [*tiny, "train=none", "train.epochs=0"]
    assert shiftbench_command(*settings, cwd=tmp_path).returncode == 0
    done = shiftbench_command(*settings, "--plan", cwd=tmp_path)
    assert done.stdout == "1 job: 1 done before, 0 to run\n"
    forced = shiftbench_command(*settings, "force=true", "--plan", cwd=tmp_path)
    assert "1 job: 0 done before, 1 to run" in forced.stdout


@pytest.mark.slow
def test_the_dense_engine_is_expected_where_it_applies(shiftbench_command, tiny, tmp_path):
    settings = [item for item in tiny if not item.startswith("shift.")]
    done = shiftbench_command(
        "--plan", *settings, "train=none", "train.epochs=0", "shift=circular", "head=gap",
        "padding=circular", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    number, views, passes = rows_of(done.stdout)["circular"]
    assert " dense " in done.stdout
    assert (number, views) == (1, TEST_IMAGES * 16 * 16)  # every shift of 16×16 pixels
    assert passes < views / 2


@pytest.mark.slow
def test_a_launcher_is_not_started(shiftbench_command, tiny, tmp_path):
    done = shiftbench_command(
        "-m", *tiny, "seed=0,1", "hydra/launcher=joblib", "--plan", cwd=tmp_path
    )
    if "not installed" in done.stderr:
        pytest.skip("the launcher of joblib is not installed")
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    assert "2 trainings for 2 jobs" in done.stdout
    assert "of 1 of 1 networks" in done.stdout  # seeds share an architecture


@pytest.mark.slow
def test_the_engine_of_every_protocol_of_a_sweep_is_tested(shiftbench_command, tiny, tmp_path):
    """The first job, whose network is timed, has no circular shifts."""
    settings = [item for item in tiny if not item.startswith(("shift.", "train."))]
    settings += ["train=none", "head=gap", "padding=circular"]
    alone = shiftbench_command("--plan", *settings, "shift=circular", cwd=tmp_path)
    expected = rows_of(alone.stdout)["circular"]
    assert " dense " in alone.stdout
    done = shiftbench_command(
        "-m", *settings, "shift=translate,circular", "--plan", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rows_of(done.stdout)["circular"] == expected
    assert " dense " in done.stdout
    assert "direct at most" not in done.stdout
