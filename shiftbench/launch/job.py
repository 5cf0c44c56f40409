"""One job of a command: skips finished runs, executes others and reports the outcome."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.launch.discard import withdrawn
from shiftbench.launch.session import Session, Throttle
from shiftbench.report.progress import mute
from shiftbench.runs import results_versions
from shiftbench.runs.run import Run
from shiftbench.runs.sweep_state import DONE, FAILED, LEFT_OUT, RUNNING, SKIPPED, STOPPED, Sweep
from shiftbench.runtime.distributed import world
from shiftbench.runtime.job_slots import is_parallel, take_place
from shiftbench.runtime.streams import adapt_streams
from shiftbench.settings import labels
from shiftbench.settings import schema as configuration
from shiftbench.storage.interrupts import heed_termination, how_stopped

log = logging.getLogger(__name__)


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
        session.place = session.place or take_place(hydra.launcher, sweep / "places")
        mute()
    if not world().is_first:
        mute()
        if not beside_others:
            _follow(config, session)
        return
    with nullcontext() if beside_others else session.shared_jobs.leading():
        if sweep is not None:
            _run_in_sweep(config, Sweep.load(sweep), session)
            return
        configuration.check(config)
        this = Run.of(config, run_names(config))
        _finish(this, config, session.started, session)
        _show(this, config.figures)


def _follow(config: DictConfig, session: Session) -> None:
    """Compute this process's share of the runs that the first process starts."""
    from shiftbench.experiment.run import run

    if (run_id := session.shared_jobs.decision()) is None:
        return
    with session.shared_jobs.team(run_id) as team:
        this = Run.of(config, run_names(config))
        if this.id != run_id:
            raise UsageError(
                f"the processes were given different settings ({run_id}, {this.id}); "
                "start the same command everywhere"
            )
        run(config, this, team, session.datasets)


def _run_in_sweep(config: DictConfig, sweep: Sweep, session: Session) -> None:
    hydra = HydraConfig.get()
    overrides = given_overrides()
    place = f"job {int(hydra.job.num) + 1} of {len(sweep.overrides)}"
    if config.fail_fast and any(job.state == FAILED for job in sweep.jobs()):
        sweep.put(overrides, state=LEFT_OUT)
        return
    started, this = time.time(), None
    sweep.put(overrides, state=RUNNING)
    try:
        _refuse_two_ways(hydra.launcher)
        configuration.check(config)
        this = Run.of(config, run_names(config))
        sweep.put(overrides, state=RUNNING, run_id=this.id)
        log.info("%s: %s", place, this.id)
        state = DONE if _finish(this, config, sweep.started, session) else SKIPPED
    except KeyboardInterrupt as stop:
        run_id = this.id if this else None
        sweep.put(overrides, state=STOPPED, run_id=run_id, error=how_stopped(stop))
        raise
    except ShiftbenchError as error:
        log.error("%s failed: %s", place, error)
        sweep.put(
            overrides, state=FAILED, run_id=this.id if this else None, error=str(error),
            usage=isinstance(error, UsageError), seconds=time.time() - started,
        )  # fmt: skip
        return
    sweep.put(overrides, state=state, run_id=this.id, seconds=time.time() - started)
    if state == DONE:
        _tell(sweep, this, place, session.tables)


def _refuse_two_ways(launcher: Any) -> None:
    if world().size > 1 and is_parallel(launcher):
        raise UsageError(
            "the launcher runs jobs side by side and torchrun each job over several processes; "
            "leave out one of the two"
        )


def _finish(this: Run, config: DictConfig, started: float, session: Session) -> bool:
    """Complete the run; return whether anything remained to be computed."""
    if this.is_done() and not config.force:
        log.info("done, skipped: %s (force=true runs it again)", this.id)
        _report_what_may_differ(this)
        return False
    with withdrawn(this), this.alone():
        # Another process may have finished the run while this one waited for the lock.
        if this.is_done() and not (config.force and this.older_than(started)):
            log.info("done, skipped: %s", this.id)
            return False
        if config.force:
            this.forget(started)
        with this.recording(config, given_overrides()):
            for reason in this.identity.origin.get("unknown", ()):
                log.info("%s: not a part of what this run is known by", reason)
            _announce_torch()
            from shiftbench.experiment.run import run

            with session.shared_jobs.team(this.id) as team:
                run(config, this, team, session.datasets)
    return True


def _report_what_may_differ(this: Run) -> None:
    """Report why a finished run may differ from what the same command would compute now."""
    if changed := this.outdated():
        measured = set(changed) <= set(results_versions.FROM_TABLES)
        remedy = (
            f"shiftbench report --remeasure {this.folder} brings them up to date"
            if measured
            else "force=true measures it again, or keep it"
        )
        log.warning(
            "%s was measured by shiftbench %s, since when these parts changed: %s; %s",
            this.id, this.made_by(), results_versions.described(changed), remedy,
        )  # fmt: skip
    for reason in this.identity.origin.get("unknown", ()):
        log.warning("%s; force=true runs it again if that changed", reason)


def _announce_torch() -> None:
    if "torch" not in sys.modules:
        logging.getLogger("shiftbench.start").info("loading torch")


def given_overrides() -> list[str]:
    """Return the job's overrides as they were typed."""
    return configuration.as_typed(HydraConfig.get().overrides.task)


def run_names(config: DictConfig) -> labels.Names:
    """Return the run's labels, derived from the options that Hydra selected."""
    runtime = HydraConfig.get().runtime
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    return labels.names(config, dict(runtime.choices), folders)


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
        handler.addFilter(lambda record: record.name == __name__ or record.levelno > logging.INFO)
    logger.addHandler(handler)


class ConsoleHandler(logging.Handler):
    """One line per message on the console of the progress bars, which keeps both intact."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, from warnings on with its level."""
        from shiftbench.report.progress import console

        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _show(this: Run, figures: bool) -> None:
    from shiftbench.metric.about import remember
    from shiftbench.report.tables.run_table import print_run
    from shiftbench.storage.result_files import METRIC_COLUMNS, read_rows

    remember(this.noted("metrics"))
    checkpoint = this.checkpoint if this.checkpoint.is_file() else None
    rows = read_rows(this.folder / "metrics.csv", METRIC_COLUMNS)
    print_run(rows, this.folder, checkpoint, figures=figures)


def _tell(sweep: Sweep, this: Run, place: str, tables: Throttle) -> None:
    """Log the results of a finished job and update the sweep's tables."""
    from shiftbench.report.tables.run_table import in_one_line
    from shiftbench.storage.result_files import METRIC_COLUMNS, read_rows

    rows = read_rows(this.folder / "metrics.csv", METRIC_COLUMNS)
    log.info("%s done: %s", place, in_one_line(rows))
    if tables.is_due():
        from shiftbench.report.write import update_tables

        with tables.timed():
            update_tables(sweep.folder)
