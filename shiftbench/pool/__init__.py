"""Downsampling variants: how every step that makes the map smaller is done.

A pool is an ``nn.Module`` made as ``Pool(channels, stride=2, padding="zeros", **own)`` with
``forward(x)``, ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``. Class attributes say what else
the network has to do at its place:

* ``conv_stride`` (1): the stride of the convolution before it; only ``stride`` has 2.
* ``max_first`` (False): at a pooling site a 2×2 maximum of stride 1 comes first (max-blur).
* ``stride``: how much smaller the map becomes at the site; ``global`` has 1.

A pool that picks its sampling grid by content has ``phase(x)`` and ``forward(x, phase)``, so
that two branches of a residual block can share one grid. One on a fixed grid takes part in the
dense engine by a method ``all_phases(x) -> (N·s², C, H/s, W/s)`` that keeps every grid, those of
one image side by side (:func:`shiftbench.ops.geometry.space_to_batch`), and an attribute ``pad``
that says how it pads; without them it is measured directly. Nothing has to be registered: a yaml in
``configs/pool/`` (or in a user's own folder) names the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shiftbench.pool.aps import AdaptivePolyphase2d as AdaptivePolyphase2d
    from shiftbench.pool.avg import AvgPool2d as AvgPool2d
    from shiftbench.pool.blur import BlurPool2d as BlurPool2d
    from shiftbench.pool.ideal import IdealPool2d as IdealPool2d
    from shiftbench.pool.max import MaxPool2d as MaxPool2d
    from shiftbench.pool.none import NoPool2d as NoPool2d
    from shiftbench.pool.stride import Stride2d as Stride2d

_HOMES = {
    "AdaptivePolyphase2d": "aps",
    "AvgPool2d": "avg",
    "BlurPool2d": "blur",
    "IdealPool2d": "ideal",
    "MaxPool2d": "max",
    "NoPool2d": "none",
    "Stride2d": "stride",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"shiftbench.pool.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'shiftbench.pool' has no attribute '{name}'")
