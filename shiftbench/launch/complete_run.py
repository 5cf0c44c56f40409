"""Completes one run: skips it if it is finished, otherwise computes it alone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from omegaconf import DictConfig

from shiftbench.launch.discard import Fresh, withdrawn
from shiftbench.launch.hydra_job import given_overrides
from shiftbench.launch.job_record import JobRecord
from shiftbench.launch.session import Session
from shiftbench.runs import results_versions
from shiftbench.runs.run import Run
from shiftbench.storage.locks import BusyError, always, nobody

log = logging.getLogger(__name__)

Lock = AbstractContextManager[object]


def complete(
    run: Run,
    config: DictConfig,
    started: float,
    session: Session,
    job: JobRecord | None = None,
) -> bool:
    """Complete the run; return whether anything remained to be computed.

    Args:
        run: The run.
        config: Its configuration.
        started: When the command was started, in seconds since the epoch.
        session: State that is shared between jobs.
        job: The run's job in a sweep, whose other workers may run it; None for a single run.

    Raises:
        BusyError: If another worker of the sweep works on the run, or trains its network.
    """
    if run.is_done() and not config.force and not (job and job.is_running()):
        _skip(run, job, " (force=true runs it again)")
        _report_what_may_differ(run)
        return False
    fresh = Fresh.of(run.folder, run.trained)
    with _run_alone(run, job):
        fresh = fresh.with_unused(run.folder, run.trained)
        # Another process may have finished the run while this one waited for the lock.
        is_new = not run.older_than(started) or (job is not None and job.is_done())
        if run.is_done() and (is_new or not config.force):
            _skip(run, job)
            return False
        with (
            _training_alone(run, config, job) as lock,
            job.running(run.id) if job else nullcontext(),
            withdrawn(run, fresh, trains_alone=lock is not None),
        ):
            _compute(run, config, started, session, lock)
    return True


def _skip(run: Run, job: JobRecord | None, advice: str = "") -> None:
    log.info("done, skipped: %s%s", run.id, advice)
    if job:
        job.skip(run.id)


def _compute(
    run: Run, config: DictConfig, started: float, session: Session, lock: Lock | None
) -> None:
    """Execute the run; ``lock`` is that of its training, if it is held already.

    With ``force=true``, the results of an earlier execution are kept until data and network are
    built: a wrong setting costs nothing.
    """
    keeps_results = config.force and run.is_done()
    with run.recording(config, given_overrides(), keeps_results=keeps_results) as record:

        def begin() -> None:
            record()
            if config.force:
                run.forget(started, trains_alone=lock is not None)

        for reason in run.identity.origin.get("unknown", ()):
            log.info("%s: not a part of what this run is known by", reason)
        _announce_torch()
        from shiftbench.experiment.run import run as execute

        with session.shared_jobs.team(run.id) as team:
            execute(config, run, team, session.datasets, lock, begin)


@contextmanager
def _run_alone(run: Run, job: JobRecord | None) -> Iterator[None]:
    """Hold the lock of the run; postpone a job of a sweep if another worker holds it."""
    with ExitStack() as lock:
        try:
            lock.enter_context(run.alone(job.waits_for if job else always))
        except BusyError:
            if job:
                job.postpone(run.id)
            raise
        yield


@contextmanager
def _training_alone(run: Run, config: DictConfig, job: JobRecord | None) -> Iterator[Lock | None]:
    """Take the lock of the training before the run, for which it has to wait otherwise.

    Yields:
        The lock, None if the run itself waits for it: then a job of the same command holds it, or
        there is no training, or the job cannot be postponed.
    """
    if job is None or job.waits_for is always or not config.train.epochs:
        yield None
        return
    with ExitStack() as lock:
        try:
            lock.enter_context(run.training_alone(nobody))
        except BusyError as busy:
            if not job.waits_for(busy.holder):
                job.postpone(run.id, run.identity.train_id)
                raise
            yield None
            return
        yield lock


def _report_what_may_differ(run: Run) -> None:
    """Report why a finished run may differ from what the same command would compute now."""
    if changed := run.outdated():
        measured = set(changed) <= set(results_versions.FROM_TABLES)
        remedy = (
            f"shiftbench report --remeasure {run.folder} brings them up to date"
            if measured
            else "force=true measures it again, or keep it"
        )
        log.warning(
            "%s was measured by shiftbench %s, since when these parts changed: %s; %s",
            run.id, run.made_by(), results_versions.described(changed), remedy,
        )  # fmt: skip
    for reason in run.identity.origin.get("unknown", ()):
        log.warning("%s; force=true runs it again if that changed", reason)


def _announce_torch() -> None:
    if "torch" not in sys.modules:
        logging.getLogger("shiftbench.start").info("loading torch")
