"""Layers that take turns: the time of forward and backward of each, as ratios to the first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def step(layer: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], object]:
    """Return a function that runs ``layer`` on ``inputs`` and goes back to each of them."""
    own = [x.detach().requires_grad_() for x in inputs]
    gradient = torch.ones_like(layer(*own))
    return lambda: torch.autograd.grad(layer(*own), own, gradient)


def print_turns(found: Mapping[str, Callable[[], object]], repeats: int) -> None:
    """Let them take turns; print medians, and ratios to the first with their range."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(repeats + 1):
        for name, run in found.items():
            started = time.perf_counter()
            run()
            if turn:  # the first turn builds oneDNN's kernels
                times[name].append(1000 * (time.perf_counter() - started))
    first = next(iter(times.values()))
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, first, strict=True)]
        print(
            f"{name:32} {statistics.median(values):7.2f} ms  "
            f"×{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )
