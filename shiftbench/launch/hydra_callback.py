"""Hydra's callback: makes the sweep folder before the first job starts; no torch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from shiftbench import processes
from shiftbench.errors import UsageError
from shiftbench.storage.atomic import cannot_write

if TYPE_CHECKING:
    from shiftbench.launch.discard import Fresh
    from shiftbench.launch.sweep import Conductor

# Our yaml for joblib stands on the plugin's own schema of that name, as it should. Said here, as
# joblib's processes load this module before they compose their jobs.
warnings.filterwarnings("ignore", r"(?s).*is validated against ConfigStore schema")

# The sweep that this process has begun; Hydra keeps its callbacks to itself.
begun: list[Conductor] = []
# What was not there before it was begun.
fresh: list[Fresh] = []
# Why it could not be begun; what a callback raises, Hydra makes a warning of.
refused: list[UsageError] = []


class KeepSweep(Callback):
    """Begins the sweep's records; the command line ends them, as Hydra might not get to it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write which jobs there are, show the sweep's progress."""
        from shiftbench.launch.discard import Fresh
        from shiftbench.launch.sweep import Conductor, hand_out, jobs_of

        fresh.append(Fresh.of(Path(config.hydra.sweep.dir).expanduser()))
        try:
            jobs = jobs_of(config)
            hand_out(jobs)
            if processes.is_first():
                begun.append(Conductor.of(config, jobs))
        except UsageError as error:
            refused.append(error)
        except OSError as error:
            refused.append(cannot_write(config.out, error))
        if refused:
            hand_out([])
