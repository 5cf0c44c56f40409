"""One hostile command line in a fork or a process, in a folder that it must not leave."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz_outcome import Outcome
from hostile import Case

SECONDS = 30.0  # a case takes one or two; a real process starts in up to ten
MEMORY = 5 * 2**30  # beyond what is mapped before the case


WRITES = {"os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.rename": (0, 1),
          "os.symlink": (1,), "os.link": (1,), "os.truncate": (0,), "shutil.rmtree": (0,),
          "os.chmod": (0,)}  # fmt: skip
RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")


class Place:
    """The folder of one case: where it runs, and what lies around it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cwd = root / "around" / "cwd"
        self.home = root / "home"
        self.cache = root / "cache"
        for folder in (self.cwd / "a_folder", self.home, self.cache):
            folder.mkdir(parents=True)
        (self.cwd / "a_file").write_text("mine")

    def environment(self) -> dict[str, str]:
        """Return what a case sees: a home of its own, no network."""
        nowhere = "http://127.0.0.1:9"
        return {
            "HOME": str(self.home), "SHIFTBENCH_CACHE": str(self.cache), "COLUMNS": "80",
            "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "http_proxy": nowhere,
            "https_proxy": nowhere, "HYDRA_FULL_ERROR": "0", "PYTHONUTF8": "1",
            "MPLCONFIGDIR": str(self.cache), "XDG_CACHE_HOME": str(self.cache),
            "TMPDIR": str(self.cache),
        }  # fmt: skip

    def strays(self, case: Case) -> tuple[str, ...]:
        """Return what was made where nothing should be, and half-written files anywhere."""
        allowed = [self.cwd / "outputs", self.cache, *_own_folders(case, self.cwd, self.home)]
        own = {self.cwd, self.cwd / "a_folder", self.cwd / "a_file"}
        own |= {self.root / name for name in ("around", "home", "stdout", "stderr", "strays")}
        found = []
        for path in self.root.rglob("*"):
            inside = any(path == folder or folder in path.parents for folder in allowed)
            above = any(path in folder.parents for folder in allowed)
            if path.name.endswith(".part") or not (inside or above or path in own):
                found.append(os.path.relpath(path, self.cwd))
        if (self.cwd / "a_file").read_text() != "mine":
            found.append("a_file (overwritten)")
        with contextlib.suppress(OSError):
            found += (self.root / "strays").read_text("utf-8", "replace").splitlines()
        return tuple(dict.fromkeys(found))


def _own_folders(case: Case, cwd: Path, home: Path) -> Iterator[Path]:
    """Yield where the command line itself says that files go."""
    for item in case.arguments:
        key, _, value = item.partition("=")
        if key.lstrip("+-") in ("out", "csv", "figure", "data.root"):
            value = value.strip("'\"").replace("${oc.env:HOME}", str(home)).replace("${seed}", "0")
            for part in {value, *value.split(",")}:
                path = str(home) + part[1:] if part == "~" or part.startswith("~/") else part
                with contextlib.suppress(OSError, ValueError):
                    yield Path(os.path.normpath(cwd / path))


def run_fork(case: Case, place: Place) -> Outcome:
    """Run ``case`` in a fork of this process."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _in_fork(case, place)
    code: int | None = None
    while time.monotonic() < started + SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.01)
    else:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers that it may have left
    texts = ((place.root / name).read_text("utf-8", "replace") for name in ("stdout", "stderr"))
    return Outcome(case, code, *texts, time.monotonic() - started, place.strays(case))


def _in_fork(case: Case, place: Place) -> None:
    code = 99
    try:
        os.setsid()
        os.environ.update(place.environment())
        os.chdir(place.cwd)
        for stream, name in ((1, "stdout"), (2, "stderr")):
            handle = os.open(place.root / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(handle, stream)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), "utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w"), "utf-8", "backslashreplace", write_through=True
        )
        sys.argv = ["shiftbench"]
        tempfile.tempdir = None  # looked up again: it is another one now
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _watch(place.root)
        from shiftbench.cli.main import main

        main(case.arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code & 0xFF)


def _watch(root: Path) -> None:
    """Refuse, and note down, to write outside ``root`` and to run programs."""
    notes = os.open(root / "strays", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            places = (path,) if writes and not isinstance(path, int) else ()
        elif event in WRITES:
            places = tuple(arguments[index] for index in WRITES[event])
        elif event in RUNS:
            if arguments[0] in ("git", "uname"):  # for the provenance
                return
            _refuse(notes, event, arguments)
            return
        else:
            return
        for place in places:
            if not isinstance(place, int) and not _inside(os.fsdecode(place), root):
                _refuse(notes, event, arguments)

    sys.addaudithook(hook)


def _inside(place: str, root: Path) -> bool:
    # Not resolve(): it raises for what the command line may well hold.
    path = os.path.normpath(os.path.join(os.getcwd(), place))  # noqa: PTH109, PTH118
    # A run folder may be asked for where none can be, as out=/proc/x; that is the user's wish.
    return path.startswith((f"{root}/", "/dev/", "/proc/")) or path == "/"


def _refuse(notes: int, event: str, arguments: tuple[Any, ...]) -> None:
    os.write(notes, f"{event} {arguments!r:.200}\n".encode(errors="replace"))
    raise PermissionError(13, "refused by the fuzzer", str(arguments[0]))


def run_process(case: Case, place: Place) -> Outcome:
    """Run ``case`` through ``python -m shiftbench``."""
    started = time.monotonic()
    command = [sys.executable, "-m", "shiftbench", *case.arguments]
    streams = [(place.root / name).open("wb") for name in ("stdout", "stderr")]
    environment = {**os.environ, **place.environment()}
    with contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(stream) for stream in streams)
        process = subprocess.Popen(
            command, cwd=place.cwd, env=environment, stdout=out, stderr=err,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(2 * SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    texts = ((place.root / name).read_text("utf-8", "replace") for name in ("stdout", "stderr"))
    return Outcome(case, code, *texts, time.monotonic() - started, place.strays(case))
