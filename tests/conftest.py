"""What every test may use."""

import os
import subprocess
import sys

import pytest

os.environ["HYDRA_FULL_ERROR"] = "0"


@pytest.fixture(scope="session")
def shiftbench_command():
    """Run the command line in a real process and return it finished."""

    def run(*arguments, cwd, env=None, timeout=240):
        return subprocess.run(
            [sys.executable, "-m", "shiftbench", *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "80", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


TINY = (
    "data.size=16",
    "data.train_images=120",
    "data.test_images=24",
    "model.width=4",
    "train.epochs=1",
    "train.batch_size=32",
    "shift.circular.draws=4",
    "shift.circular.steps=2",
    "shift.translate.max_shift=1",
    "measure.resamples=20",
    "measure.layers=false",
)


@pytest.fixture(scope="session")
def tiny():
    """Overrides that make a run take a second."""
    return TINY
