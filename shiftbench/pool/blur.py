"""BlurPool: a low-pass filter before subsampling (Zhang, arXiv 1904.11486, sec. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.ops import filter_taps, separable_filter
from shiftbench.ops.autocast import computed_in
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import MODES, pad2d
from shiftbench.pool.base import Downsampling


def binomial(filter_size: int) -> Tensor:
    """Return the binomial filter of ``filter_size`` taps as a ``(k, k)`` tensor that sums to 1.

    >>> binomial(3) * 16
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    return _square(filter_taps.binomial(filter_size))


def _square(taps: filter_taps.Taps, gain: float = 1.0) -> Tensor:
    """Return the filter of both axes ``(k, k)``, which sums to ``gain``."""
    axis = torch.tensor(taps, dtype=torch.float64)
    return (gain * torch.outer(axis, axis)).float()


def _depthwise(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Filter every channel of ``x: (N, C, H, W)`` with ``kernel: (k, k)``, without padding."""
    channels = x.shape[1]
    dtype = x.dtype
    if x.device.type == "cpu":
        # oneDNN's depthwise convolution is many times slower in bfloat16, in particular backward.
        dtype = computed_in(x)
        x = x.float() if dtype == torch.bfloat16 else x
    weight = kernel.to(x.dtype).expand(channels, 1, -1, -1)
    with torch.autocast(x.device.type, enabled=False):
        blurred = F.conv2d(x, weight, stride=stride, groups=channels)
    return blurred.to(dtype)


class BlurPool2d(Downsampling):
    """Low-pass filter (binomial unless ``taps`` names another), then every ``stride``-th sample.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. At a pooling site, a maximum of stride 1
    precedes it (max-blur); at a strided convolution, the order is convolution, ReLU, blur. The
    filter reduces aliasing but does not make the network exactly invariant. The layer has no
    parameters and no state.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; used if ``pad`` is ``auto``.
        filter_size: Taps of the binomial filter, 1 to 7; 1 is plain subsampling.
        pad: ``auto`` (circular in a network with circular padding, otherwise reflect, as
            published), or one of zeros, circular, reflect.
        taps: Another filter: a wavelet by name (``haar``, ``db2``, ``ch2.2``, ``ch3.3``, ``ch4.4``)
            or its taps along one axis, which are divided by their sum.
        gain: Factor of the result; 2 as WaveCNet released it, 0.01 to 100.
        max_first: Whether the maximum precedes it at pooling sites.

    Raises:
        UsageError: If an argument is out of range, or ``filter_size`` contradicts ``taps``.
    """

    stride: int
    max_first = True
    kernel: Tensor

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        filter_size: int = 3,
        pad: str = "auto",
        taps: str | Sequence[float] | None = None,
        gain: float = 1.0,
        max_first: bool | None = None,
    ) -> None:
        super().__init__()
        require_within("pool.filter_size", filter_size, 1, 7)
        require_one_of("pool.pad", pad, ("auto", *MODES))
        require_within("pool.gain", gain, 0.01, 100)
        self.pad = pad if pad != "auto" else "circular" if padding == "circular" else "reflect"
        chosen = _chosen_taps(taps, filter_size)
        self.stride, self.filter_size, self.gain = stride, len(chosen), gain
        self._choose_max_first(max_first)
        self.taps = tuple(math.sqrt(gain) * tap for tap in chosen)  # of an axis
        self.register_buffer("kernel", _square(chosen, gain), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blur and subsample ``x``."""
        return self._blur(x, self.stride)

    def all_phases(self, x: Tensor) -> Tensor:
        """Blur ``x`` and keep every sampling grid, ``-> (N·s², C, H/s, W/s)``."""
        return space_to_batch(self._blur(x, 1), (self.stride, self.stride))

    def _blur(self, x: Tensor, stride: int) -> Tensor:
        if self.training and torch.is_grad_enabled() and separable_filter.pays(x, self.taps):
            return separable_filter.filter2d(x, self.taps, stride, self.pad)
        before, after = (self.filter_size - 1) // 2, self.filter_size // 2
        padded = pad2d(x, (before, after, before, after), self.pad)
        return _depthwise(padded, self.kernel, stride)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"filter_size={self.filter_size}, stride={self.stride}, pad={self.pad}"


def _chosen_taps(taps: str | Sequence[float] | None, filter_size: int) -> filter_taps.Taps:
    if taps is None:
        return filter_taps.binomial(filter_size)
    chosen = filter_taps.taps_of("pool.taps", taps)
    if filter_size not in (3, len(chosen)):  # 3 is the default
        raise UsageError(
            f"pool.filter_size={filter_size} is the size of a binomial filter, but pool.taps names "
            f"one of {len(chosen)} taps; leave one of them away"
        )
    return chosen
