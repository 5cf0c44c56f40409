"""A split as shift protocols see it: pixels of chosen images, at the size that a view needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from shiftbench.data.images import (
    Dataset,
    EnlargeableSplit,
    RenderableSplit,
    Split,
    TensorSplit,
    WindowedSplit,
)
from shiftbench.errors import UsageError
from shiftbench.ops.geometry import resize
from shiftbench.ops.window_resize import resize_windows

Size = tuple[int, int]


@dataclass(frozen=True)
class ShownSplit:
    """The images of a split, by position, and what the views of them depend on.

    Attributes:
        split: The images.
        image_size: ``(H, W)`` in which the network is shown them.
        mean: Per-channel mean of the training pixels in 0..1, for fills; None where unknown.
        fetched: Pixels that are there already, ``(n, C, h, w)`` by size; None is ``image_size``.
        positions: ``(n,)`` positions of these images in the split, ascending, on the CPU.
    """

    split: Split
    image_size: Size
    mean: Sequence[float] | None = None
    fetched: Mapping[Size | None, Tensor] = field(default_factory=dict, repr=False)
    positions: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long), repr=False)

    @classmethod
    def of(cls, images: Tensor, mean: Sequence[float] | None = None) -> ShownSplit:
        """Return images ``(N, C, H, W)`` as a split of their own, all of them fetched."""
        labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
        size = (int(images.shape[2]), int(images.shape[3]))
        split = TensorSplit(images, labels)
        return cls(split, size, mean, {None: images}, torch.arange(len(images)))

    @classmethod
    def of_test(cls, data: Dataset) -> ShownSplit:
        """Return the test images of a data set."""
        _, height, width = data.image_shape
        return cls(data.test, (height, width), data.mean)

    def __len__(self) -> int:
        return len(self.split)

    @property
    def has_scenes(self) -> bool:
        """Whether :meth:`render` works: whether the split is one of ``data=shapes``."""
        return isinstance(self.split, RenderableSplit)

    def has_files_for(self, sizes: Sequence[Size]) -> bool:
        """Whether images at ``sizes`` are decoded from files rather than resized."""
        return bool(sizes) and isinstance(self.split, EnlargeableSplit)

    def pixels(self, index: Tensor, size: Size | None = None, mode: str = "bilinear") -> Tensor:
        """Return the images at positions ``index (N,)``, ``(N, C, h, w)``.

        Args:
            index: Positions in the split; one may occur several times.
            size: ``(h, w)``: photographs are decoded again from their files, the whole centre
                square, other images are resized. None is what the network is shown.
            mode: Of resizing, see :func:`~shiftbench.ops.geometry.resize`.
        """
        index = index.cpu()
        key = size if size is not None and self.has_files_for([size]) else None
        there = self if self._holds(index, key) else self._fetched(index, key)
        pixels = there.fetched[key]
        images = pixels[torch.searchsorted(there.positions, index).to(pixels.device)]
        return images if size is None or key is not None else resize(images, size, mode)

    def windows(self, index: Tensor, boxes: Tensor, size: Size, mode: str = "bicubic") -> Tensor:
        """Return windows of the images at positions ``index (N,)``, ``(N, C, *size)``.

        Each is interpolated once, antialiased: photographs from their files, with the filter of
        the network's preprocessing, others from the image that the network is shown.

        Args:
            index: Positions in the split; one may occur several times.
            boxes: ``(N, 4)`` top, left, height and width, in 0..1 of the image; of a photograph,
                of the whole central square.
            size: ``(h, w)`` of the result.
            mode: Of resizing images, see :func:`~shiftbench.ops.window_resize.resize_windows`.
        """
        if isinstance(self.split, WindowedSplit):
            return self.split.windows(index.cpu(), boxes.cpu(), size)
        images = self.pixels(index)
        sides = torch.tensor([*images.shape[-2:]] * 2)
        return resize_windows(images, boxes.cpu() * sides, size, mode)

    @property
    def shown_box(self) -> tuple[float, float, float, float]:
        """What the network is shown, as a box for :meth:`windows`."""
        share = self.split.shown_share if isinstance(self.split, WindowedSplit) else 1.0
        return (1 - share) / 2, (1 - share) / 2, share, share

    def render(self, index: Tensor, offsets: Tensor) -> Tensor:
        """Return the scenes at positions ``index (N,)`` moved by ``offsets (N, 2)`` px.

        Raises:
            UsageError: If the images are not scenes.
        """
        if not isinstance(self.split, RenderableSplit):
            raise UsageError("only data=shapes has scenes to render; pixels cannot be rendered")
        return self.split.render(offsets, index.to(self.split.labels.device))

    def chunks(
        self, batch_size: int, order: Tensor | None = None, sizes: Sequence[Size] = ()
    ) -> Iterator[tuple[ShownSplit, Tensor]]:
        """Yield ``(images, labels)``, the pixels of ``images.positions`` fetched.

        Args:
            batch_size: Images at once.
            order: Positions, ascending; None is all of them.
            sizes: Sizes in which the views need the images, see ``ShiftProtocol.source_sizes``.
        """
        positions = torch.arange(len(self)) if order is None else order.cpu()
        keys: list[Size | None] = [*sizes] if self.has_files_for(sizes) else [None]
        streams = [self._at(key).batches(batch_size, order) for key in keys]
        parts = torch.split(positions, batch_size)
        for part, *batches in zip(parts, *streams, strict=True):
            fetched = {key: images for key, (images, _) in zip(keys, batches, strict=True)}
            yield replace(self, fetched=fetched, positions=part), batches[0][1]

    def _at(self, size: Size | None) -> Split:
        if size is not None and isinstance(self.split, EnlargeableSplit):
            return self.split.enlarged(size)
        return self.split

    def _holds(self, index: Tensor, key: Size | None) -> bool:
        if key not in self.fetched or not len(self.positions):
            return False
        rows = torch.searchsorted(self.positions, index).clamp(max=len(self.positions) - 1)
        return torch.equal(self.positions[rows], index)

    def _fetched(self, index: Tensor, key: Size | None) -> ShownSplit:
        positions = index.unique()
        images, _ = next(iter(self._at(key).batches(len(positions), positions)))
        return replace(self, fetched={key: images}, positions=positions)
