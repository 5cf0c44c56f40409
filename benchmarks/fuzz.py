"""Hostile command lines: no traceback, no hang, no file outside the output folder.

python benchmarks/fuzz.py                     # 2,000 cases and 40 real processes, some minutes
python benchmarks/fuzz.py --seed 3 --count 200 --processes 0

The bulk goes through :func:`shiftbench.cli.main` in a fork of a process that has torch loaded, so
that a crash, a hang or a runaway allocation stays in it; a sample goes through ``python -m
shiftbench``. An audit hook in the fork refuses to touch a file outside the case's own folder.
Needs a POSIX system. Exits with 1 if there were findings.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import io
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile import Case, Cases

SECONDS = 30.0  # a case takes one or two; a real process starts in up to ten
MEMORY = 5 * 2**30  # beyond what is mapped before the case
LONGEST = 1200  # characters of a sentence

# What a sentence of ours never contains: internals of Python, Hydra and OmegaConf.
INTERNALS = re.compile(
    r"Traceback|HYDRA_FULL_ERROR|full_key:|object_type|reference_type|Error executing|"
    r"traceback is in|\b[A-Z][A-Za-z]*(?:Error|Exception)\b(?!:? ?=)|not supported between|"
    r"unexpected keyword|positional argument|object has no attribute|ConfigKey|token recognition|"
    r"no viable alternative|mismatched input|ConfigNode|DictConfig|ListConfig"
)
WRITES = {"os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.rename": (0, 1),
          "os.symlink": (1,), "os.link": (1,), "os.truncate": (0,), "shutil.rmtree": (0,),
          "os.chmod": (0,)}  # fmt: skip
RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")


@dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    case: Case
    code: int | None
    out: str
    err: str
    seconds: float
    strays: tuple[str, ...]

    def problems(self) -> list[str]:
        """Return what is wrong with it, in a few words each."""
        if self.code is None:
            return [f"no end after {self.seconds:.0f} s"]
        found = [f"touches {stray}" for stray in self.strays]
        if self.code not in (0, 1, 2):
            found.append(f"exit code {self.code}")
        if "Traceback" in self.err + self.out:
            found.append("traceback")
        if self.code:
            found += self._sentence_problems()
        if self.case.kind == "target" and not self._is_refusal():
            found.append("a key of Hydra's instantiate was not refused")
        return found

    def _sentence_problems(self) -> Iterator[str]:
        last = (self.err.strip().splitlines() or [""])[-1]
        if not last.startswith("shiftbench: "):
            yield "no sentence at the end"
        if match := INTERNALS.search(last):
            yield f"internals in the sentence: {match.group()}"
        given = max(map(len, self.case.arguments), default=0)
        if len(last) > LONGEST + 2 * given:
            yield f"a sentence of {len(last)} characters"
        typed = {item.partition("=")[0].lstrip("+~") for item in self.case.arguments}
        for hint in re.findall(r"did you mean '([^']+)'", last):
            if hint in typed:
                yield "suggests what was typed"

    def _is_refusal(self) -> bool:
        words = ("belongs in a yaml file", "is not a setting", "cannot be read as")
        return self.code == 2 and any(word in self.err for word in words)


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


def warm_up() -> None:
    """Load everything that a run loads, so that a fork has it."""
    import matplotlib.pyplot
    import torch

    for name in ("cifar10", "cifar100", "mnist", "fashion_mnist", "folder", "shapes"):
        __import__(f"shiftbench.data.{name}")
    torch.set_num_threads(1)
    matplotlib.pyplot.close(matplotlib.pyplot.figure())


def make_images(folder: Path) -> Path:
    """Write a small ``data=folder`` tree and return its folder."""
    from PIL import Image

    for split, count in (("train", 8), ("test", 3)):
        for label, name in enumerate(("round", "square")):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(count):
                colour = (40 * index, 100 * label, 7 * index)
                Image.new("RGB", (24, 20), colour).save(place / f"{index}.png")
    return folder


def run_all(cases: Sequence[Case], root: Path, real: bool) -> Iterator[Outcome]:
    """Run the cases one by one, each in a folder of its own that is removed afterwards."""
    for number, case in enumerate(cases):
        place = Place(root / f"{'real' if real else 'fork'}-{os.getpid()}-{number}")
        yield run_process(case, place) if real else run_fork(case, place)
        shutil.rmtree(place.root, ignore_errors=True)


def _worker(cases: Sequence[Case], root: Path) -> list[Outcome]:
    return list(run_all(cases, root, real=False))


def sayable(case: Case) -> bool:
    """Whether a real process can be given these arguments."""
    return not any("\0" in item for item in case.arguments)


def report(outcomes: Sequence[Outcome], seconds: float) -> int:
    """Print the table and every finding; return how many there were."""
    tally: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    findings = 0
    for outcome in outcomes:
        problems = outcome.problems()
        tally[outcome.case.kind].update({"cases": 1, f"exit {outcome.code}": 1,
                                         "findings": bool(problems)})  # fmt: skip
        if problems:
            findings += 1
            command = shlex.join(("shiftbench", *outcome.case.arguments))
            last = (outcome.err.strip().splitlines() or ["(silent)"])[-1]
            print(f"\n[{outcome.case.kind}] {'; '.join(problems)}\n  {command:.900}\n  {last:.400}")
    print(f"\n{'kind':<10}{'cases':>7}{'exit 0':>8}{'exit 1':>8}{'exit 2':>8}{'findings':>10}")
    for kind, row in sorted(tally.items()):
        numbers = (row["cases"], row["exit 0"], row["exit 1"], row["exit 2"])
        print(f"{kind:<10}{numbers[0]:>7}" + "".join(f"{n:>8}" for n in numbers[1:])
              + f"{row['findings']:>10}")  # fmt: skip
    slowest = max(outcomes, key=lambda outcome: outcome.seconds, default=None)
    print(f"{len(outcomes):,} command lines in {seconds:.0f} s, {findings} findings"
          + (f"; the slowest took {slowest.seconds:.1f} s" if slowest else ""))  # fmt: skip
    return findings


def main() -> int:
    """Draw, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000, help="cases in forks")
    parser.add_argument("--processes", type=int, default=40, help="cases in real processes")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kind", help="run the drawn cases of this kind alone")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    os.environ["OMP_NUM_THREADS"] = "1"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shiftbench-fuzz-") as name:
        root = Path(name)
        cases = Cases(options.seed, make_images(root / "images"))
        forked, real = cases.draw(options.count), cases.draw(options.processes)
        if options.kind:
            forked, real = ([c for c in some if c.kind == options.kind] for some in (forked, real))
        # The workers are forked before torch is loaded here.
        with concurrent.futures.ProcessPoolExecutor(options.workers, initializer=warm_up) as pool:
            parts = [forked[start :: options.workers] for start in range(options.workers)]
            futures = [pool.submit(_worker, part, root) for part in parts]
            outcomes = [outcome for future in futures for outcome in future.result()]
        outcomes += run_all([case for case in real if sayable(case)], root, real=True)
    return 1 if report(outcomes, time.monotonic() - started) else 0


if __name__ == "__main__":
    sys.exit(main())
