"""``shiftbench jagged RUN...``: the jagged curves of several runs in one figure."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from shiftbench.cli.compare_command import VerbParser, find_run
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.jagged import jagged, path_of, typical_images, views_of
from shiftbench.storage.result_files import METRIC_COLUMNS, read_csv

DESCRIPTION = """For a few test images, the strip of shifted pictures and below it the probability
of the true class against the shift, one curve for each run. The images are picked by their rank,
not by hand. The runs have to have seen the same images and shifts."""


def draw_runs(arguments: Sequence[str]) -> int:
    """Draw the figure and say where it is.

    Raises:
        UsageError: If a run is not there, not finished or lacks the protocol.
        ShiftbenchError: If the runs saw different images or shifts.
    """
    options = _parse(arguments)
    runs = [find_run(name, Path(options.out).expanduser()) for name in options.runs]
    tables = _tables(runs, options.protocol)
    file = Path(options.figure or f"jagged_{options.protocol}.png").expanduser()
    jagged(tables, _strips(runs[0], options.protocol, list(tables.values())), file)
    print(file)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = VerbParser("jagged", DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or how it begins")
    parser.add_argument("--protocol", default="translate", metavar="NAME", help="(translate)")
    parser.add_argument("--figure", metavar="FILE", help="the PNG (default: jagged_NAME.png)")
    parser.add_argument("--out", default="outputs", metavar="PATH", help="where runs are (outputs)")
    return parser.parse(arguments)


def _tables(runs: Sequence[Path], protocol: str) -> dict[str, PredictionTable]:
    """Return the runs' tables by pool, or by run where two have one pool."""
    files = [run / "predictions" / f"{protocol}.npz" for run in runs]
    for run, file in zip(runs, files, strict=True):
        if not file.is_file():
            there = ", ".join(sorted(path.stem for path in file.parent.glob("*.npz"))) or "none"
            raise UsageError(f"{run} was not measured under {protocol}; it has: {there}")
    tables = [PredictionTable.load(file) for file in files]
    for table in tables:
        if not _same_views(table, tables[0]):
            raise ShiftbenchError("the runs saw different images or shifts; compare like with like")
    if path_of(tables[0]) is None:
        raise UsageError(f"{protocol} has no path that all images share; try --protocol translate")
    pools = [str(read_csv(run / "metrics.csv", METRIC_COLUMNS)["pool"].iloc[0]) for run in runs]
    names = pools if len(set(pools)) == len(pools) else [run.name for run in runs]
    return dict(zip(names, tables, strict=True))


def _same_views(table: PredictionTable, other: PredictionTable) -> bool:
    return np.array_equal(table.labels, other.labels) and np.array_equal(table.shifts, other.shifts)


def _strips(
    run: Path, protocol: str, tables: Sequence[PredictionTable]
) -> Mapping[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Return what the network saw, made again from the run's own configuration."""
    from shiftbench.experiment import build
    from shiftbench.predict.strips import strips

    config = OmegaConf.load(run / "config.yaml")
    data = build.dataset(config)  # type: ignore[arg-type]
    steps = path_of(tables[0])
    assert steps is not None
    shown = tables[0].shifts[steps.columns[views_of(steps)]]
    shift = build.protocols(config)[protocol]  # type: ignore[arg-type]
    return strips(data.test, shift, typical_images(tables), shown, data.mean)
