"""Run command lines in forks of one process that has imported what a run imports.

``python -m shiftbench`` spends two to three seconds on imports, some hundred times in these tests.
A fork is a process of its own, with its own standard streams, folder, variables and exit code; only
the imports are done. What depends on the imports themselves starts a fresh interpreter, see
``needs_fresh_interpreter``. One request is one line of JSON on standard input, so is its answer.
"""

import atexit
import contextlib
import json
import logging
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path

# Variables that are read when they are used, not when something is imported. The folders of
# PYTHONPATH are put where a new interpreter would have them.
READ_LATE = (
    "HOME",
    "PYTHONPATH",
    "PYTEST_CURRENT_TEST",
    "SHIFTBENCH_",
    "TMPDIR",
    "HYDRA_FULL_ERROR",
)


def needs_fresh_interpreter(variables, servers):
    """Whether variables differ from the server's in one that may be read while importing."""
    names = {n for n in {*variables, *servers} if variables.get(n) != servers.get(n)}
    return any(not name.startswith(READ_LATE) for name in names)


class ForkServer:
    """The server as its client sees it: started on first use, one request at a time."""

    def __init__(self, variables):
        self.variables = variables
        self._process = None

    def run(self, arguments, cwd, variables, streams, timeout):
        """Return the exit code of ``python -m shiftbench`` with its streams in two files.

        Raises:
            subprocess.TimeoutExpired: If it is still running after ``timeout`` seconds; it is
                killed.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                env=self.variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        request = {
            "arguments": arguments,
            "cwd": str(cwd),
            "variables": variables,
            "streams": [str(stream) for stream in streams],
            "timeout": timeout,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        if code is None:
            raise subprocess.TimeoutExpired(arguments, timeout)
        return code

    def close(self):
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def serve():
    """Answer requests until standard input ends."""
    preload()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run_forked(request)
        print(json.dumps(wait(child, request["timeout"])), flush=True)


def preload():
    """Import what a run imports. Nothing is computed: threads do not survive a fork."""
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401

    import shiftbench.experiment.run
    import shiftbench.launch.hydra_app
    import shiftbench.launch.job  # noqa: F401


def wait(child, timeout):
    """Return the exit code of a child, None if it had to be killed."""
    handle = os.pidfd_open(child)
    try:
        in_time, _, _ = select.select([handle], [], [], timeout)
    finally:
        os.close(handle)
    if not in_time:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if in_time else None


def run_forked(request):
    """Become ``python -m shiftbench`` with the arguments of a request, and exit."""
    code = 1
    try:
        os.setpgid(0, 0)
        os.environ.clear()
        os.environ.update(request["variables"])
        os.chdir(request["cwd"])
        folders = request["variables"].get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:1] = [request["cwd"], *(str(Path(one).resolve()) for one in folders if one)]
        redirect(request["streams"])
        sys.argv = ["shiftbench", *request["arguments"]]
        runpy.run_module("shiftbench", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as stop:
        code = exit_code(stop)
    except BaseException:
        traceback.print_exc()
    finally:
        # In the order of an interpreter that ends: joblib closes its workers with the first.
        threading._shutdown()
        atexit._run_exitfuncs()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def redirect(streams):
    """Make standard streams as a new interpreter has them: nothing to read, two files to write."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in zip((1, 2), streams, strict=True):
        os.dup2(os.open(path, os.O_WRONLY), number)
    sys.stdin = sys.__stdin__ = open(0)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # noqa: SIM115
        2, "w", 1, encoding="utf-8", errors="backslashreplace"
    )


def exit_code(stop):
    """Return what the shell sees of a SystemExit."""
    if stop.code is None or isinstance(stop.code, int):
        return (stop.code or 0) & 0xFF
    print(stop.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    serve()
