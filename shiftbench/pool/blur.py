"""BlurPool: a low-pass filter before subsampling (Zhang, arXiv 1904.11486, sec. 3)."""

from __future__ import annotations

from math import comb

import torch
import torch.nn.functional as F
from torch import Tensor

from shiftbench.errors import require_one_of, require_within
from shiftbench.ops import separable_filter
from shiftbench.ops.autocast import computed_in
from shiftbench.ops.geometry import space_to_batch
from shiftbench.ops.padding import MODES, pad2d
from shiftbench.pool.base import Downsampling


def taps(filter_size: int) -> tuple[float, ...]:
    """Return the binomial filter along one axis; it sums to 1.

    >>> taps(3)
    (0.25, 0.5, 0.25)
    """
    return tuple(comb(filter_size - 1, i) / 2 ** (filter_size - 1) for i in range(filter_size))


def binomial(filter_size: int) -> Tensor:
    """Return the binomial filter of ``filter_size`` taps as a ``(k, k)`` tensor that sums to 1.

    >>> binomial(3) * 16
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    axis = torch.tensor(taps(filter_size), dtype=torch.float64)
    return torch.outer(axis, axis).float()


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
    """Binomial low-pass filter of ``filter_size`` taps, then every ``stride``-th sample.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. At a pooling site, a maximum of stride 1
    precedes it (max-blur); at a strided convolution, the order is convolution, ReLU, blur. The
    filter reduces aliasing but does not make the network exactly invariant. The layer has no
    parameters and no state.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; used if ``pad`` is ``auto``.
        filter_size: Taps of the filter, 1 to 7; 1 is plain subsampling.
        pad: ``auto`` (circular in a network with circular padding, otherwise reflect, as
            published), or one of zeros, circular, reflect.
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
    ) -> None:
        super().__init__()
        require_within("pool.filter_size", filter_size, 1, 7)
        require_one_of("pool.pad", pad, ("auto", *MODES))
        self.stride, self.filter_size = stride, filter_size
        self.pad = pad if pad != "auto" else "circular" if padding == "circular" else "reflect"
        self.taps = taps(filter_size)
        self.register_buffer("kernel", binomial(filter_size), persistent=False)

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
