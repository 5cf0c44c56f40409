r"""Run folders of a committed study, from its results.csv.gz, so that it can be judged again.

    python benchmarks/rebuild_runs.py outputs/reference/zhang rebuilt \
        experiment=zhang data=folder data.root=cifar10 data.name=cifar10
    shiftbench report rebuilt --claims

The settings are those that the command composes today, whose runs are found by their labels and
seed; a run that is not found, or found twice, is an error. The folders hold metrics.csv, run.json
and status.json, no shifts, layers or tables: claims that need these are not run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from shiftbench.launch.sweep import jobs_of
from shiftbench.runs.identity import counting
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import names
from shiftbench.settings.schema import CONFIG_DIR, register
from shiftbench.settings.slugs import short_hash
from shiftbench.storage.result_files import METRIC_COLUMNS, read_csv, write_csv

LABELS = ("data", "model", "pool", "head", "padding", "augment", "seed")


def composed(given: list[str]) -> Iterator[DictConfig]:
    """Yield the configuration of every job of an experiment."""
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        study = compose("config", given, return_hydra_config=True)
        for job in jobs_of(study):
            yield compose("config", [*given, *job], return_hydra_config=True)


def run_of(config: DictConfig) -> dict[str, Any]:
    """Return the content of ``run.json``, as far as a report reads it."""
    labels = asdict(names(config, config.hydra.runtime.choices, [CONFIG_DIR]))
    labels |= {name: config[name] for name in ("padding", "precision", "seed")}
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    settings = counting(config)
    repeated = {key: value for key, value in settings.items() if key != "seed"}
    return {"labels": labels, "settings": settings,
            "config_id": short_hash(json.dumps(repeated, sort_keys=True, default=str))}  # fmt: skip


def rebuild(rows: pd.DataFrame, runs: list[dict[str, Any]], out: Path) -> int:
    """Write a folder for every run; return how many runs of the results no job stands for."""
    groups = {tuple(str(value) for value in key): part for key, part in rows.groupby(list(LABELS))}
    for run in runs:
        key = tuple(str(run["labels"][name]) for name in LABELS)
        part = groups.pop(key, None)
        if part is None or part["run_id"].nunique() != 1:
            sys.exit(f"{key}: {'no run' if part is None else 'several runs'} in the results")
        run_id = part["run_id"].iloc[0]
        folder = out / "runs" / run_id
        folder.mkdir(parents=True)
        write_csv(part, folder / "metrics.csv", METRIC_COLUMNS)
        (folder / "run.json").write_text(json.dumps({"run_id": run_id, **run}, default=str))
        (folder / "status.json").write_text(json.dumps({"state": "done", "seconds": 0.0}))
    return len(groups)


def main() -> None:
    """Rebuild what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="a folder with results.csv.gz")
    parser.add_argument("out", type=Path, help="where run folders go; must not be there")
    parser.add_argument("overrides", nargs="+", help="the command that made the study")
    given = parser.parse_args()
    rows = read_csv(given.study / "results.csv.gz", METRIC_COLUMNS)
    found = [run_of(config) for config in composed(given.overrides)]
    # What two grids of a study share, written in two ways, is one run.
    runs = list({(run["config_id"], run["labels"]["seed"]): run for run in found}.values())
    left = rebuild(rows, runs, given.out)
    print(f"{len(runs)} runs in {given.out / 'runs'}; {left} in the results are of no job")


if __name__ == "__main__":
    main()
