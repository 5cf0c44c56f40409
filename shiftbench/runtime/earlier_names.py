"""Imports of modules by the names that they had before they moved to packages; no torch.

Scripts and third-party pools that were written for an earlier layout keep working: the import gives
the module of today's name, and a ``FutureWarning`` says that name.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

TODAY: dict[str, str] = {
    "adopt": "experiment.external_model",
    "allocator": "runtime.allocator",
    "arguments": "settings.validation",
    "autocast": "ops.autocast",
    "build": "experiment.build",
    "callbacks": "launch.hydra_callback",
    "checkpoint": "model.checkpoint",
    "comparing": "cli.compare_command",
    "composing": "launch.hydra_patches",
    "config": "settings.schema",
    "cost": "model.cost",
    "data.cache": "storage.cache",
    "data.walk": "storage.walk",
    "deviation": "predict.layer_errors",
    "devices": "runtime.devices",
    "figures": "experiment.figures",
    "files": "storage.atomic",
    "fourier": "ops.fourier",
    "geometry": "ops.geometry",
    "identity": "runs.identity",
    "inference.student": "inference.student_t",
    "influence": "metric.influence",
    "inputs": "predict.arrays",
    "interrupts": "storage.interrupts",
    "jagged_runs": "cli.jagged_command",
    "job": "launch.job",
    "layers": "predict.layer_probe",
    "listing": "cli.list_command",
    "locks": "storage.locks",
    "model.foreign": "model.external",
    "model.running_max": "ops.max_filter",
    "naming": "settings.labels",
    "padding": "ops.padding",
    "placement": "runtime.job_slots",
    "predict.answers": "predict.table_columns",
    "predict.fold": "predict.fold_batchnorm",
    "predict.network": "predict.pixel_model",
    "predict.pictures": "predict.example_views",
    "predict.spectral": "ops.fourier_conv_inference",
    "provenance": "runs.provenance",
    "reasons": "runtime.failures",
    "recording": "experiment.outputs",
    "reducing": "metric.result_rows",
    "remeasuring": "runs.remeasure",
    "reporting": "cli.report_command",
    "results": "storage.result_files",
    "run": "runs.run",
    "separable": "ops.separable_filter",
    "setting_names": "launch.setting_names",
    "streams": "runtime.streams",
    "sweep": "runs.sweep_state",
    "sweeping": "launch.sweep",
    "table": "prediction_table",
    "tally": "training.epoch_stats",
    "torus": "ops.fourier_conv",
    "train": "training.trainer",
    "usage": "launch.hydra_errors",
    "usage_text": "cli.usage_text",
    "versions": "runs.results_versions",
    "withdraw": "launch.discard",
}
"""Today's name of every module that has moved, by its earlier one, both inside of the package."""


class EarlierNames:
    """A finder, for what no other finder knows, and the loader of what it finds."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import ``shiftbench.<earlier name>``, None for every other module."""
        package, _, module = name.partition(".")
        if package != "shiftbench" or module not in TODAY:
            return None
        return ModuleSpec(name, cls())  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make an empty module, which the moved one replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the moved module in the place of the one that was made."""
        name = module.__name__
        today = f"shiftbench.{TODAY[name.partition('.')[2]]}"
        warnings.warn(f"{name} is now {today}; import that", FutureWarning, stacklevel=2)
        sys.modules[name] = import_module(today)
