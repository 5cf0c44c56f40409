"""The contract of a shift protocol."""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from shiftbench.contracts import own_names, refuse_misspelt
from shiftbench.errors import UsageError
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import AxisSampling

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


class ShiftProtocol(ABC):
    """A rule for the shifts: what moves, by which offsets, and what fills uncovered pixels.

    A subclass is a frozen dataclass that implements :meth:`plan` and :meth:`views`. All its fields
    are recorded in the metadata (``meta``) of the prediction table.

    Attributes:
        axes: Names of the shift parameters: ``("dy", "dx")``, the pixels by which the content moves
            down and to the right; ``angle``, degrees counter-clockwise; ``scale``, the side of
            an object in pixels; ``zoom``, a factor; ``resolution``, the side of a view in pixels.
        circular: Whether every view is the image rolled by whole pixels, so that the dense engine
            applies.
        from_scenes: Whether views are rendered again from the scenes of ``data=shapes``.
        fill: What fills uncovered pixels; ``mean`` requires the mean of the training pixels,
            ``black`` is 0 before normalisation.
        sampling: Which of the offsets are tested, declared as a field; None if the protocol itself
            determines them.

    Raises:
        UsageError: If a subclass declares a misspelt attribute.
    """

    axes: tuple[str, ...] = ("dy", "dx")
    circular: bool = False
    from_scenes: bool = False
    fill: str = ""
    sampling: AxisSampling | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, ShiftProtocol, own_names(cls))

    @abstractmethod
    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return the shifts under which every image is tested.

        Args:
            n_images: Number of images.
            image_size: ``(H, W)`` of the images.

        Raises:
            UsageError: If the protocol does not apply to images of this size.
        """

    @abstractmethod
    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return shifted images of a split.

        Args:
            split: Provides the pixels as ``split.pixels(index)``, resized as
                ``split.pixels(index, size)``, and has ``split.image_size`` and ``split.mean``.
            index: ``(N,)`` positions of images; an image may occur several times.
            shifts: ``(N, A)``, one shift per position, in the order of ``axes``.

        Returns:
            ``(N, C, h, w)`` pixels before normalisation, so that black is the pixel value 0: uint8
            in 0..255, or float in 0..1.
        """

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes other than ``image_size`` at which :meth:`views` requests pixels.

        Photographs are decoded from their files at these sizes.
        """
        return []

    def size_groups(self, shifts: Tensor) -> Tensor | None:
        """Return a number for each of ``shifts (N, A)``, equal for views of one size, ``(N,)``.

        :meth:`views` is given shifts of one number at a time. None if all views have one size.
        """
        return None

    def check(self, split: ShownSplit) -> None:
        """Reject a split to which the protocol does not apply.

        Raises:
            UsageError: If it does not; the message states what the protocol requires.
        """
        if self.from_scenes and not split.has_scenes:
            name = self._name()
            raise UsageError(
                f"shift={name} renders scenes again, and only data=shapes has scenes; "
                "give data=shapes, or shift=subpixel for other images"
            )

    def describe(self) -> dict[str, Any]:
        """Return the protocol's name and every field, for the metadata of the prediction table.

        The fields of ``sampling`` are not nested, which keeps the format of earlier tables.
        """
        fields = dataclasses.asdict(self)  # type: ignore[call-overload]
        if self.sampling is not None:
            del fields["sampling"]
            fields |= self.sampling.flat()
        return {"name": self._name(), **fields}

    def _name(self) -> str:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
