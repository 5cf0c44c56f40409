"""The command ``shiftbench``: verbs and exit codes; imports neither Hydra nor torch."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from shiftbench import __version__
from shiftbench.errors import FAILED, LONGEST, OK, USAGE, ShiftbenchError, UsageError, printable
from shiftbench.runtime import distributed
from shiftbench.runtime.streams import adapt_streams, discard_stdout
from shiftbench.storage.interrupts import exit_code, heed_termination

VERBS = ("compare", "jagged", "list", "report")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit.

    Exit codes: 0 success, 1 a job failed, 2 usage error, 130 Ctrl-C, 143 terminated by a scheduler.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    heed_termination()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    adapt_streams()
    _own_matplotlib()
    _wait_passively()
    distributed.silence_follower()
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
        sentence = "stopped; everything finished so far is kept, the same command resumes"
        _fail(sentence, exit_code(stop))
    except BrokenPipeError:
        # The reader of the output has closed the pipe, e.g. `| head`.
        discard_stdout()
        sys.exit(FAILED)
    except OSError as error:
        discard_stdout()
        _fail(f"{error.strerror or error} ({error.filename or 'standard output'})", FAILED)


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in VERBS and not distributed.world().is_first:
        return OK
    if "--version" in arguments:
        print(f"shiftbench {__version__}")
        return OK
    if arguments in (["--help"], ["-h"]):
        from shiftbench.cli.usage_text import help_text

        print(help_text())
        return OK
    if arguments and arguments[0] == "list":
        from shiftbench.cli.list_command import list_options

        return list_options(arguments[1:])
    if arguments and arguments[0] == "jagged":
        from shiftbench.cli.jagged_command import draw_runs

        return draw_runs(arguments[1:])
    if arguments and arguments[0] == "report":
        from shiftbench.cli.report_command import report_runs

        return report_runs(arguments[1:])
    if arguments and arguments[0] == "compare":
        from shiftbench.cli.compare_command import compare_runs

        return compare_runs(arguments[1:])
    from shiftbench.launch.hydra_app import compose_and_run

    return compose_and_run(arguments)


def _own_matplotlib() -> None:
    """Make matplotlib start with its default settings, in this process and in its jobs.

    If the user's backend is not installed, or the user's matplotlibrc is not readable, matplotlib
    cannot be imported. All other settings of that file are ignored when figures are drawn.
    """
    os.environ["MPLBACKEND"] = "agg"
    os.environ["MATPLOTLIBRC"] = os.devnull


def _wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, in this process and in its jobs.

    By default they spin, which takes the cores from the threads that they wait for if another
    process is active. OpenMP reads the variable when torch is loaded; a value of the user is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _fail(sentence: str, code: int) -> NoReturn:
    distributed.leave_failure(sentence, code)
    print(f"shiftbench: {printable(sentence, LONGEST)}", file=sys.stderr)
    sys.exit(code)
