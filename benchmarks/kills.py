"""Kill runs at random moments and see whether they end as if nobody had.

    python benchmarks/kills.py --kills 50

A run is started, killed (SIGKILL) at a random moment, checked for torn files and started again, up
to eight times in a row; then it is left alone, and its ``metrics.csv`` and ``shifts.csv`` must be
the bytes of a run that was never stopped. The moments cover the whole life of the process:
imports, data, epochs, checkpoints, tables, figures, results.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

SETTINGS = (
    "data.size=16", "data.train_images=2000", "data.test_images=200", "model.width=8",
    "train.epochs=6", "train.batch_size=100", "augment=crop", "pool=blur",
    "measure.resamples=200", "progress=false",
)  # fmt: skip
RESULTS = ("metrics.csv", "shifts.csv")


def main() -> None:
    """Kill, check, compare; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        reference = Path(name) / "reference"
        seconds = finish(reference)
        print(f"a run nobody stops takes {seconds:.1f} s")
        moments: Counter[str] = Counter()
        faults: list[str] = []
        chain = 0
        while sum(moments.values()) < options.kills:
            chain += 1
            folder = Path(name) / f"chain{chain}"
            left = options.kills - sum(moments.values())
            for _ in range(min(left, rng.randint(1, 8))):
                moment = kill_once(folder, seconds * rng.uniform(0.1, 0.9))
                faults += torn(folder)
                if moment is None:
                    break  # it came to its end first, which is no kill
                moments[moment] += 1
            finish(folder)
            faults += torn(folder) + leftovers(folder) + differences(folder, reference)
    for moment, count in moments.most_common():
        print(f"{count:4}  killed {moment}")
    print(f"{sum(moments.values())} kills in {chain} runs: {len(faults)} faults")
    print("\n".join(faults))
    sys.exit(bool(faults))


def command(folder: Path) -> list[str]:
    """Return the command of the run that is killed."""
    return [sys.executable, "-m", "shiftbench", *SETTINGS, f"out={folder}"]


def finish(folder: Path) -> float:
    """Run to the end and return the seconds it took."""
    started = time.monotonic()
    subprocess.run(command(folder), check=True, capture_output=True)
    return time.monotonic() - started


def kill_once(folder: Path, after: float) -> str | None:
    """Start the run, kill it after so many seconds; return what it was doing, None if it ended."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        process.wait(timeout=after)
        return None
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.stderr is not None
    said = process.stderr.read().splitlines()
    process.wait()
    return doing(said)


def doing(said: list[str]) -> str:
    """Return which part of a run came after the last line that it logged."""
    last = said[-1] if said else ""
    parts = {"loading torch": "importing torch", "epoch": "between epochs, while training",
             "continuing": "between epochs, while training", "training took": "while measuring",
             "measured": "while measuring", "measuring took": "while probing the layers",
             "probing": "while writing figures and results", "reporting": "at its end",
             "trained before": "while measuring"}  # fmt: skip
    return next((text for start, text in parts.items() if last.startswith(start)), "at its start")


def torn(folder: Path) -> list[str]:
    """Return every file that is there and is not whole."""
    faults = []
    for path in folder.rglob("*"):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix in (".npz", ".pt"):
                with zipfile.ZipFile(path) as archive:
                    assert archive.testzip() is None
            elif path.suffix == ".csv":
                with path.open() as file:
                    assert len({len(row) for row in csv.reader(file)}) == 1
        except Exception as error:
            faults.append(f"torn: {path.relative_to(folder)} ({error})")
    return faults


def leftovers(folder: Path) -> list[str]:
    """Return the temporary and damaged files of a run that has ended."""
    names = [*folder.rglob(".*.part"), *folder.rglob("*.damaged*")]
    return [f"left behind: {path.relative_to(folder)}" for path in names]


def differences(folder: Path, reference: Path) -> list[str]:
    """Return the results that are not the bytes of the run that nobody stopped."""
    faults = []
    for name in RESULTS:
        [mine], [theirs] = folder.glob(f"runs/*/{name}"), reference.glob(f"runs/*/{name}")
        if mine.read_bytes() != theirs.read_bytes():
            faults.append(f"differs: {name} in {folder.name}")
    return faults


if __name__ == "__main__":
    main()
