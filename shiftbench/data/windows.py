"""Windows of photographs, each resized once from the decoded file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from shiftbench.data.decode import UnreadableImage, decode_windows
from shiftbench.data.stream import StreamSplit, decoding_threads
from shiftbench.errors import ShiftbenchError


def read_windows(
    photographs: StreamSplit, index: Tensor, boxes: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return windows of the images at ``index (N,)``, ``(N, C, *size)`` uint8 on the CPU.

    Every file is decoded once, however many of its windows are wanted.

    Args:
        photographs: The files, and how they are resized.
        index: Positions; one may occur several times.
        boxes: ``(N, 4)``, as for :func:`~shiftbench.data.decode.decode_windows`.
        size: ``(h, w)`` of the result.

    Raises:
        ShiftbenchError: If an image cannot be read.
    """
    views = torch.empty(len(index), photographs.channels, *size, dtype=torch.uint8)
    pixels = views.numpy()

    def read(position: int) -> None:
        rows = (index == position).nonzero().flatten()
        wanted: Sequence[Sequence[float]] = boxes[rows].tolist()
        file: Path = photographs.root / photographs.files[position]
        try:
            pixels[rows.numpy()] = decode_windows(
                file, wanted, size, photographs.channels, photographs.interpolation,
                photographs.squash,
            )  # fmt: skip
        except UnreadableImage as error:
            raise ShiftbenchError(
                f"{file} cannot be read ({error}); repair or delete it, or leave such images out "
                "with data.skip_unreadable=true"
            ) from error

    positions = index.unique().tolist()
    with decoding_threads(photographs.usable_workers()) as threads:
        for _ in map(read, positions) if threads is None else threads.map(read, positions):
            pass
    return views
