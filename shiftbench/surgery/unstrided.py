"""A strided convolution at every position, checked against the convolution itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shiftbench.ops.padding import Conv2d
from shiftbench.surgery.copying import copied, trial_run
from shiftbench.surgery.layers import probe_size
from shiftbench.surgery.overrides import EveryPosition, subclass
from shiftbench.surgery.windows import Pair, pair


def runs_unstrided(conv: nn.Conv2d) -> bool:
    """Return whether every s-th sample of ``conv`` at every position is its own output.

    Checked on maps of even and odd size. ``conv`` is left as it is.
    """
    trial = copied(conv).float().cpu()
    original = copied(trial)
    assert isinstance(trial, nn.Conv2d)
    unstride(trial)
    with trial_run(original), trial_run(trial):
        try:
            return _same_samples(original, trial, pair(conv.stride))
        except Exception:  # a forward that wants more than a map, say
            return False


def unstride(conv: nn.Conv2d) -> None:
    """Let ``conv`` run at every position.

    The layer stays the same object with the same parameters, and runs its own code: normalised
    weights and borders that it pads by itself are as they were.
    """
    own = type(conv)
    plain = own.forward is nn.Conv2d.forward and own._conv_forward in (
        nn.Conv2d._conv_forward, Conv2d._conv_forward,
    )  # fmt: skip
    cuts_patches = pair(conv.kernel_size) == pair(conv.stride) and conv.padding in (0, (0, 0))
    if plain and not cuts_patches:
        conv.stride = (1, 1)
        return
    step = pair(conv.stride)
    subclass(conv, EveryPosition)
    conv.step, conv.pad = step, "zeros"  # type: ignore[assignment]


def _same_samples(conv: nn.Module, dense: nn.Module, stride: Pair) -> bool:
    """Return whether ``dense``, subsampled, is ``conv``, on maps of even and odd size."""
    rows, columns = stride
    height, width = probe_size(conv, 0), probe_size(conv, 1)
    for size in ((height, width + 1), (height + 1, width)):
        x = _ramp(pair(conv.in_channels)[0], size)
        expected, got = conv(x), dense(x)[:, :, ::rows, ::columns]
        scale = expected.abs().max()
        if got.shape != expected.shape or bool((got - expected).abs().max() > 1e-4 * scale):
            return False
    return True


def _ramp(channels: int, size: Pair) -> Tensor:
    """Return numbers without a pattern, and without a draw from torch's random stream."""
    count = channels * size[0] * size[1]
    return (torch.arange(count, dtype=torch.float64) ** 2 * 0.7).sin().float().view(1, -1, *size)
