"""One job of a command: skip what is done, run what is not, say how it went."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from shiftbench import processes
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.launch.discard import withdrawn
from shiftbench.report.progress import mute
from shiftbench.runs import results_versions
from shiftbench.runs.run import Run
from shiftbench.runs.sweep_state import DONE, FAILED, LEFT_OUT, RUNNING, SKIPPED, STOPPED, Sweep
from shiftbench.runtime.job_slots import is_parallel, take_place
from shiftbench.runtime.streams import adapt_streams
from shiftbench.settings import labels
from shiftbench.settings import schema as configuration
from shiftbench.storage.interrupts import heed_termination, how_stopped

log = logging.getLogger(__name__)

STARTED = time.time()


def run_job(config: DictConfig) -> None:
    """Run the composed configuration, or say that it is done.

    Raises:
        ShiftbenchError: In one sentence, for what the user can correct. A job of a sweep raises
            nothing: it says so in the sweep's folder, and the others go on.
    """
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir).expanduser() if hydra.mode == RunMode.MULTIRUN else None
    beside_others = sweep is not None and is_parallel(hydra.launcher)
    setup_logging(beside_others)
    if sweep is not None and beside_others:
        heed_termination()
        take_place(hydra.launcher, sweep / "places")
        mute()
    if not processes.is_first():
        mute()
        if not beside_others:
            _follow(config)
        return
    with _others_waiting(beside_others):
        if sweep is not None:
            _run_in_sweep(config, Sweep.load(sweep))
            return
        configuration.check(config)
        this = Run.of(config, run_names(config))
        _finish(this, config, STARTED)
        _show(this, config.figures)


def _others_waiting(beside_others: bool) -> AbstractContextManager[None]:
    """Let the other processes of a command under torchrun wait for what this one decides."""
    if processes.count() == 1 or beside_others:
        return nullcontext()
    from shiftbench import distributed

    return distributed.deciding()


def _follow(config: DictConfig) -> None:
    """Do this process's share of what the first one decides to run."""
    from shiftbench import distributed
    from shiftbench.experiment.run import run

    if (run_id := distributed.decision()) is None:
        return
    with distributed.team(run_id) as team:
        this = Run.of(config, run_names(config))
        if this.id != run_id:
            raise UsageError(
                f"the processes were given different settings ({run_id}, {this.id}); "
                "start the same command everywhere"
            )
        run(config, this, team)


def _run_in_sweep(config: DictConfig, sweep: Sweep) -> None:
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
        state = DONE if _finish(this, config, sweep.started) else SKIPPED
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
        _tell(sweep, this, place)


def _refuse_two_ways(launcher: Any) -> None:
    if processes.count() > 1 and is_parallel(launcher):
        raise UsageError(
            "the launcher runs jobs side by side and torchrun each job over several processes; "
            "leave out one of the two"
        )


def _finish(this: Run, config: DictConfig, started: float) -> bool:
    """Run what is not done; return whether there was anything to do."""
    if this.is_done() and not config.force:
        log.info("done, skipped: %s (force=true runs it again)", this.id)
        _report_what_may_differ(this)
        return False
    with withdrawn(this), this.alone():
        # Another process may have finished it while this one waited.
        if this.is_done() and not (config.force and this.older_than(started)):
            log.info("done, skipped: %s", this.id)
            return False
        if config.force:
            this.forget(started)
        with this.recording(config, given_overrides()):
            for reason in this.identity.origin.get("unknown", ()):
                log.info("%s: not a part of what this run is known by", reason)
            _announce_torch()
            from shiftbench import distributed
            from shiftbench.experiment.run import run

            with distributed.team(this.id) as team:
                run(config, this, team)
    return True


def _report_what_may_differ(this: Run) -> None:
    """Say where a finished run may not be what the same command would compute now."""
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
    """Return the run's labels, from the options that Hydra chose."""
    runtime = HydraConfig.get().runtime
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    return labels.names(config, dict(runtime.choices), folders)


def setup_logging(beside_others: bool = False) -> None:
    """Log to the console that the progress bars share; plain lines off a terminal.

    Args:
        beside_others: Whether other jobs write there too: then only how the job stands.
    """
    logger = logging.getLogger("shiftbench")
    if logger.handlers:
        return
    adapt_streams()  # a launcher's processes begin here
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not processes.is_first():
        logger.addHandler(logging.NullHandler())
        return
    handler = ConsoleHandler(logging.INFO)
    if beside_others:
        handler.addFilter(lambda record: record.name == __name__ or record.levelno > logging.INFO)
    logger.addHandler(handler)


class ConsoleHandler(logging.Handler):
    """One line a message on the progress bars' console, so that neither tears the other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message; warnings and worse say so."""
        from shiftbench.report.progress import console

        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _show(this: Run, figures: bool) -> None:
    from shiftbench.metric.about import remember
    from shiftbench.report.terminal import print_run
    from shiftbench.storage.result_files import METRIC_COLUMNS, read_rows

    remember(this.noted("metrics"))
    checkpoint = this.checkpoint if this.checkpoint.is_file() else None
    rows = read_rows(this.folder / "metrics.csv", METRIC_COLUMNS)
    print_run(rows, this.folder, checkpoint, figures=figures)


def _tell(sweep: Sweep, this: Run, place: str) -> None:
    """Log the numbers of a finished job and bring the sweep's tables up to date."""
    from shiftbench.report.terminal import in_one_line
    from shiftbench.storage.result_files import METRIC_COLUMNS, read_rows

    rows = read_rows(this.folder / "metrics.csv", METRIC_COLUMNS)
    log.info("%s done: %s", place, in_one_line(rows))
    _keep_tables_current(sweep)


# When this process last wrote a sweep's tables, and how long that took, in seconds.
_written = [0.0, 0.0]


def _keep_tables_current(sweep: Sweep) -> None:
    """Write the sweep's tables anew, unless that would take more than a twentieth of the time."""
    ended, took = _written
    started = time.monotonic()
    if started - ended < 20 * took:
        return
    from shiftbench.cli.report_command import keep_current

    keep_current(sweep.folder)
    _written[:] = [time.monotonic(), time.monotonic() - started]
