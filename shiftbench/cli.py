"""The command ``shiftbench``: verbs, Hydra, exit codes. Imports no torch."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import hydra
from omegaconf import DictConfig

from shiftbench import __version__, processes
from shiftbench.callbacks import begun, refused
from shiftbench.composing import mode_is_plain
from shiftbench.config import CONFIG_DIR, register, sweep_id
from shiftbench.errors import ShiftbenchError, UsageError, shown
from shiftbench.sweep import FAILED as FAILED_JOB
from shiftbench.sweep import LEFT_OUT

VERBS = ("compare", "jagged", "list", "report")
SAME_FAILURE = 20  # seconds within which two processes fail for the same reason
OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
LONGEST = 2000  # characters of an error that are shown


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit.

    0 all done, 1 a job failed, 2 a usage error, 130 Ctrl-C, 143 terminated by a scheduler.
    """
    signal.signal(signal.SIGTERM, _terminate)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not processes.is_first():
        _be_silent()
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        sys.exit(code)
    except UsageError as error:
        _fail(str(error), USAGE)
    except ShiftbenchError as error:
        _fail(str(error), FAILED)
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        _fail("the home directory of ~ cannot be found; give a path without ~", USAGE)
    except KeyboardInterrupt as stop:
        code = stop.args[0] if stop.args else INTERRUPTED
        _fail("stopped; everything finished so far is kept, the same command goes on", code)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing more to say to it.
        _drop_stdout()
        sys.exit(FAILED)
    except OSError as error:
        _drop_stdout()
        _fail(f"{error.strerror or error} ({error.filename or 'standard output'})", FAILED)


def _dispatch(arguments: list[str]) -> int:
    if not processes.is_first() and arguments and arguments[0] in VERBS:
        return OK
    if "--version" in arguments:
        print(f"shiftbench {__version__}")
        return OK
    if arguments in (["--help"], ["-h"]):
        from shiftbench.usage_text import help_text

        print(help_text())
        return OK
    if arguments and arguments[0] == "list":
        from shiftbench.listing import list_options

        return list_options(arguments[1:])
    if arguments and arguments[0] == "jagged":
        from shiftbench.jagged_runs import draw_runs

        return draw_runs(arguments[1:])
    if arguments and arguments[0] == "report":
        from shiftbench.reporting import report_runs

        return report_runs(arguments[1:])
    if arguments and arguments[0] == "compare":
        from shiftbench.comparing import compare_runs

        return compare_runs(arguments[1:])
    return _hydra(arguments)


def _hydra(arguments: list[str]) -> int:
    """Compose the configuration and run the job or the sweep."""
    from shiftbench.usage import explain, refuse

    register()
    _allow_lazy_help()
    refuse(arguments)
    own_wish = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Makes Hydra hand its errors over instead of printing them and exiting.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ["SHIFTBENCH_SWEEP"] = sweep_id(arguments)  # read by configs/config.yaml
    sys.argv = [sys.argv[0], *arguments]
    failures.clear()
    try:
        with mode_is_plain(arguments):
            _job()
    except KeyboardInterrupt:
        _end_sweep()
        raise
    except Exception as error:
        if refused:
            raise refused.pop() from error
        sentence = explain(error, arguments)
        if sentence is None and begun and not own_wish:  # the launcher, not a job
            return _end_sweep(f"{type(error).__name__}: {error}".splitlines()[0]) or FAILED
        if begun:
            begun.pop().display.stop()
        if sentence is None or own_wish:
            raise
        raise UsageError(sentence) from error
    if refused:
        raise refused.pop()
    for failure in failures:
        print(f"shiftbench: {shown(failure, LONGEST)}", file=sys.stderr)
        processes.leave_reason(str(failure))
    code = _end_sweep()
    return _exit_code([isinstance(failure, UsageError) for failure in failures]) or code


def _end_sweep(launcher_error: str | None = None) -> int:
    """Write the report of the sweep, if there is one, and return its exit code."""
    if not begun:
        return OK
    jobs = begun.pop().end(launcher_error)
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
    from shiftbench.job import run_job

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


def _terminate(*_: object) -> NoReturn:
    """End as by Ctrl-C, so that the run says that it was interrupted."""
    raise KeyboardInterrupt(TERMINATED)


def _drop_stdout() -> None:
    """Send what is still unwritten nowhere, so that Python does not fail again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _be_silent() -> None:
    """Leave all speaking to the first process; only what breaks this one alone is said."""
    _drop_stdout()
    warnings.simplefilter("ignore")


def _leave_it_to_the_first(code: int) -> None:
    """Give the first process time to fail in the same way: torchrun then ends this one."""
    try:
        if code in (FAILED, USAGE):
            time.sleep(SAME_FAILURE)
            return
    except KeyboardInterrupt:
        pass
    sys.exit(code)


def _fail(sentence: str, code: int) -> NoReturn:
    if not processes.is_first():
        _leave_it_to_the_first(code)
    processes.leave_reason(sentence)
    print(f"shiftbench: {shown(sentence, LONGEST)}", file=sys.stderr)
    sys.exit(code)
