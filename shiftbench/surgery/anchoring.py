"""Polyphase anchoring of external networks (Ding, arXiv 2306.07470)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.surgery.anchor_sites import (
    AnchorSite,
    anchor_layers,
    entered,
    find_sites,
    require_whole_windows,
    unbranched,
)
from shiftbench.surgery.borders import wrap_borders
from shiftbench.surgery.copying import ImageShape, copied, image_shape_of
from shiftbench.surgery.downsampling import Replaced, Site, reductions
from shiftbench.surgery.invariance import is_invariant
from shiftbench.surgery.planning import described
from shiftbench.surgery.survey import survey

UNAFFECTED = "the logits did not depend on its grid under any tested shift"
BEHIND = "behind {name}, whose output does not depend on circular shifts"
WRAP = "not on a torus, so shifts change the logits; padding=circular makes it wrap around"


def anchored(model: nn.Module, size: int | tuple[int, int]) -> tuple[nn.Module, Replaced]:
    """Return a copy of ``model`` that anchors its feature maps, and the list of changes.

    In front of a layer on a fixed grid of period p (strided convolutions and patch embeddings, the
    patch merging and the window attention of the Swin transformers of torchvision and timm), each
    map is rolled so that its polyphase component with the largest l2 norm is at phase 0; the layer
    is unchanged (Ding et al., arXiv 2306.07470). Weights are kept, under the same names. The masks
    of shifted windows are left out: on a torus, opposite sides are neighbours. If the layers behind
    a patch embedding depend on positions (position embeddings), the embedded map is also rolled
    so that its strongest position comes first, which makes it independent of circular shifts.

    The result is checked: with circular borders, circular shifts of noise images must not change
    its logits. Its own borders are kept and reported; :func:`~shiftbench.surgery.circular` makes
    them wrap around.

    Args:
        model: A classification network from ``(N, C, H, W)`` to logits; it is not changed.
        size: Side of the images in pixels, or (H, W).

    Returns:
        The copy, and a report: ``sites`` are anchored, ``kept`` are left alone.

    Raises:
        UsageError: If a grid does not divide its feature map, or there is nothing to anchor.
        ShiftbenchError: If the network rejects the images, or no anchoring makes its logits exact.
    """
    original = copied(model)
    height, width = (size, size) if isinstance(size, int) else size
    shape = image_shape_of(original, (_channels(original), height, width), "size=(H, W)")
    sites = find_sites(original, shape)
    alone = unbranched(original, sites, shape)
    if not alone:
        raise UsageError(
            "the network has nothing to anchor: no strided convolution outside of parallel "
            "branches, no patch merging or window attention of a Swin transformer; use "
            "infer=canonical, which moves the image instead"
        )
    require_whole_windows(original, alone, shape)
    used, positions = _choose(original, alone, shape)
    report = _Report(original, sites, used, positions, shape).made()
    anchor_layers(original, used, positions)
    return original, report


def _channels(model: nn.Module) -> int:
    convolutions = (m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    return next((channels for channels in convolutions if channels > 0), 3)


def _choose(
    model: nn.Module, sites: list[AnchorSite], shape: ImageShape
) -> tuple[list[AnchorSite], AnchorSite | None]:
    """Return the sites to anchor, and the last of them if its output must not move at all.

    Sites behind that one are unchanged. It is the last one that makes the logits exact, so that
    whatever can shift with the image does.

    Raises:
        ShiftbenchError: If the logits change in any case.
    """
    if _is_exact(model, sites, None, shape):
        return sites, None
    ends = [number for number, site in enumerate(sites, 1) if site.kind != "windows"]
    # By bisection: if it is exact with one of them, it is with those before.
    exact, low, high = 0, 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        used = sites[: ends[middle]]
        if _is_exact(model, used, used[-1], shape):
            exact, low = ends[middle], middle + 1
        else:
            high = middle
    if exact:
        return sites[:exact], sites[exact - 1]
    raise ShiftbenchError(
        f"the network cannot be anchored for images of {'×'.join(map(str, shape))}: circular "
        f"shifts change its logits even if the output of {sites[0].name} is moved to a fixed "
        "place; use infer=canonical, which moves the image instead"
    )


def _is_exact(
    model: nn.Module, sites: list[AnchorSite], positions: AnchorSite | None, shape: ImageShape
) -> bool:
    """Return whether the logits are unchanged by shifts, on a torus."""
    trial = copied(model)
    anchor_layers(trial, sites, positions)
    wrap_borders(trial, shape)
    return is_invariant(trial, shape)


@dataclass(frozen=True)
class _Report:
    """What is anchored and what is left alone; arguments as above, before the model is changed."""

    model: nn.Module
    sites: list[AnchorSite]
    used: list[AnchorSite]
    positions: AnchorSite | None
    shape: ImageShape

    def made(self) -> Replaced:
        """Return the report."""
        changed = [
            Site(site.name, self._was(site), site.change(site == self.positions))
            for site in self.used
        ]
        left = [Site(s.name, self._was(s), UNAFFECTED) for s in self.sites if s not in self.used]
        kept = [self._excused(site) for site in (*left, *self._subsampling())]
        return Replaced(tuple(changed), (*kept, *self._borders()))

    def _was(self, site: AnchorSite) -> str:
        return site.described(self.model.get_submodule(site.name))

    def _subsampling(self) -> list[Site]:
        """Return the pooling layers, and the subsampling in code."""
        found = survey(self.model, self.shape)
        pools = [step for step in found.steps.values() if step.kind in ("max", "avg")]
        layers = [
            Site(step.name, described(self.model.get_submodule(step.name)), UNAFFECTED)
            for step in pools
            if not step.last
        ]
        coded = [
            Site(site.name, site.was, UNAFFECTED)
            for site in reductions(self.model, found)
            if not self._is_anchored(site.name)
        ]
        return layers + coded

    def _borders(self) -> list[Site]:
        """Return the layers whose borders do not wrap around; one line, as they are many."""
        names = [
            name
            for name in wrap_borders(copied(self.model), self.shape)
            if not self._is_behind(name) and not self._pads_nothing(name)
        ]
        if not names:
            return []
        more = f", and those of {len(names) - 1} more" if len(names) > 1 else ""
        return [Site(names[0], f"its own border{more}", WRAP)]

    def _is_anchored(self, name: str) -> bool:
        return any(name == site.name or name.startswith(f"{site.name}.") for site in self.used)

    def _pads_nothing(self, name: str) -> bool:
        """Return whether it is known code that pads only maps which windows do not divide."""
        return any(site.name == name and site.kind != "conv" for site in self.used)

    def _is_behind(self, name: str) -> bool:
        """Return whether a module runs behind the one whose output does not move."""
        if self.positions is None or name == "the network":
            return False
        order = list(entered(self.model, self.shape))
        return name in order and order.index(name) > order.index(self.positions.name)

    def _excused(self, site: Site) -> Site:
        if self.positions is None or not self._is_behind(site.name):
            return site
        return Site(site.name, site.was, BEHIND.format(name=self.positions.name))
