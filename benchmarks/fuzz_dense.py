"""Random networks against the dense engine: no wrong table, and why it refuses.

python benchmarks/fuzz_dense.py                      # 3,000 networks, 25 minutes of a core
python benchmarks/fuzz_dense.py --first 10000 --count 500

Measures each network of ``tests/predict/random_networks.py`` with ``engine=auto`` and compares the
table with plain passes of every view (``tests/predict/every_view.py``). Prints every wrong table
with its number, and in the end how many were accepted and how many refused, by reason. Exits with 1
if there was a wrong one.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "predict"))
from every_view import WrongTableError, attempt
from position_traps import TRAPS
from random_heads import POSITIONS
from random_networks import draw


def main() -> int:
    """Measure networks by number and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1000, help="number of the first network")
    parser.add_argument("--count", type=int, default=3000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tally: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    started = time.process_time()
    for number in range(chosen.first, chosen.first + chosen.count):
        measured(number, tally, refused)
    print(f"{chosen.count:,} networks in {time.process_time() - started:.0f} s of the processor")
    for name, count in sorted(tally.items()):
        print(f"{count:>7,}  {name}")
    print("refused since")
    for reason, count in refused.most_common():
        print(f"{count:>7,}  {reason}")
    return int(tally["wrong"] > 0)


def measured(number: int, tally: Counter[str], refused: Counter[str]) -> None:
    """Measure one network and count what came of it."""
    drawn = draw(number)
    kind = "on a torus" if drawn.holds else "with a trap"
    try:
        found = attempt(drawn)
    except WrongTableError as error:
        tally["wrong"] += 1
        print(f"WRONG {number}: {error}; {sorted(drawn.names)}", flush=True)
        return
    accepted = found.engine == "dense"
    tally[f"{kind}, {'accepted' if accepted else 'refused'}"] += 1
    if found.reason is not None:
        refused[re.sub(r"\(.*?\)|[-\d.]+(e[-+]\d+)?|\d+×\d+", "…", found.reason)] += 1
    if accepted and not drawn.holds:
        trap = drawn.names & {*TRAPS, *POSITIONS}
        print(f"accepted, and right: {number}, {trap}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
