"""One job of a command: skips finished runs, executes others and reports the outcome."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from socket import gethostname

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from shiftbench.errors import UsageError
from shiftbench.launch.complete_run import complete
from shiftbench.launch.hydra_job import run_names
from shiftbench.launch.session import Session
from shiftbench.launch.sweep_job import run_in_sweep
from shiftbench.report.progress import mute
from shiftbench.runs.run import Run
from shiftbench.runs.sweep_state import Sweep
from shiftbench.runtime.distributed import world
from shiftbench.runtime.job_slots import SLOTS, is_parallel, take_slot
from shiftbench.runtime.streams import adapt_streams
from shiftbench.settings import schema as configuration
from shiftbench.storage.interrupts import heed_termination


def run_job(config: DictConfig, session: Session) -> None:
    """Run the composed configuration, or report that its run is already finished.

    Args:
        config: The composed configuration.
        session: State that is shared between jobs.

    Raises:
        ShiftbenchError: With a one-sentence message, for errors that the user can correct. A job of
            a sweep raises nothing: it records the error in the sweep's folder, and the other jobs
            continue.
    """
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir).expanduser() if hydra.mode == RunMode.MULTIRUN else None
    beside_others = sweep is not None and is_parallel(hydra.launcher)
    setup_logging(beside_others)
    if sweep is not None and beside_others:
        heed_termination()
        session.slot = session.slot or take_slot(
            hydra.launcher, sweep / SLOTS / gethostname(), config.device
        )
        mute()
    if not world().is_first:
        mute()
        if not beside_others:
            _follow(config, session)
        return
    with nullcontext() if beside_others else session.shared_jobs.leading():
        if sweep is not None:
            run_in_sweep(config, Sweep.load(sweep), session)
            return
        configuration.check(config)
        run = Run.of(config, run_names(config))
        complete(run, config, session.started, session)
        _show(run, config.figures)


def _follow(config: DictConfig, session: Session) -> None:
    """Compute this process's share of the runs that the first process starts."""
    from shiftbench.experiment.run import run as execute

    if (run_id := session.shared_jobs.decision()) is None:
        return
    with session.shared_jobs.team(run_id) as team:
        run = Run.of(config, run_names(config))
        if run.id != run_id:
            raise UsageError(
                f"the processes were given different settings ({run_id}, {run.id}); "
                "start the same command everywhere"
            )
        execute(config, run, team, session.datasets)


def setup_logging(beside_others: bool = False) -> None:
    """Log to the console that the progress bars share; plain lines if it is not a terminal.

    Args:
        beside_others: Whether other jobs write to the same console; if so, only the status of the
            job is logged.
    """
    logger = logging.getLogger("shiftbench")
    if logger.handlers:
        return
    adapt_streams()  # the entry point in processes of a launcher
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not world().is_first:
        logger.addHandler(logging.NullHandler())
        return
    handler = ConsoleHandler(logging.INFO)
    if beside_others:
        handler.addFilter(_is_status)
    logger.addHandler(handler)


def _is_status(record: logging.LogRecord) -> bool:
    return record.name.startswith("shiftbench.launch.") or record.levelno > logging.INFO


class ConsoleHandler(logging.Handler):
    """One line per message on the console of the progress bars, which keeps both intact."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, from warnings on with its level."""
        from shiftbench.report.progress import console

        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _show(run: Run, figures: bool) -> None:
    from shiftbench.metric.about import remember
    from shiftbench.report.tables.run_table import print_run
    from shiftbench.storage.result_files import METRIC_COLUMNS, METRICS_CSV, read_rows

    remember(run.noted("metrics"))
    checkpoint = run.checkpoint if run.checkpoint.is_file() else None
    rows = read_rows(run.folder / METRICS_CSV, METRIC_COLUMNS)
    print_run(rows, run.folder, checkpoint, figures=figures)
