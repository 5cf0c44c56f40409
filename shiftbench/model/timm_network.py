"""Networks of timm (``pip install 'shiftbench[timm]'``), with timm's weights, a file, or none."""

from __future__ import annotations

import importlib
import logging
import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from shiftbench.errors import ShiftbenchError, UsageError, did_you_mean, printable
from shiftbench.model.external import DEFAULT, Foreign, made
from shiftbench.preprocessing import CROPS, INTERPOLATIONS, Preprocessing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TimmNetwork(Foreign):
    """A network of ``timm``: ``x: (N, C, H, W) -> (N, num_classes)``.

    Args:
        name: ``resnet50``, or with a tag that names its weights, ``resnet50.a1_in1k``.
        weights: ``DEFAULT`` (those of the tag), the path of a state dict, or None.
        stem: See :class:`~shiftbench.model.external.Foreign`, as the fields below.
    """

    def check(self) -> None:
        """Refuse a missing package and unknown names before any work is done."""
        timm = _timm()
        if self.name is None:
            raise UsageError("model=timm needs a network's name; give model.name=resnet50")
        if not timm.is_model(self.name):
            known = timm.list_models()
            hint = did_you_mean(self.name.partition(".")[0], known)
            raise UsageError(
                f"model.name={printable(self.name)} is not a network of timm "
                f"{timm.__version__}{hint}; "
                'see python -c "import timm; print(timm.list_models())"'
            )
        if self.weights not in (None, DEFAULT) and self.weights_file is None:
            raise UsageError(
                f"model.weights={printable(self.weights)} is not known; allowed: DEFAULT, "
                "a path, null (select another set by its tag, e.g. model.name=resnet50.a1_in1k)"
            )

    def own_recipe(self) -> Preprocessing:
        """Return the preprocessing with which the weights were tested, if there are any."""
        if self.weights is None:
            return Preprocessing()
        tested = self._tested()
        _, height, width = tested["input_size"]
        if height != width:
            raise UsageError(
                f"{self.name} takes images of {height}×{width}, and only square ones are "
                "measured here; choose another network"
            )
        resize, crop = math.floor(height / tested["crop_pct"]), tested["crop_mode"]
        if crop not in CROPS or resize < height:
            log.warning(
                "timm tests %s on images with borders (%s, %d px of %d), which are cropped here",
                self.name, crop, height, resize,
            )  # fmt: skip
        return Preprocessing(
            size=height,
            resize=max(height, resize),
            interpolation=_one_of(INTERPOLATIONS, tested["interpolation"]),
            mean=tuple(tested["mean"]),
            std=tuple(tested["std"]),
            crop=_one_of(CROPS, crop),
        )

    def _tested(self) -> dict[str, Any]:
        """Return the preprocessing of timm's own validation of the weights."""
        data = importlib.import_module("timm.data")
        tested: dict[str, Any] = data.resolve_data_config(
            pretrained_cfg=self._about().to_dict(), use_test_size=True
        )
        return tested

    def network(self, num_classes: int, in_chans: int) -> nn.Module:
        """Return the network."""
        what, make = f"model.name={self.name}", _timm().create_model
        if self.weights != DEFAULT:
            classes = self._about().num_classes if self.weights else num_classes
            return made(what, make, model_name=self.name, num_classes=classes, in_chans=in_chans)
        about = self._about()
        log.info("weights %s.%s of timm", about.architecture, about.tag)
        try:
            network: nn.Module = make(self.name, pretrained=True, in_chans=in_chans)
        except Exception as error:  # its downloads may raise anything
            reason = printable(" ".join(str(error).split()) or type(error).__name__, 200)
            source = f"https://huggingface.co/{about.hf_hub_id}" if about.hf_hub_id else about.url
            raise ShiftbenchError(
                f"the weights of {self.name} could not be downloaded ({reason}); get the file from "
                f"{source or 'their authors'} and give model.weights=PATH"
            ) from error
        return network

    def _about(self) -> Any:
        """Return timm's description of the weights."""
        about = _timm().get_pretrained_cfg(self.name)
        if about is None or not (self.weights_file or about.has_weights):
            raise UsageError(
                f"timm has no weights for model.name={self.name}; give model.weights=null or a path"
            )
        return about


def _one_of(known: tuple[str, ...], value: str) -> str | None:
    return value if value in known else None


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise UsageError(
            "model=timm needs the package timm, which is not installed; "
            "pip install 'shiftbench[timm]'"
        ) from error
