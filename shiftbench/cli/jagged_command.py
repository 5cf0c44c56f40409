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
from shiftbench.report.figures.jagged_curve import jagged, path_of, typical_images, views_of
from shiftbench.report.load.records import RunRecord

DESCRIPTION = """A figure for a few test images: a strip of shifted images and below it the
probability of the true class against the shift, one curve for each run. The images are selected by
rank, not by hand. The runs must share their test images and shifts."""


def draw_runs(arguments: Sequence[str]) -> int:
    """Draw the figure and print its path.

    Raises:
        UsageError: If a run does not exist, is not finished or lacks the protocol.
        ShiftbenchError: If the runs were tested on different images or shifts.
    """
    options = _parse(arguments)
    runs = [find_run(name, Path(options.out).expanduser()) for name in options.runs]
    tables = _tables(runs, options.protocol)
    file = Path(options.figure or f"jagged_{options.protocol}.png").expanduser()
    jagged(tables, _strips(runs[0].folder, options.protocol, list(tables.values())), file)
    print(file)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = VerbParser("jagged", DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder or a prefix of it")
    parser.add_argument(
        "--protocol", default="translate", metavar="NAME", help="default: translate"
    )
    parser.add_argument("--figure", metavar="FILE", help="PNG file (default: jagged_NAME.png)")
    parser.add_argument("--out", default="outputs", metavar="PATH", help="default: outputs")
    return parser.parse(arguments)


def _tables(runs: Sequence[RunRecord], protocol: str) -> dict[str, PredictionTable]:
    """Return the runs' tables by pool, or by run if two runs have the same pool."""
    files = [run.folder / "predictions" / f"{protocol}.npz" for run in runs]
    for run, file in zip(runs, files, strict=True):
        if not file.is_file():
            there = ", ".join(sorted(path.stem for path in file.parent.glob("*.npz"))) or "none"
            raise UsageError(f"{run.folder} was not measured under {protocol}; it has: {there}")
    tables = [PredictionTable.load(file) for file in files]
    for table in tables:
        if not _same_views(table, tables[0]):
            raise ShiftbenchError("the runs saw different images or shifts; compare like with like")
    if path_of(tables[0]) is None:
        raise UsageError(f"{protocol} has no path that all images share; try --protocol translate")
    pools = [str(run.labels["pool"]) for run in runs]
    names = pools if len(set(pools)) == len(pools) else [run.folder.name for run in runs]
    return dict(zip(names, tables, strict=True))


def _same_views(table: PredictionTable, other: PredictionTable) -> bool:
    return np.array_equal(table.labels, other.labels) and np.array_equal(table.shifts, other.shifts)


def _strips(
    run: Path, protocol: str, tables: Sequence[PredictionTable]
) -> Mapping[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Return the inputs of the network, recomputed from the run's configuration."""
    from shiftbench.data.shown import ShownSplit
    from shiftbench.experiment import build
    from shiftbench.predict.strips import strips

    config = OmegaConf.load(run / "config.yaml")
    data = build.dataset(config)  # type: ignore[arg-type]
    steps = path_of(tables[0])
    assert steps is not None
    shown = tables[0].shifts[steps.columns[views_of(steps)]]
    shift = build.protocols(config)[protocol]  # type: ignore[arg-type]
    return strips(ShownSplit.of_test(data), shift, typical_images(tables), shown)
