"""The low band of a wavelet transform, as WaveCNet has it (Li et al., arXiv 2005.03337)."""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.pool.blur import BlurPool2d


class WaveletPool2d(BlurPool2d):
    """A :class:`~shiftbench.pool.BlurPool2d` with the settings of the released WaveCNet.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``: the reconstruction low-pass of a wavelet, a
    border of zeros, a gain of 2 (each filter sums to √2), and no maximum at pooling sites.

    Args:
        channels: Channels of ``x`` (any number is accepted in ``forward``).
        stride: Subsampling factor.
        padding: The network's padding; used if ``pad`` is ``auto``.
        taps: The wavelet (``haar``, ``db2``, ``ch2.2``, ``ch3.3``, ``ch4.4``), or taps along one
            axis, which are divided by their sum.
        pad: ``zeros``, ``circular``, ``reflect``, or ``auto`` as for blur.
        gain: Factor of the result; 1 keeps the mean.
        max_first: Whether a maximum precedes it at pooling sites.

    Raises:
        UsageError: If an argument is out of range.
    """

    max_first = False

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        padding: str = "zeros",
        taps: str | Sequence[float] = "ch3.3",
        pad: str = "zeros",
        gain: float = 2.0,
        max_first: bool | None = None,
    ) -> None:
        super().__init__(channels, stride, padding, 3, pad, taps, gain, max_first)
