"""Layers of a network that work on a fixed grid, and their anchoring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from shiftbench.errors import UsageError
from shiftbench.surgery.anchored_layers import AnchoredStride, AnchoredWindows
from shiftbench.surgery.copying import ImageShape, noise
from shiftbench.surgery.layers import shape_of
from shiftbench.surgery.overrides import subclass
from shiftbench.surgery.survey import survey
from shiftbench.surgery.watching import tensors, titled, watch
from shiftbench.surgery.windows import Pair, pair

# By module and class, as neither package need be installed. All are on maps (N, H, W, C).
MERGING = frozenset((
    ("torchvision.models.swin_transformer", "PatchMerging"),
    ("torchvision.models.swin_transformer", "PatchMergingV2"),
    ("timm.models.swin_transformer", "PatchMerging"),
    ("timm.models.swin_transformer_v2", "PatchMerging"),
))  # fmt: skip
# The first two are attention layers, the others whole blocks: all else in them is per position.
WINDOWS = frozenset((
    ("torchvision.models.swin_transformer", "ShiftedWindowAttention"),
    ("torchvision.models.swin_transformer", "ShiftedWindowAttentionV2"),
    ("timm.models.swin_transformer", "SwinTransformerBlock"),
    ("timm.models.swin_transformer_v2", "SwinTransformerV2Block"),
))  # fmt: skip


@dataclass(frozen=True)
class AnchorSite:
    """A layer on a fixed grid.

    Attributes:
        name: Name of the module.
        kind: ``conv``, ``merging`` or ``windows``.
        period: (rows, columns) of the grid.
        shift: (rows, columns) by which windows are displaced, 0 for other kinds.
        size: (H, W) of its feature map.
    """

    name: str
    kind: str
    period: Pair
    shift: Pair
    size: Pair

    def described(self, module: nn.Module) -> str:
        """Return the layer for the report: ``Conv2d 16×16, stride 16``."""
        kind = type(module).__name__
        if self.kind == "conv":
            return f"{kind} {shape_of(pair(module.kernel_size))}, stride {_short(self.period)}"
        if self.kind == "merging":
            return f"{kind} of 2×2 positions"
        by = f", shifted by {_short(self.shift)}" if any(self.shift) else ""
        return f"{kind} in windows of {shape_of(self.period)}{by}"

    def change(self, positions: bool) -> str:
        """Return what anchoring changes, for the report.

        Args:
            positions: Whether its output is rolled to the strongest position, too.
        """
        if self.kind == "windows":
            wraps = "; without the mask, so windows wrap around" if any(self.shift) else ""
            return f"anchored to period {_short(self.period)} and rolled back{wraps}"
        then = (
            "; its output rolled to its strongest position, as what follows does not shift with it"
            if positions
            else ""
        )
        return f"anchored to period {_short(self.period)}{then}"


def find_sites(model: nn.Module, shape: ImageShape) -> list[AnchorSite]:
    """Return the layers that can be anchored, in the order of execution.

    Args:
        model: A copy of the network; a forward pass is run on it.
        shape: ``(C, H, W)`` of the images.
    """
    found = []
    for name, size in entered(model, shape).items():
        if size is None:
            continue
        module = model.get_submodule(name)
        title = type(module).__module__, type(module).__name__
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1:
            found.append(AnchorSite(name, "conv", pair(module.stride), (0, 0), size))
        elif title in MERGING:
            found.append(AnchorSite(name, "merging", (2, 2), (0, 0), size))
        elif title in WINDOWS:
            window, shift = pair(module.window_size), pair(module.shift_size)
            sides = zip(window, size, shift, strict=True)
            rows, columns = (by if length < side else 0 for length, side, by in sides)
            found.append(AnchorSite(name, "windows", window, (rows, columns), size))
    return found


def entered(model: nn.Module, shape: ImageShape) -> dict[str, Pair | None]:
    """Return the modules in the order of execution, with the (H, W) of the map that each is given.

    None for those whose input is not a feature map.
    """
    sizes: dict[str, Pair | None] = {}

    def enter(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        x = next(tensors((args, kwargs)), None)
        if name in sizes:
            return
        last = not isinstance(model.get_submodule(name), nn.Conv2d)
        sizes[name] = None
        if x is not None and x.ndim == 4:
            height, width = x.shape[1:3] if last else x.shape[2:]
            sizes[name] = int(height), int(width)

    watch(model, noise(model, 1, shape), lambda call: None, enter)
    return sizes


def unbranched(model: nn.Module, sites: list[AnchorSite], shape: ImageShape) -> list[AnchorSite]:
    """Return the sites that are on no parallel branch: each would be rolled to its own grid."""
    grids = survey(model, shape).grids
    groups = grids.groups(site.name for site in sites)
    branched = {name for group in groups if len(group) > 1 for name in group}
    return [site for site in sites if site.name not in branched | set(grids.conflict)]


def require_whole_windows(model: nn.Module, sites: list[AnchorSite], shape: ImageShape) -> None:
    """Refuse images of a size that a grid does not divide.

    Raises:
        UsageError: Naming the layer, and the sizes that all grids divide.
    """
    for site in sites:
        if all(side % period == 0 for side, period in zip(site.size, site.period, strict=True)):
            continue
        rows, columns = (_unit(sites, shape, axis) for axis in (0, 1))
        allowed = f"of {rows}" if rows == columns else f"of {rows} and {columns}"
        raise UsageError(
            f"{titled(model, site.name)} cannot be anchored: {shape_of(site.period)} does not "
            f"divide its feature map of {shape_of(site.size)}; give images whose sides are "
            f"multiples {allowed} px, or a network for this size"
        )


def _unit(sites: list[AnchorSite], shape: ImageShape, axis: int) -> int:
    """Return the pixels that the side of an image must be a multiple of."""
    side = shape[1 + axis]
    return math.lcm(*(round(side / site.size[axis]) * site.period[axis] for site in sites))


def anchor_layers(model: nn.Module, sites: list[AnchorSite], positions: AnchorSite | None) -> None:
    """Anchor the layers of ``sites`` in ``model``, which is changed.

    Args:
        model: The network.
        sites: The layers.
        positions: The one whose output is rolled to its strongest position, too.
    """
    for site in sites:
        module: Any = model.get_submodule(site.name)
        if site.kind == "windows":
            subclass(module, AnchoredWindows)
            module.anchor_shift = pair(module.shift_size)
            _remove_shift(module)
        else:
            subclass(module, AnchoredStride)
            module.anchor_output = site == positions
        module.anchor_period, module.anchor_last = site.period, site.kind != "conv"


def _remove_shift(module: Any) -> None:
    """Make windows start at the map's corner, without a mask between its opposite sides."""
    module.shift_size = type(module.shift_size)((0, 0))
    if "attn_mask" in module._buffers:
        module.attn_mask = None


def _short(size: Pair) -> str:
    return str(size[0]) if size[0] == size[1] else shape_of(size)
