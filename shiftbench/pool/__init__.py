"""Downsampling variants: the layers that reduce the resolution of feature maps.

A pool is a subclass of :class:`Downsampling`, which defines its constructor and the methods that it
may override; a plain ``nn.Module`` with the same constructor is accepted as well. No registration
is required: a yaml in ``configs/pool/`` (or in a user's own folder) names the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftbench.lazy import lazy_attributes

if TYPE_CHECKING:
    from shiftbench.pool.aps import AdaptivePolyphase2d as AdaptivePolyphase2d
    from shiftbench.pool.asap import SpectralArtefactFree2d as SpectralArtefactFree2d
    from shiftbench.pool.avg import AvgPool2d as AvgPool2d
    from shiftbench.pool.base import Downsampling as Downsampling
    from shiftbench.pool.base import StepStart as StepStart
    from shiftbench.pool.blur import BlurPool2d as BlurPool2d
    from shiftbench.pool.ddac import AdaptiveBlur2d as AdaptiveBlur2d
    from shiftbench.pool.flc import FrequencyLowCut2d as FrequencyLowCut2d
    from shiftbench.pool.ideal import IdealPool2d as IdealPool2d
    from shiftbench.pool.lip import LocalImportancePool2d as LocalImportancePool2d
    from shiftbench.pool.lp import LpPool2d as LpPool2d
    from shiftbench.pool.lps import LearnedPolyphase2d as LearnedPolyphase2d
    from shiftbench.pool.max import MaxPool2d as MaxPool2d
    from shiftbench.pool.none import NoPool2d as NoPool2d
    from shiftbench.pool.soft_lps import SoftPolyphase2d as SoftPolyphase2d
    from shiftbench.pool.softpool import SoftPool2d as SoftPool2d
    from shiftbench.pool.stride import Stride2d as Stride2d
    from shiftbench.pool.tips import TipsPool2d as TipsPool2d
    from shiftbench.pool.wavelet import WaveletPool2d as WaveletPool2d

_HOMES = {
    "AdaptiveBlur2d": "ddac",
    "AdaptivePolyphase2d": "aps",
    "AvgPool2d": "avg",
    "BlurPool2d": "blur",
    "Downsampling": "base",
    "FrequencyLowCut2d": "flc",
    "IdealPool2d": "ideal",
    "LearnedPolyphase2d": "lps",
    "LocalImportancePool2d": "lip",
    "LpPool2d": "lp",
    "MaxPool2d": "max",
    "NoPool2d": "none",
    "SoftPolyphase2d": "soft_lps",
    "SoftPool2d": "softpool",
    "SpectralArtefactFree2d": "asap",
    "StepStart": "base",
    "Stride2d": "stride",
    "TipsPool2d": "tips",
    "WaveletPool2d": "wavelet",
}


__getattr__ = lazy_attributes("shiftbench.pool", _HOMES)
