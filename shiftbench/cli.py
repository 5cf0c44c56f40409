"""The command ``shiftbench``: verbs, Hydra, exit codes. Imports no torch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import hydra
from omegaconf import DictConfig

from shiftbench import __version__
from shiftbench.config import CONFIG_DIR, register, sweep_id
from shiftbench.errors import ShiftbenchError, UsageError

VERBS = ("compare", "jagged", "list")
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 all done, 1 a job failed, 2 a usage error, 130 Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        sys.exit(code)
    except UsageError as error:
        _fail(str(error), USAGE)
    except ShiftbenchError as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        _fail("stopped; everything finished so far is kept, the same command goes on", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing more to say to it.
        _drop_stdout()
        sys.exit(FAILED)
    except OSError as error:
        _drop_stdout()
        _fail(f"{error.strerror or error} ({error.filename or 'standard output'})", FAILED)


def _dispatch(arguments: list[str]) -> int:
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
    if arguments and arguments[0] == "compare":
        from shiftbench.comparing import compare_runs

        return compare_runs(arguments[1:])
    return _hydra(arguments)


def _hydra(arguments: list[str]) -> int:
    """Compose the configuration and run the job or the sweep."""
    from shiftbench.usage import explain

    register()
    _allow_lazy_help()
    own_wish = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Makes Hydra hand its errors over instead of printing them and exiting.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ["SHIFTBENCH_SWEEP"] = sweep_id(arguments)  # read by configs/config.yaml
    sys.argv = [sys.argv[0], *arguments]
    failures.clear()
    try:
        _job()
    except Exception as error:
        sentence = explain(error, arguments)
        if sentence is None or own_wish:
            raise
        raise UsageError(sentence) from error
    for failure in failures:
        print(f"shiftbench: {failure}", file=sys.stderr)
    if not failures:
        return OK
    return USAGE if all(isinstance(failure, UsageError) for failure in failures) else FAILED


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


def _drop_stdout() -> None:
    """Send what is still unwritten nowhere, so that Python does not fail again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(sentence: str, code: int) -> NoReturn:
    print(f"shiftbench: {sentence}", file=sys.stderr)
    sys.exit(code)
