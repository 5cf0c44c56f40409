"""Composes the jobs of a command without running them, for ``--plan``; without torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from shiftbench.launch.sweep import jobs_of
from shiftbench.settings.hydra_patches import execution_replaced


@contextmanager
def composed_only(visit: Callable[[DictConfig], None]) -> Iterator[None]:
    """Let Hydra hand the configuration of every job to ``visit``; nothing is run or written.

    While ``visit`` runs, ``HydraConfig`` is that of the job. Callbacks, sweepers and launchers are
    not called.
    """

    def run(hydra: Any, *, config_name: str, overrides: list[str], **_: object) -> None:
        config = hydra.compose_config(config_name, overrides, run_mode=RunMode.RUN)
        config.hydra.mode = RunMode.RUN
        visit(_entered(config))

    def multirun(hydra: Any, *, config_name: str, overrides: list[str], **_: object) -> None:
        sweep = hydra.compose_config(config_name, overrides, run_mode=RunMode.MULTIRUN)
        for job in jobs_of(sweep):
            visit(_entered(hydra.config_loader.load_sweep_config(sweep, job)))

    with execution_replaced(run, multirun):
        yield


def _entered(config: DictConfig) -> DictConfig:
    """Make a job's ``hydra`` node the current one; return its configuration without the node."""
    HydraConfig.instance().set_config(config)
    own = copy.deepcopy(config)
    with read_write(own), open_dict(own):
        del own["hydra"]
    return own
