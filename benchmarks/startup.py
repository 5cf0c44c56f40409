"""From Enter to the first training step, next to what torch takes to be ready for one.

    python benchmarks/startup.py                                   # the main job
    python benchmarks/startup.py data=folder data.root=CIFAR10     # any overrides

Real processes, taking turns. The clock stops when the first batch is ready to be trained on, and
the process ends there. torch is ready when it is imported and has made an optimiser, which imports
the half of it that ``import torch`` leaves out. Target: that and at most a second. The images
are in the cache, as they are from the second run on.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 5
STOPPED = """
import os, sys, time
from shiftbench.cli.main import main
def first_step(*_):
    os.write(1, f"\\nfirst step {time.monotonic()}\\n".encode())
    os._exit(0)
import shiftbench.training.trainer
shiftbench.training.trainer.learning_rate = first_step
main.main(sys.argv[1:])
"""
IMPORTED = """
import time, torch
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
print("first step", time.monotonic())
"""


def main() -> None:
    """Print medians in seconds, and the median of the differences."""
    with tempfile.TemporaryDirectory() as out:
        os.environ.setdefault("SHIFTBENCH_CACHE", f"{out}/cache")
        run = [STOPPED, *sys.argv[1:], "progress=false", "force=true", f"out={out}/out"]
        pairs = [(timed([IMPORTED]), timed(run)) for _ in range(1 + REPEATS)][1:]
    torch, step = (statistics.median(times) for times in zip(*pairs, strict=True))
    more = statistics.median(b - a for a, b in pairs)
    print(f"importing torch {torch:.2f} s, first training step {step:.2f} s, more by {more:.2f} s")


def timed(code: list[str]) -> float:
    """Run Python code and return the seconds from starting it to its line 'first step'."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", *code], capture_output=True, text=True)
    stops = [line for line in done.stdout.splitlines() if line.startswith("first step ")]
    if not stops:
        sys.exit(f"no training step: {done.stderr.strip() or done.stdout[-500:]}")
    return float(stops[-1].split()[-1]) - started


if __name__ == "__main__":
    main()
