"""What a sweep costs beside training and measuring.

    python benchmarks/overhead.py

Times, in real processes: a sweep of 100 jobs that take next to no time (so what is left is the
sweep's own cost), the same sweep again when everything is done, one finished run, and the commands
that need no torch. Wall seconds, median of ``--repeats`` where it is cheap to repeat.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TINY = (
    "data.size=16", "data.train_images=20", "data.test_images=10", "model.width=2", "train=none",
    "shift=translate", "shift.translate.max_shift=1", "measure.layers=false", "progress=false",
    "measure.resamples=10",
)  # fmt: skip


def main() -> None:
    """Print a table of seconds and targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        out = f"out={name}/out"
        sweep = ["-m", *TINY, out, f"seed=range({options.jobs})"]
        first = timed(sweep)
        rows = [(f"{options.jobs} jobs, all skipped", timed(sweep), "20")]
        inside = sum(inner_seconds(Path(name)))
        rows.append(("a job's own cost in the sweep", (first - inside) / options.jobs, "1"))
        report = ["report", str(next(Path(name).glob("out/runs/*"))), "--output", f"{name}/report"]
        for label, command in [
            ("one finished run", [*TINY, out, "seed=0"]),
            ("report of one run, its numbers", [*report, "--no-figures"]),
            ("report of one run, page and all", report),
            ("--cfg job", ["--cfg", "job"]),
            ("list pool", ["list", "pool"]),
            ("--help", ["--help"]),
        ]:
            seconds = statistics.median(timed(command) for _ in range(options.repeats))
            rows.append((label, seconds, "–" if "page" in label else "0.6"))
    print(f"{'':32} {'seconds':>8} {'target':>7}")
    for label, seconds, target in rows:
        print(f"{label:32} {seconds:8.2f} {target:>7}")


def timed(arguments: list[str]) -> float:
    """Run the command line and return the seconds it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "shiftbench", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def inner_seconds(folder: Path) -> list[float]:
    """Return what each run says that it took: importing torch, measuring, writing."""
    paths = folder.glob("out/runs/*/status.json")
    return [float(json.loads(path.read_text())["seconds"]) for path in paths]


if __name__ == "__main__":
    main()
