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
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzz_outcome import Outcome
from fuzz_processes import Place, run_fork, run_process
from hostile import Case, Cases


def warm_up() -> None:
    """Load everything that a run loads, so that a fork has it."""
    import matplotlib.pyplot
    import torch

    names = "cifar10 cifar100 mnist fashion_mnist rotated_mnist rotated_fashion_mnist mnist_scale"
    for name in (*names.split(), "red_green", "folder", "shapes"):
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
