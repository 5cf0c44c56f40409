"""What the seeds of one configuration share when one process trains them in turn.

    python benchmarks/set_up.py                      # three seeds of a small job
    python benchmarks/set_up.py train.compile=true   # any overrides

The same jobs as one sweep in one process and as one process each, in turn. A sweep imports torch,
composes the configuration and reads the data once; with ``train.compile=true`` the later seeds
use the compiled code of the first one.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 3
SEEDS = (0, 1, 2)
SMALL = (
    "data.train_images=2000", "data.test_images=100", "train.epochs=1", "measure.layers=false",
    "figures=false", "shift=translate", "shift.translate.max_shift=1", "progress=false",
)  # fmt: skip
TRAINING = re.compile(r"training took ([\d.]+) s")


def main() -> None:
    """Print medians in seconds."""
    own = [*SMALL, *sys.argv[1:]]
    together, apart, first, later = [], [], [], []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SHIFTBENCH_CACHE"] = cache
        # Compiled code on disk would make the first job of every repeat but one a later one.
        for _ in range(REPEATS):
            sweep = timed(["-m", *own, f"seed={','.join(map(str, SEEDS))}"])
            single = [timed([*own, f"seed={seed}"]) for seed in SEEDS]
            together.append(sweep[0])
            apart.append(sum(seconds for seconds, _ in single))
            first.append(sweep[1][0])
            later.append(statistics.median(sweep[1][1:]))
    middle = [statistics.median(times) for times in (together, apart, first, later)]
    print(f"{len(SEEDS)} seeds in one process {middle[0]:.1f} s, in one each {middle[1]:.1f} s")
    print(f"training of the first seed {middle[2]:.1f} s, of a later one {middle[3]:.1f} s")


def timed(arguments: list[str]) -> tuple[float, list[float]]:
    """Run a command into a new folder; return its seconds and those of each training."""
    with tempfile.TemporaryDirectory() as out:
        variables = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(Path(out, "compiled"))}
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "shiftbench", *arguments, f"out={out}"],
            capture_output=True, text=True, env=variables,
        )  # fmt: skip
        seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(done.stderr)
    return seconds, [float(found) for found in TRAINING.findall(done.stderr + done.stdout)]


if __name__ == "__main__":
    main()
