"""Digests of the test images, by which two prediction tables are paired."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

DIGEST_BYTES = 8


def image_digests(images: Tensor, labels: Tensor) -> Tensor:
    """Return ``(N,)`` int64: 64 bits of a BLAKE2b hash of each image's pixels and label.

    Args:
        images: ``(N, ...)`` unshifted pixels of any type.
        labels: ``(N,)`` true classes.
    """
    pixels = np.ascontiguousarray(images.detach().cpu().contiguous().numpy())
    form = f"{pixels.dtype.str} {pixels.shape[1:]}".encode()
    digests = [
        hashlib.blake2b(form + int(label).to_bytes(8, "little", signed=True) + image.tobytes(),
                        digest_size=DIGEST_BYTES).digest()
        for image, label in zip(pixels, labels.tolist(), strict=True)
    ]  # fmt: skip
    return torch.from_numpy(np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64))
