"""The prediction tables of a run."""

from __future__ import annotations

import logging
import time
from typing import Any

from omegaconf import DictConfig

from shiftbench.data.images import Dataset
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.prediction_table import PredictionTable
from shiftbench.report.progress import bar
from shiftbench.runs.run import Run
from shiftbench.runtime.distributed.team import Team
from shiftbench.shift.base import ShiftProtocol

log = logging.getLogger(__name__)


def measure(
    config: DictConfig,
    run: Run,
    network: PixelModel,
    data: Dataset,
    protocols: dict[str, ShiftProtocol],
    team: Team,
) -> dict[str, PredictionTable]:
    """Return the prediction table of every protocol, each saved when it is finished.

    Only the first process receives them. The time that each took is added to ``provenance.json``.
    """
    tables, measured = {}, dict[str, dict[str, Any]]()
    for name, protocol in protocols.items():
        table = run.table(name) if team.is_first else None
        started = time.perf_counter()
        if team.broadcast(table is not None):
            log.info("measured %s before it was stopped", name)
        elif parts := team.gather(_answers(config, network, data, name, protocol, team)):
            table = PredictionTable.joined([part for part in parts if part is not None])
            measured[name] = {
                "seconds": round(time.perf_counter() - started, 3),
                "views": table.n_images * table.n_shifts,
                "engine": table.meta["engine"],
            }
            table.meta["run_id"] = run.id
            table.save(run.table_path(name))
        if table is None:
            continue
        log.info(
            "measured %s: %s images × %s shifts, %s engine",
            name, f"{table.n_images:,}", f"{table.n_shifts:,}", table.meta["engine"],
        )  # fmt: skip
        tables[name] = table
    if measured:
        run.add_provenance(measured=measured)
    return tables


def _answers(
    config: DictConfig,
    network: PixelModel,
    data: Dataset,
    name: str,
    protocol: ShiftProtocol,
    team: Team,
) -> PredictionTable | None:
    """Return the table for this process's share of the test images, None if that is empty."""
    part = team.share(len(data.test))
    if not part:
        return None
    settings = config.measure
    options = Options(settings.engine, settings.batch_size, settings.memory_gb)
    with bar(len(part), "images", f"measuring {name}", config.progress) as progress:

        def advance(done: int, total: int) -> None:
            progress.reach(done, total)
            team.check()

        return predict(
            network, data.test, data.image_shape, protocol, options,
            mean=data.mean, advance=advance, part=part,
        )  # fmt: skip
