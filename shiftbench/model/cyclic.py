"""Group-convolutional networks of rotations (Cohen & Welling, arXiv 1602.07576)."""

from __future__ import annotations

from torch import Tensor, nn

from shiftbench.errors import require_one_of, require_within
from shiftbench.model import blocks
from shiftbench.model.group_maps import ORDERS, GroupConv2d, GroupNorm2d, OverRotations

STAGES = 3


class CyclicNetwork(nn.Module):
    """Three stages of two group convolutions with BatchNorm and ReLU, as ``model=harmonic`` has.

    ``x: (N, in_chans, H, W) -> (N, num_classes)``. A feature has ``order`` maps, one for each
    rotation; at the end their maximum or mean goes to the head.

    **What is exact.** Under quarter turns of a square image the logits stay the same to rounding,
    trained or not, with zeros, circular or reflect padding and a head that does not depend on
    positions, if every pool treats channels alike and samples symmetrically: ``max``, ``avg``,
    ``lp``, ``softpool`` and filters with an even number of taps where every feature map that is
    halved has an even side (28, 32); ``stride`` and ``blur`` with ``pool.max_first=false`` where it
    has an odd side (29: 29, 15, 8); ``global`` for every side. Pools with parameters of a channel
    or with filters of their own (``lip``, ``ddac``, ``lps``, ``tips``) are not exact. With
    ``order=8``, turns by 45° are exact up to sampling: the maps of two layers change by 3 % on
    smooth images (blobs of 2 px; tests/model/test_cyclic.py).

    Args:
        num_classes: Number of logits.
        in_chans: Channels of the images.
        image_size: ``(H, W)`` of the images.
        pool: Makes a downsampling layer, ``pool(channels, padding=...)``.
        head: Makes the classifier, ``head(in_chans, map_size, num_classes)``.
        padding: ``zeros``, ``circular``, ``reflect`` or ``full``.
        width: Features of the first stage; the others have 2 and 4 times as many.
        order: Number of rotations, 4 or 8.
        kernel_size: Side of the filters, 3, 5 or 7 pixels.
        over_rotations: ``max`` or ``mean``, before the head.

    Raises:
        UsageError: If an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        in_chans: int,
        image_size: tuple[int, int],
        pool: blocks.MakePool,
        head: blocks.MakeHead,
        padding: str = "zeros",
        width: int = 8,
        order: int = 4,
        kernel_size: int = 5,
        over_rotations: str = "max",
    ) -> None:
        super().__init__()
        require_within("model.width", width, 1, blocks.MAX_WIDTH)
        require_one_of("model.order", order, ORDERS)
        require_one_of("model.kernel_size", kernel_size, (3, 5, 7))
        require_one_of("model.over_rotations", over_rotations, ("max", "mean"))
        self.order, self.kernel_size = order, kernel_size
        layers: list[nn.Module] = []
        strides: list[int] = []
        chans = in_chans
        for stage in range(STAGES):
            out_chans = width * 2**stage
            site = pool(order * out_chans, padding=padding) if stage + 1 < STAGES else None
            layers += self._convolution(chans, out_chans, padding, of_image=stage == 0)
            layers += self._convolution(out_chans, out_chans, padding, blocks.conv_stride(site))
            if site is not None:
                layers += blocks.pooling_site(site, padding)
                strides.append(blocks.site_stride(site))
            chans = out_chans
        self.features = nn.Sequential(*layers, OverRotations(order, over_rotations))
        self.total_stride = strides[0] * strides[1]
        blocks.init_weights(self)  # of pools
        size = blocks.map_size(self, self.features, in_chans, image_size)
        self.head = head(chans, size, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map ``(N, C, h, w)``, of all rotations together."""
        features: Tensor = self.features(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.forward_features(x))
        return logits

    def _convolution(
        self, in_chans: int, out_chans: int, padding: str, stride: int = 1, of_image: bool = False
    ) -> list[nn.Module]:
        """Return a convolution and the layers that belong to it."""
        order, size = self.order, self.kernel_size
        return [
            GroupConv2d(in_chans, out_chans, order, size, padding, stride, of_image),
            GroupNorm2d(out_chans, order),
            nn.ReLU(inplace=True),
        ]
