"""BatchNorm over a batch that several processes share.

Each process holds some of the images. The statistics and their gradients are those of all images,
so that training does not depend on the number of processes. On CUDA, torch's ``SyncBatchNorm`` is
used; as it supports no other device, this module implements training on CPUs, connected by gloo.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class WholeBatchNorm(_BatchNorm):
    """BatchNorm with the statistics of the images of all processes, whose shares may differ.

    ``x: (N, C, ...) -> (N, C, ...)``; every process has to call it. In eval mode it is identical
    to ``norm``.

    Args:
        norm: Its parameters and buffers are used, not copied.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False,
                         track_running_stats=False)  # fmt: skip
        _share_state(norm, self)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` normalised."""
        if not self.training:
            return super().forward(x)
        count, mean, variance = _statistics(x)
        if self.running_mean is not None:
            self._keep(count, mean, variance)
        y: Tensor = _Normalise.apply(x, mean.to(_wide(x)), variance.to(_wide(x)), count, self.eps)
        if self.weight is not None:
            y = y * _along(self.weight, y) + _along(self.bias, y)
        return y.to(x.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any shape, as ``norm`` may be 1-, 2- or 3-dimensional."""

    @torch.no_grad()
    def _keep(self, count: float, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # a plain average of all batches
            share = 1 / float(self.num_batches_tracked)
        unbiased = variance * (count / max(1.0, count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(unbiased.to(self.running_var), share)


class _Normalise(torch.autograd.Function):
    """``(x − mean) / √(variance + eps)``, with mean and variance over the x of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, count: float, eps: float
    ) -> Tensor:
        scale = (variance + eps).rsqrt()
        y = (x.to(scale) - _along(mean, x)) * _along(scale, x)
        ctx.save_for_backward(y, scale)
        ctx.count, ctx.dtype = count, x.dtype
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        y, scale = ctx.saved_tensors
        [gradient] = gradients
        axes = _axes(y)
        sums = torch.stack([gradient.sum(axes), (gradient * y).sum(axes)])
        dist.all_reduce(sums)
        mean, slope = sums / ctx.count
        own = gradient - _along(mean, y) - y * _along(slope, y)
        return (own * _along(scale, y)).to(ctx.dtype), None, None, None, None


def _statistics(x: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return count, mean and variance of the values of each channel over all processes."""
    variance, mean = torch.var_mean(x.detach().to(_wide(x)), _axes(x), correction=0)
    count = x.new_full((1,), x.numel() / x.shape[1], dtype=torch.float64)
    own = torch.cat([count, mean.double(), variance.double()])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    every = torch.stack(parts)
    counts, (means, variances) = every[:, :1], every[:, 1:].chunk(2, dim=1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean) ** 2)).sum(0) / total
    return float(total), mean, variance


def _wide(x: Tensor) -> torch.dtype:
    """Return the type in which statistics are computed: float32 under autocast, too."""
    return torch.promote_types(x.dtype, torch.float32)


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Return per-channel values in a shape that broadcasts with ``x``."""
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


@contextmanager
def whole_batches(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Make every BatchNorm of ``model`` use the whole batch while the block runs.

    The modules are replaced and restored afterwards; parameters and buffers stay the same objects,
    so optimizer and state dict are not affected. Subclasses with their own ``forward`` are kept.

    Args:
        model: The network, on ``device``.
        device: The device of the training.
    """
    make = _on_cuda if device.type == "cuda" else WholeBatchNorm
    exchanged = []
    made: dict[_BatchNorm, _BatchNorm] = {}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, _BatchNorm) and type(child).forward is _BatchNorm.forward:
                exchanged.append((parent, name, child))
                if child not in made:
                    made[child] = make(child)
                parent._modules[name] = made[child]
    try:
        yield
    finally:
        for parent, name, child in exchanged:
            child.train(parent._modules[name].training)  # type: ignore[union-attr]
            parent._modules[name] = child


def _on_cuda(norm: _BatchNorm) -> _BatchNorm:
    """Return ``norm`` as torch's ``SyncBatchNorm``, with its parameters and buffers."""
    synced = nn.SyncBatchNorm(
        norm.num_features, norm.eps, norm.momentum, affine=False, track_running_stats=False
    )
    _share_state(norm, synced)
    return synced


def _share_state(norm: _BatchNorm, other: _BatchNorm) -> None:
    """Assign the parameters, buffers and mode of ``norm`` to ``other``."""
    other.track_running_stats, other.affine = norm.track_running_stats, norm.affine
    other.weight, other.bias = norm.weight, norm.bias
    other.running_mean, other.running_var = norm.running_mean, norm.running_var
    other.num_batches_tracked = norm.num_batches_tracked
    other.train(norm.training)
