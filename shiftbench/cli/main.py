"""The command ``shiftbench``: verbs and exit codes. Imports neither Hydra nor torch."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from typing import NoReturn

from shiftbench import __version__, processes
from shiftbench.errors import FAILED, LONGEST, OK, USAGE, ShiftbenchError, UsageError, shown
from shiftbench.runtime.streams import adapt_streams
from shiftbench.storage.interrupts import exit_code, heed_termination

VERBS = ("compare", "jagged", "list", "report")
SAME_FAILURE = 20  # seconds within which two processes fail for the same reason


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit.

    0 all done, 1 a job failed, 2 a usage error, 130 Ctrl-C, 143 terminated by a scheduler.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    heed_termination()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    adapt_streams()
    _own_matplotlib()
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
        sentence = "stopped; everything finished so far is kept, the same command goes on"
        _fail(sentence, exit_code(stop))
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
    """Let matplotlib start with settings of its own, here and in jobs that are started from here.

    The user's backend may not exist here, and the user's matplotlibrc may not be readable: both
    would end the import of matplotlib. What else is set there is left out where figures are drawn.
    """
    os.environ["MPLBACKEND"] = "agg"
    os.environ["MATPLOTLIBRC"] = os.devnull


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
