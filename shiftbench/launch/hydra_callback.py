"""Hydra's callback: makes the sweep folder before the first job starts; no torch."""

from __future__ import annotations

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
from shiftbench.storage.atomic import cannot_write

# For the processes of joblib and submitit, which load this module before they compose their jobs.
warnings.filterwarnings("ignore", SAME_SCHEMA)
read_earlier_names()


class KeepSweep(Callback):
    """Begins the sweep's records; the command line ends them, as Hydra might not get to it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write which jobs there are, show the sweep's progress."""
        from shiftbench.launch.discard import Fresh
        from shiftbench.launch.sweep import SweepController, jobs_of

        command = session.current()
        command.jobs = []  # none is run unless the sweep can be begun
        command.created = Fresh.of(Path(config.hydra.sweep.dir).expanduser())
        try:
            jobs = jobs_of(config)
            if world().is_first:
                command.controller = SweepController.of(config, jobs)
            command.jobs = jobs
        except UsageError as error:
            command.refusal = error
        except OSError as error:
            command.refusal = cannot_write(config.out, error)
