"""Comparison of a rewritten network, without filters, with its original."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shiftbench.surgery.copying import ImageShape, for_trial, noise, trial_run
from shiftbench.surgery.rolling import TOLERANCE
from shiftbench.surgery.watching import tensors

BINS = 4096  # an output is compared by the means of this many parts


@dataclass(frozen=True)
class _Digest:
    """A summary of an output.

    Attributes:
        shape: Its shape.
        means: Means of up to 4,096 parts of it, in memory order.
        spread: Its standard deviation; for the network's output, over the two images.
        largest: Its largest absolute value.
        tolerance: Relative to the spread and to the largest value.
    """

    shape: tuple[int, ...]
    means: Tensor
    spread: float
    largest: float
    tolerance: tuple[float, float]

    def equals(self, other: _Digest) -> bool:
        """Return whether two outputs are equal up to rounding."""
        gap = float((self.means - other.means).abs().max())
        of_spread, of_largest = self.tolerance
        return gap <= of_spread * self.spread + of_largest * self.largest


_Outputs = dict[tuple[str, int], _Digest]


def before_difference(model: nn.Module, rewritten: nn.Module, shape: ImageShape) -> list[str]:
    """Return the modules that run in ``rewritten`` up to the first that differs or fails.

    Both run on two noise images, and the outputs of modules of the same name are compared if they
    have the same shape (between a convolution and its pool they do not). Differences are relative
    to the output's own spread, so a block with little effect on the logits (e.g. an initial scale
    of 1e-6) counts as much as any other.

    Returns:
        Names in the order of execution, the differing one last; empty if all are equal.
    """
    names = _before(for_trial(model), for_trial(rewritten), shape)
    if names:
        # Networks may amplify rounding; in float64 it stays far below the tolerance.
        with suppress(Exception):  # some networks always compute in float32
            double = torch.float64
            return _before(for_trial(model, double), for_trial(rewritten, double), shape)
    return names


def _before(model: nn.Module, rewritten: nn.Module, shape: ImageShape) -> list[str]:
    expected, got = _Outputs(), _Outputs()
    _run(model, shape, expected)
    with suppress(Exception):  # shapes that do not fit: the module is named below
        _run(rewritten, shape, got)
    names: list[str] = []
    for key, output in expected.items():
        names.append(key[0])
        other = got.get(key)
        if other is not None and other.shape == output.shape and not output.equals(other):
            return names
    own, other = expected.get(("", 1)), got.get(("", 1))
    if own is not None and other is not None and other.shape == own.shape:
        return []
    last = max((i for i, key in enumerate(expected) if key in got), default=-1)
    return names[: last + 2]


def _run(network: nn.Module, shape: ImageShape, digests: _Outputs) -> None:
    """Record the outputs of modules, by name and number of the call, in order of execution."""
    calls: Counter[str] = Counter()
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def after(_: nn.Module, inputs: object, output: object) -> None:
            calls[name] += 1
            first = next(tensors(output), None)
            if first is not None and first.is_floating_point() and first.numel():
                digests[name, calls[name]] = _digest(first, whole=not name)

        handles.append(module.register_forward_hook(after))

    try:
        for name, module in network.named_modules():
            watch(name, module)
        with trial_run(network):
            network(noise(network, 2, shape))
    finally:
        for handle in handles:
            handle.remove()


def _digest(output: Tensor, whole: bool) -> _Digest:
    numbers = output.detach().flatten().double()
    spread = numbers.std() if numbers.numel() > 1 else numbers.new_zeros(())
    if whole and output.ndim == 2:
        spread = (output[0] - output[-1]).abs().max()
    largest = float(numbers.abs().max())
    if not whole and numbers.numel() > BINS:
        short = torch.nn.functional.pad(numbers, (0, -numbers.numel() % BINS))
        numbers = short.view(BINS, -1).mean(1)
    tolerance = TOLERANCE.get(output.dtype, TOLERANCE[torch.float32])
    return _Digest(tuple(output.shape), numbers, float(spread), largest, tolerance)
