"""Which images were measured: a digest of each, so that two tables can be paired by image."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

DIGEST_BYTES = 8


def image_digests(images: Tensor, labels: Tensor) -> NDArray[np.uint64]:
    """Return ``(N,)``: the first 64 bits of a BLAKE2b hash of each image's pixels and label.

    Args:
        images: ``(N, ...)``, of any type, as they are before they are shifted.
        labels: ``(N,)`` true classes.
    """
    pixels = np.ascontiguousarray(images.detach().cpu().contiguous().numpy())
    form = f"{pixels.dtype.str} {pixels.shape[1:]}".encode()
    digests = [
        hashlib.blake2b(form + int(label).to_bytes(8, "little", signed=True) + image.tobytes(),
                        digest_size=DIGEST_BYTES).digest()
        for image, label in zip(pixels, labels.tolist(), strict=True)
    ]  # fmt: skip
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
