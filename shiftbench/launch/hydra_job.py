"""What Hydra knows of the job that it has called."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from shiftbench.settings import labels
from shiftbench.settings import schema as configuration


def given_overrides() -> list[str]:
    """Return the job's overrides as they were typed."""
    return configuration.as_typed(HydraConfig.get().overrides.task)


def run_names(config: DictConfig) -> labels.Names:
    """Return the run's labels, derived from the options that Hydra selected."""
    runtime = HydraConfig.get().runtime
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    return labels.names(config, dict(runtime.choices), folders)
