"""What this machine can do at most: the ceiling that other timings are held against.

    python benchmarks/ceiling.py

Matrix products of 2048×2048 in fp32 and bf16, and a copy of 512 MB, medians of ``--repeats``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch


def main() -> None:
    """Print GFLOP/s and GB/s."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"GEMM {str(dtype)[6:]:9} {gemm(dtype, repeats):7.0f} GFLOP/s")
    source = torch.ones(2**27)
    target = torch.empty_like(source)
    seconds = median(lambda: target.copy_(source), repeats)
    print(f"copy           {2 * source.nbytes / seconds / 1e9:7.1f} GB/s (read and write)")


def gemm(dtype: torch.dtype, repeats: int, size: int = 2048) -> float:
    """Return the rate of a square matrix product in GFLOP/s."""
    a, b = torch.randn(2, size, size).to(dtype)
    return 2 * size**3 / median(lambda: a @ b, repeats) / 1e9


def median(work: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of ``work``, its first call left out."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
