"""From what was typed to jobs: Hydra composes them, and its errors become sentences; no torch."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import hydra
from omegaconf import DictConfig

from shiftbench import processes
from shiftbench.errors import FAILED, LONGEST, OK, USAGE, ShiftbenchError, UsageError, shown
from shiftbench.launch.hydra_callback import begun, fresh, refused
from shiftbench.launch.hydra_patches import mode_is_plain
from shiftbench.runs.sweep_state import FAILED as FAILED_JOB
from shiftbench.runs.sweep_state import LEFT_OUT
from shiftbench.runtime.job_slots import keep_given_threads
from shiftbench.settings.schema import CONFIG_DIR, register, sweep_id


def compose_and_run(arguments: list[str]) -> int:
    """Compose the configuration and run the job or the sweep."""
    from shiftbench.launch.hydra_errors import explain, refuse

    register()
    _allow_lazy_help()
    refuse(arguments)
    own_wish = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Makes Hydra hand its errors over instead of printing them and exiting.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ["SHIFTBENCH_SWEEP"] = sweep_id(arguments)  # read by configs/config.yaml
    sys.argv = [sys.argv[0], *arguments]
    keep_given_threads()
    failures.clear()
    fresh.clear()
    try:
        with mode_is_plain(arguments):
            _job()
    except KeyboardInterrupt as stop:
        _end_sweep(stopped=stop)
        raise
    except Exception as error:
        if refused:
            _withdraw()
            raise refused.pop() from error
        sentence = explain(error, arguments)
        if sentence is None and begun and not own_wish:  # the launcher, not a job
            return _end_sweep(f"{type(error).__name__}: {error}".splitlines()[0]) or FAILED
        if begun:
            begun.pop().display.stop()
        if sentence is None or own_wish:
            raise
        _withdraw()
        raise UsageError(sentence) from error
    if refused:
        _withdraw()
        raise refused.pop()
    for failure in failures:
        print(f"shiftbench: {shown(failure, LONGEST)}", file=sys.stderr)
        processes.leave_reason(str(failure))
    code = _end_sweep()
    return _exit_code([isinstance(failure, UsageError) for failure in failures]) or code


def _withdraw() -> None:
    """Remove the folder of a sweep that is refused, if it was not there before."""
    while fresh:
        made = fresh.pop()
        if not any(folder.glob("jobs/*") for folder in made.folders):
            made.remove()


def _end_sweep(launcher_error: str | None = None, stopped: KeyboardInterrupt | None = None) -> int:
    """Write the report of the sweep, if there is one, and return its exit code."""
    if not begun:
        return OK
    jobs = begun.pop().end(launcher_error, stopped)
    failed = [job for job in jobs if job.state in (FAILED_JOB, LEFT_OUT)]
    if failed:
        processes.leave_reason(f"{len(failed)} of {len(jobs)} jobs failed, as said above")
    return _exit_code([job.usage for job in failed])


def _exit_code(wrong_settings: list[bool]) -> int:
    """Return the code for failures, each with whether a wrong setting caused it."""
    if not wrong_settings:
        return OK
    return USAGE if all(wrong_settings) else FAILED


# A job that raised would make Hydra print a line of its own, so failures are kept here instead.
failures: list[ShiftbenchError] = []


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def _job(config: DictConfig) -> None:
    from shiftbench.launch.job import run_job

    try:
        run_job(config)
    except ShiftbenchError as error:
        failures.append(error)


def _allow_lazy_help() -> None:
    """Let Hydra 1.3's lazily made help text pass argparse's check (Python 3.14 and later).

    To be deleted with Hydra 1.4.
    """
    check: Any = getattr(argparse.ArgumentParser, "_check_help", None)
    if check is None:
        return

    def check_help(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            check(parser, action)

    setattr(argparse.ArgumentParser, "_check_help", check_help)  # noqa: B010
