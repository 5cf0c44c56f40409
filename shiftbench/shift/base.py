"""The contract of a shift protocol."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from shiftbench.contracts import own_names, refuse_misspelt
from shiftbench.errors import UsageError
from shiftbench.shift.plan import Plan
from shiftbench.shift.sampling import Sampling

if TYPE_CHECKING:
    from shiftbench.data.shown import ShownSplit


class ShiftProtocol(ABC):
    """What moves, by how much, and what enters the frame.

    A subclass is a frozen dataclass that has :meth:`plan` and :meth:`views`. Its fields, all of
    them, go into the meta of the table.

    Attributes:
        axes: Names of the shift parameters, ``("dy", "dx")`` in pixels of the content, down and to
            the right, or ``("scale",)``, a side in pixels.
        circular: Whether a view is the image rolled by whole pixels, so that the dense engine
            applies.
        from_scenes: Whether views are rendered from the scenes of ``data=shapes`` again.
        fill: What enters the frame; ``mean`` needs the mean of the training pixels, ``black`` is
            0 before normalisation.
        sampling: Which of its offsets are shown, as a field; None where the protocol decides.

    Raises:
        UsageError: When a subclass is declared with a misspelt attribute.
    """

    axes: tuple[str, ...] = ("dy", "dx")
    circular: bool = False
    from_scenes: bool = False
    fill: str = ""
    sampling: Sampling | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, ShiftProtocol, own_names(cls))

    @abstractmethod
    def plan(self, n_images: int, image_size: tuple[int, int]) -> Plan:
        """Return which shifts every image is shown, before any is shown.

        Args:
            n_images: How many images there are.
            image_size: ``(H, W)`` of them.

        Raises:
            UsageError: If the protocol does not apply to such images.
        """

    @abstractmethod
    def views(self, split: ShownSplit, index: Tensor, shifts: Tensor) -> Tensor:
        """Return images of a split, moved.

        Args:
            split: Hands out pixels, ``split.pixels(index)``, at another size
                ``split.pixels(index, size)``, and knows ``split.image_size`` and ``split.mean``.
            index: ``(N,)`` positions of images; one image may occur several times.
            shifts: ``(N, A)``, one for each of them, in the order of ``axes``.

        Returns:
            ``(N, C, h, w)`` pixels before normalisation, so that black is truly black: uint8 in
            0..255, or float in 0..1.
        """

    def source_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes at which :meth:`views` asks for pixels, none for ``image_size`` itself.

        Photographs are decoded from their files at these.
        """
        return []

    def check(self, split: ShownSplit) -> None:
        """Refuse a split that the protocol cannot show.

        Raises:
            UsageError: Saying what it needs.
        """
        if self.from_scenes and not split.has_scenes:
            name = type(self).__name__.lower()
            raise UsageError(
                f"shift={name} renders scenes again, and only data=shapes has scenes; "
                "give data=shapes, or shift=subpixel for other images"
            )

    def describe(self) -> dict[str, Any]:
        """Return the protocol's name and every field, for the table's meta.

        The fields of ``sampling`` are among the others, as tables have had them from the start.
        """
        fields = dataclasses.asdict(self)  # type: ignore[call-overload]
        if self.sampling is not None:
            del fields["sampling"]
            fields |= self.sampling.flat()
        return {"name": type(self).__name__.lower(), **fields}
