"""The number of views per forward pass of the direct engine."""

from __future__ import annotations

import torch

AUTO = "auto"
USUAL = 256  # the default, and on a CPU as fast as more
# On a GPU, more views are faster up to here: ResNet-18 on an H100 in bf16 answers 52,000 views per
# second of 256 at once, 108,000 of 1,024 and 117,000 of 4,096.
MOST = 4096
# Feature maps of a wide network: four of 64 float32 channels of the image's size exist at once.
BYTES_PER_PIXEL = 4 * 64 * 4
SHARE = 0.25  # of the device's memory, as several jobs may use it


def views_at_once(wanted: int | str, device: torch.device, image_size: tuple[int, int]) -> int:
    """Return the number of views per forward pass.

    ``auto`` does not depend on what other programs use of the memory, so that the same command
    rounds alike.

    Args:
        wanted: A number, or ``auto``.
        device: Where the network is.
        image_size: (height, width) of the views.
    """
    if wanted != AUTO:
        return int(wanted)
    if device.type != "cuda":
        return USUAL
    return fitting(torch.cuda.get_device_properties(device).total_memory, image_size)


def fitting(memory: int, image_size: tuple[int, int]) -> int:
    """Return how many views fit into a share of ``memory`` bytes: a power of two up to ``MOST``.

    >>> fitting(80 * 2**30, (32, 32)), fitting(80 * 2**30, (224, 224)), fitting(2**30, (224, 224))
    (4096, 256, 4)
    """
    views = int(SHARE * memory / (BYTES_PER_PIXEL * image_size[0] * image_size[1]))
    return min(MOST, 1 << max(0, views.bit_length() - 1))
