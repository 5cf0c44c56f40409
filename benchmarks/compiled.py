"""Whether torch.compile pays: one training step, plain and compiled, and what the first use costs.

    python benchmarks/compiled.py vgg16 --precision fp32     # some minutes; needs a C++ compiler

The same trainer, weights and images as ``training.py``; the two take turns in one process. Times
are of the processor, so that other work on the machine matters less; the first use is wall time
with an empty cache. ``break-even`` is the number of steps after which it has been earned back.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

from training import NETWORKS, make_loop


def main() -> None:
    """Print a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--padding", default="circular")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="training steps of each repeat")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Let the two loops take turns and print their ratio."""
    plain = make_loop(options.precision, options.network, "max", options)
    compiled = make_loop(f"{options.precision}-compiled", options.network, "max", options)
    plain()
    started = time.perf_counter()
    compiled()
    first = time.perf_counter() - started
    pairs = [(busy(plain), busy(compiled)) for _ in range(options.repeats)]
    saved = statistics.median(a - b for a, b in pairs) / options.steps
    ratios = [a / b for a, b in pairs]
    even = f"{first / saved:,.0f} steps" if saved > 0 else "never"
    print(
        f"{options.network} {options.precision}: ×{statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}), first use {first:.0f} s, break-even {even}"
    )


def busy(loop: object) -> float:
    """Return the processor's seconds of one loop."""
    started = time.process_time()
    loop()  # type: ignore[operator]
    return time.process_time() - started


if __name__ == "__main__":
    main()
