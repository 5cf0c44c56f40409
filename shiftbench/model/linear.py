"""The linear network of the theory: VGG without non-linearities (no ReLU, BatchNorm or max)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from shiftbench.errors import UsageError
from shiftbench.model import blocks
from shiftbench.model.vgg import VGG
from shiftbench.ops.padding import conv2d

if TYPE_CHECKING:
    from shiftbench.pool import Downsampling


class LinearVGG(VGG):
    """A :class:`~shiftbench.model.vgg.VGG` whose features are a linear function of the image.

    ``x: (N, in_chans, H, W) -> (N, num_classes)``. ReLU and BatchNorm are left out, and so is the
    running maximum that precedes ``pool=blur`` in a VGG; with ``head=gap`` or ``flatten`` the
    logits are an affine function. It serves to test the statements of Azulay & Weiss
    (arXiv 1805.12177, sec. 3) about convolutions and subsampling alone: with shiftable feature maps
    and a global average it is invariant, and then distinguishes images by their mean colour only.

    Args: as VGG.

    Raises:
        UsageError: If an argument is out of range, or the pool is not linear (``max``, ``aps``, all
            with parameters).
    """

    nonlinearity = "linear"

    def _convolution(
        self, in_chans: int, out_chans: int, padding: str, stride: int
    ) -> list[nn.Module]:
        if self.make_activation is not None:
            raise UsageError("model=linear has no activation; leave activation= away")
        return [conv2d(in_chans, out_chans, 3, stride, padding)]

    def _site(self, pool: Downsampling, channels: int, padding: str) -> list[nn.Module]:
        blocks.refuse_max_first(pool, "linear")
        # With its first weights, a learned pool may be linear and not stay so.
        if pool.has_parameters or not blocks.is_additive(pool, channels):
            raise UsageError(
                f"model=linear needs a linear pool, got {type(pool).__name__}; "
                "allowed: pool=ideal, blur, wavelet, flc, asap, avg, stride, global"
            )
        return [pool]
