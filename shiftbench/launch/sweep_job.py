"""One job of a sweep: other workers of the sweep may run it, and it raises no error."""

from __future__ import annotations

import logging
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.launch.complete_run import complete
from shiftbench.launch.hydra_job import given_overrides, run_names
from shiftbench.launch.job_record import JobRecord
from shiftbench.launch.session import Session, Throttle
from shiftbench.runs.run import Run
from shiftbench.runs.sweep_state import FAILED, LEFT_OUT, RUNNING, SETTLED, Sweep
from shiftbench.runtime.distributed import world
from shiftbench.runtime.job_slots import is_parallel
from shiftbench.settings import schema as configuration
from shiftbench.storage.leases import worker_name
from shiftbench.storage.locks import BusyError

log = logging.getLogger(__name__)


def run_in_sweep(config: DictConfig, sweep: Sweep, session: Session) -> None:
    """Run one job of a sweep, or postpone it because another worker of the sweep runs it.

    A failure is recorded in the sweep's folder. What other workers did since the sweep was started
    is not repeated, including failures.
    """
    job = JobRecord(sweep, tuple(given_overrides()))
    if _has_failed_elsewhere(job) or _is_left_out(job, config):
        return
    run = None
    try:
        _refuse_two_ways(HydraConfig.get().launcher)
        configuration.check(config)
        run = Run.of(config, run_names(config))
        log.info("%s: %s", job.position, run.id)
        computed = complete(run, config, sweep.started, session, job)
    except BusyError as busy:
        log.info("%s is postponed, as %s works on it", job.position, busy)
        return
    except ShiftbenchError as error:
        job.fail(error, run.id if run else None)
        return
    if computed and job.is_done():
        _show_results(sweep, run, job.position, session.tables)


def _has_failed_elsewhere(job: JobRecord) -> bool:
    """Whether another worker found that the job fails, since the sweep was started."""
    now = job.now()
    return now.state == FAILED and now.worker != worker_name()


def _is_left_out(job: JobRecord, config: DictConfig) -> bool:
    """Leave the job out if ``fail_fast`` says so and no other worker runs it."""
    if not config.fail_fast or all(one.state != FAILED for one in job.sweep.jobs()):
        return False
    now = job.now()
    if now.state not in SETTLED and not (now.state == RUNNING and job.sweep.is_worked_on(now)):
        job.sweep.put(job.overrides, state=LEFT_OUT)
    return True


def _refuse_two_ways(launcher: Any) -> None:
    if world().size > 1 and is_parallel(launcher):
        raise UsageError(
            "the launcher runs jobs side by side and torchrun each job over several processes; "
            "leave out one of the two"
        )


def _show_results(sweep: Sweep, run: Run, position: str, tables: Throttle) -> None:
    """Log the results of a finished job and update the sweep's tables."""
    from shiftbench.report.tables.run_table import in_one_line
    from shiftbench.storage.result_files import METRIC_COLUMNS, METRICS_CSV, read_rows

    rows = read_rows(run.folder / METRICS_CSV, METRIC_COLUMNS)
    log.info("%s done: %s", position, in_one_line(rows))
    if tables.is_due():
        from shiftbench.report.write import update_tables

        with tables.timed():
            update_tables(sweep.folder)
