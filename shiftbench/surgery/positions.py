"""How many positions of the image a tensor holds: pixels of a feature map, or tokens."""

from __future__ import annotations

from torch import Tensor

MOST_PREFIX_TOKENS = 5  # class and distillation tokens, registers
FINEST_DIVISION = 4


class Positions:
    """Counts positions by shape, given the sizes of the feature maps met so far.

    Args:
        images: ``(N, C, H, W)``.
    """

    def __init__(self, images: Tensor) -> None:
        self.batch = len(images)
        self.sizes = {(int(images.shape[2]), int(images.shape[3]))}

    def add(self, maps: Tensor) -> None:
        """Note the size of feature maps ``(N, C, h, w)``."""
        self.sizes.add((int(maps.shape[2]), int(maps.shape[3])))

    def of(self, tensor: Tensor) -> int | None:
        """Return the positions of each image, None where the shape does not say.

        Known are ``(N, C, h, w)``, ``(N, h, w, C)``, tokens ``(N, L, C)`` or ``(N, C, L)`` with a
        few more in front, and the same cut into windows ``(N·m, ...)``, where the sizes are those
        of a map met before, or a half, a third or a quarter of it.
        """
        if tensor.ndim not in (3, 4) or tensor.shape[0] % self.batch or not tensor.shape[0]:
            return None
        windows = tensor.shape[0] // self.batch
        known = self._known()
        if tensor.ndim == 4:
            rows, columns = tensor.shape[2:]
            for size in ((rows, columns), tuple(tensor.shape[1:3])):
                count = windows * size[0] * size[1]
                if (windows == 1 and size in known) or (windows > 1 and count in known.values()):
                    return count
            return None
        counts = set(known.values())
        for length in (int(tensor.shape[1]), int(tensor.shape[2])):
            for prefix in range(MOST_PREFIX_TOKENS + 1 if windows == 1 else 1):
                if windows * length - prefix in counts and length - prefix > 1:
                    return windows * length - prefix
        return None

    def _known(self) -> dict[tuple[int, int], int]:
        sizes = {(1, 1): 1}
        for height, width in self.sizes:
            for by in range(1, FINEST_DIVISION + 1):
                size = -(-height // by), -(-width // by)
                sizes[size] = size[0] * size[1]
        return sizes
