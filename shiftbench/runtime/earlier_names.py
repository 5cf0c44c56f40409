"""Imports of modules by the names that they had before they moved to packages; no torch.

Scripts and third-party pools that were written for an earlier layout keep working: the import
returns the module under its current name, which a ``FutureWarning`` states.
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
    "batch_norm": "runtime.distributed.sync_batch_norm",
    "board": "runtime.distributed.messages",
    "build": "experiment.build",
    "callbacks": "launch.hydra_callback",
    "checkpoint": "model.checkpoint",
    "comparing": "cli.compare_command",
    "composing": "settings.hydra_patches",
    "config": "settings.schema",
    "cost": "model.cost",
    "data.cache": "storage.cache",
    "data.walk": "storage.walk",
    "deviation": "predict.layer_errors",
    "devices": "runtime.devices",
    "distributed": "runtime.distributed.team",
    "experiment.placing": "experiment.device_placement",
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
    "processes": "runtime.distributed.env",
    "provenance": "runs.provenance",
    "reasons": "runtime.failures",
    "recording": "experiment.outputs",
    "reducing": "metric.result_rows",
    "remeasuring": "runs.remeasure",
    "report.augmentation": "report.figures.augmentation",
    "report.best": "report.tables.best",
    "report.caveats": "report.page.caveats",
    "report.cells": "report.tables.result_tables",
    "report.claim_figures": "report.figures.claim_figures",
    "report.claim_table": "report.tables.claim_table",
    "report.claim_words": "report.tables.claim_text",
    "report.collect": "report.load.collect",
    "report.compared": "report.tables.compared",
    "report.comparison": "report.tables.comparison",
    "report.difference_cells": "report.tables.difference_tables",
    "report.differences": "report.tables.differences",
    "report.distance": "report.figures.distance",
    "report.drawing": "report.figures.drawing",
    "report.failures": "report.tables.failure_table",
    "claims.able": "claims.near_chance",
    "report.gallery": "report.figures.page_figures",
    "report.grid": "report.tables.grid",
    "report.heatmap": "report.figures.shift_plane",
    "report.heatmaps": "report.figures.agreement_maps",
    "report.interval_kinds": "report.tables.interval_kinds",
    "report.jagged": "report.figures.jagged_curve",
    "report.labels": "report.tables.labels",
    "report.layers": "report.figures.layers",
    "report.marks": "report.figures.point_labels",
    "report.markup": "report.tables.markup",
    "report.mixed_versions": "report.load.mixed_versions",
    "report.moved": "report.figures.plain_shifts",
    "report.network_figure": "report.figures.forest_plot",
    "report.page_claims": "report.page.claims",
    "report.page_origin": "report.page.origin",
    "report.paired_interval": "report.tables.paired_interval",
    "report.pareto": "report.figures.pareto",
    "report.per_image": "report.load.per_image",
    "report.places": "report.load.find_runs",
    "report.published": "report.load.published",
    "report.reading": "report.load.read_runs",
    "report.records": "report.load.records",
    "report.repetitions": "report.load.repetitions",
    "report.study": "report.tables.panels",
    "report.summary": "report.tables.summary",
    "report.terminal": "report.tables.run_table",
    "report.theme": "report.figures.theme",
    "report.views": "report.figures.example_views",
    "report.waiting": "report.load.missing_jobs",
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
    """An import finder for names that no other finder knows, and the loader of its modules."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of ``shiftbench.<earlier name>``, None for every other module."""
        package, _, module = name.partition(".")
        if package != "shiftbench" or module not in TODAY:
            return None
        return ModuleSpec(name, cls())  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python create an empty module, which the moved one replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Replace the empty module by the moved one."""
        name = module.__name__
        today = f"shiftbench.{TODAY[name.partition('.')[2]]}"
        warnings.warn(f"{name} is now {today}; import that", FutureWarning, stacklevel=2)
        sys.modules[name] = import_module(today)
