"""A small run alone and beside a process that keeps a core busy, with both ways of waiting.

    python benchmarks/beside.py               # three rounds, about ten minutes on two cores
    python benchmarks/beside.py --rounds 1

OpenMP's threads sleep while they wait (``OMP_WAIT_POLICY=passive``, the package's default), or spin
(``active``, torch's own). Spinning threads take the core that the thread they wait for needs.

Targets: beside one busy process at most 1.6 times the time alone with passive waiting; alone at
most 3 % more than with active waiting.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

RUN = (
    "model=vgg", "pool=blur", "train.epochs=1", "data.test_images=200", "measure.layers=false",
    "figures=false", "progress=false",
)  # fmt: skip
BUSY = [sys.executable, "-c", "while True: pass"]


def main() -> None:
    """Print seconds: median and range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for place in ("alone", "beside"):
            other = subprocess.Popen(BUSY) if place == "beside" else None
            for policy in ("passive", "active"):
                seconds.setdefault((place, policy), []).append(timed(policy))
            if other:
                other.kill()
                other.wait()
    for (place, policy), found in seconds.items():
        alone = statistics.median(seconds["alone", policy])
        middle = statistics.median(found)
        print(f"{place}, {policy}: {middle:.1f} s ({min(found):.1f}-{max(found):.1f}), "
              f"{middle / alone:.2f} times alone")  # fmt: skip


def timed(policy: str) -> float:
    """Return the seconds of the run into a new folder."""
    with tempfile.TemporaryDirectory() as out:
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "shiftbench", *RUN, f"out={out}"], check=True,
            capture_output=True, env={**os.environ, "OMP_WAIT_POLICY": policy},
        )  # fmt: skip
        return time.monotonic() - started


if __name__ == "__main__":
    main()
