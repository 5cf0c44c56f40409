"""Hydra callback that creates the sweep folder before the first job starts; without torch."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from shiftbench.errors import UsageError
from shiftbench.launch import session
from shiftbench.runtime.distributed import world
from shiftbench.settings.hydra_patches import SAME_SCHEMA
from shiftbench.settings.sampling import read_earlier_names
from shiftbench.settings.slugs import SWEEP_NAME, known_sweep
from shiftbench.storage.atomic import cannot_write

# For processes of joblib and submitit, which import this module before they compose their jobs.
warnings.filterwarnings("ignore", SAME_SCHEMA)
read_earlier_names()


def _find_sweep(config: DictConfig) -> None:
    """Let ``hydra.sweep.dir``, here and in jobs, be the folder that the sweep has already."""
    if name := os.environ.get(SWEEP_NAME):
        sweeps = Path(config.out).expanduser() / "sweeps"
        os.environ[SWEEP_NAME] = known_sweep(sweeps, name)


class KeepSweep(Callback):
    """Starts the sweep's records; the command line closes them, as Hydra may end before that."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the list of jobs and start the progress display."""
        from shiftbench.launch.discard import Fresh
        from shiftbench.launch.sweep import SweepController, jobs_of, limit_parallel_jobs

        command = session.current()
        command.jobs = []  # no job runs if the sweep cannot be started
        _find_sweep(config)
        command.created = Fresh.of(Path(config.hydra.sweep.dir).expanduser())
        try:
            limit_parallel_jobs(config)
            jobs = jobs_of(config)
            if world().is_first:
                command.controller = SweepController.of(config, jobs)
            command.jobs = jobs
        except UsageError as error:
            command.refusal = error
        except OSError as error:
            command.refusal = cannot_write(config.out, error)
