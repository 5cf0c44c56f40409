"""The Hydra application: composes the jobs and rephrases Hydra's errors; without torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from omegaconf import DictConfig

from shiftbench.errors import FAILED, LONGEST, OK, USAGE, ShiftbenchError, UsageError, printable
from shiftbench.launch import session
from shiftbench.launch.session import Session
from shiftbench.runs.sweep_state import FAILED as FAILED_JOB
from shiftbench.runs.sweep_state import LEFT_OUT
from shiftbench.runtime.distributed import leave_reason, world
from shiftbench.runtime.job_slots import keep_given_threads
from shiftbench.settings import hydra_patches
from shiftbench.settings.schema import CONFIG_DIR, register
from shiftbench.settings.slugs import SWEEP_NAME, sweep_id
from shiftbench.storage.leases import name_worker


def compose_and_run(arguments: list[str]) -> int:
    """Compose the configuration, run the job or the sweep, return the exit code."""
    from shiftbench.launch.hydra_errors import refuse
    from shiftbench.launch.plan import without_flag

    register()
    arguments, is_plan = without_flag(arguments)
    refuse(arguments)
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Makes Hydra raise its errors instead of printing them and exiting.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ[SWEEP_NAME] = sweep_id(arguments)
    sys.argv = [sys.argv[0], *arguments]
    keep_given_threads()
    name_worker()
    with session.opened() as command:
        try:
            with hydra_patches.installed(arguments, planned=command.rounds):
                application = hydra_patches.application(_job, CONFIG_DIR)
                if is_plan:
                    _show_plan(application, command)
                else:
                    application()
        except KeyboardInterrupt as stop:
            _end_sweep(command, stopped=stop)
            raise
        except Exception as error:
            return _end_badly(command, error, arguments, wants_traceback)
        return _end(command)


def _job(config: DictConfig) -> None:
    """Run one job; called by Hydra, with joblib and submitit in a separate process."""
    from shiftbench.launch.job import run_job

    command = session.current()
    try:
        run_job(config, command)
    except ShiftbenchError as error:
        command.failures.append(error)


def _show_plan(application: Callable[[], None], command: Session) -> None:
    """Print what the jobs of the command need; none of them is run."""
    from shiftbench.launch.compose_only import composed_only
    from shiftbench.launch.plan import Collected

    if not world().is_first:
        return
    found = Collected()
    try:
        with composed_only(found.add):
            application()
        found.show()
    except ShiftbenchError as error:
        command.failures.append(error)


def _end(command: Session) -> int:
    """Report failures and refusals; return the exit code."""
    if command.refusal:
        _withdraw(command)
        raise command.refusal
    for failure in command.failures:
        print(f"shiftbench: {printable(failure, LONGEST)}", file=sys.stderr)
        leave_reason(str(failure))
    code = _end_sweep(command)
    return _exit_code([isinstance(failure, UsageError) for failure in command.failures]) or code


def _end_badly(
    command: Session, error: Exception, arguments: list[str], wants_traceback: bool
) -> int:
    """Handle an error that Hydra or a launcher raised.

    Args:
        command: The command's session.
        error: The exception.
        arguments: The command's arguments.
        wants_traceback: Whether the user set ``HYDRA_FULL_ERROR=1``, to see tracebacks.

    Raises:
        UsageError: If the user can correct it.
        Exception: The error itself otherwise; a launcher's error is reported instead.
    """
    from shiftbench.launch.hydra_errors import explain

    if command.refusal:
        _withdraw(command)
        raise command.refusal from error
    sentence = explain(error, arguments)
    if sentence is None and command.controller and not wants_traceback:  # the launcher, not a job
        return _end_sweep(command, f"{type(error).__name__}: {error}".splitlines()[0]) or FAILED
    if command.controller:
        command.controller.leave()
    if sentence is None or wants_traceback:
        raise error
    _withdraw(command)
    raise UsageError(sentence) from error


def _withdraw(command: Session) -> None:
    """Remove the folder of a refused sweep, if it did not exist before."""
    made = command.created
    if made and not any(any(folder.glob("jobs/*")) for folder in made.folders):
        made.remove()


def _end_sweep(
    command: Session, launcher_error: str | None = None, stopped: KeyboardInterrupt | None = None
) -> int:
    """Write the report of the sweep, if the command has one, and return its exit code."""
    if not command.controller:
        return OK
    jobs = command.controller.end(launcher_error, stopped)
    failed = [job for job in jobs if job.state in (FAILED_JOB, LEFT_OUT)]
    if failed:
        leave_reason(f"{len(failed)} of {len(jobs)} jobs failed, as said above")
    return _exit_code([job.usage for job in failed])


def _exit_code(wrong_settings: list[bool]) -> int:
    """Return the exit code for failures, given whether a wrong setting caused each of them."""
    if not wrong_settings:
        return OK
    return USAGE if all(wrong_settings) else FAILED
