"""Classification networks of torchvision, with its weights, a file, or none."""

from __future__ import annotations

import http.client
import logging
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision import models

from shiftbench.errors import ShiftbenchError, UsageError, did_you_mean, printable
from shiftbench.model import checkpoint
from shiftbench.model.external import Foreign, made
from shiftbench.preprocessing import Preprocessing

log = logging.getLogger(__name__)

# An unresponsive server must not delay a run by minutes.
TIMEOUT_SECONDS = 20.0
# The auxiliary classifiers of these would be trained, too, and their initialisation warns.
_WITHOUT_WEIGHTS: dict[str, dict[str, bool]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


@dataclass(frozen=True)
class TorchvisionNetwork(Foreign):
    """A network of ``torchvision.models``: ``x: (N, 3, H, W) -> (N, num_classes)``.

    Args:
        name: A name of ``torchvision.models.list_models``, e.g. ``resnet50``.
        weights: ``DEFAULT``, a set's name (``IMAGENET1K_V1``), the path of a state dict, or None.
        stem: See :class:`~shiftbench.model.external.Foreign`, as the fields below.
    """

    def check(self) -> None:
        """Refuse names that torchvision does not have."""
        known = models.list_models(module=models)
        if self.name is None:
            raise UsageError("model=torchvision needs a network's name; give model.name=resnet50")
        if self.name not in known:
            hint = did_you_mean(self.name, known)
            raise UsageError(
                f"model.name={printable(self.name)} is not a classification network of torchvision "
                f"{torchvision.__version__}{hint}; allowed: {', '.join(known)}"
            )
        self._set()

    def own_recipe(self) -> Preprocessing:
        """Return the preprocessing with which the set of weights was tested."""
        chosen = self._set() or self._set_of_file()
        if chosen is None:
            return Preprocessing()
        tested = chosen.transforms()
        return Preprocessing(
            size=tested.crop_size[0],
            resize=tested.resize_size[0],
            interpolation=tested.interpolation.value,
            mean=tuple(tested.mean),
            std=tuple(tested.std),
        )

    def fetch(self) -> None:
        """Download the set of weights if it is not in torch's folder."""
        if (chosen := self._set()) is not None:
            _fetch(chosen.url)

    def network(self, num_classes: int, in_chans: int) -> nn.Module:
        """Return the network in eval mode if it has weights."""
        make = models.get_model_builder(str(self.name))
        what = f"model.name={self.name}"
        chosen = self._set()
        if chosen is not None:
            log.info("weights %s of %s", chosen.name, self.name)
            self.fetch()
            return made(what, make, weights=chosen, progress=False)
        own = self._set_of_file()
        classes = len(own.meta["categories"]) if own else num_classes
        extra = _WITHOUT_WEIGHTS.get(str(self.name), {})
        return made(what, make, weights=None, num_classes=classes, **extra)

    def _set(self) -> Any:
        """Return the set of weights that ``weights`` names, None without one."""
        if self.weights is None or self.weights_file is not None:
            return None
        known = models.get_model_weights(str(self.name))
        if self.weights not in known.__members__:
            hint = did_you_mean(self.weights, known.__members__)
            raise UsageError(
                f"model.weights={printable(self.weights)} is not a set of {self.name}{hint}; "
                f"allowed: {', '.join(known.__members__)}, a path, null"
            )
        return known[self.weights]

    def _set_of_file(self) -> Any:
        """Return torchvision's set of weights with the file's name."""
        if self.weights_file is None:
            return None
        sets = models.get_model_weights(str(self.name))
        return next((one for one in sets if Path(one.url).name == self.weights_file.name), None)


def _fetch(url: str) -> None:
    """Make sure that a weights file is in torch's folder and holds only tensors.

    torch would unpickle it; a file that can be read without unpickling is harmless.

    Raises:
        ShiftbenchError: If it is missing and cannot be downloaded.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(url).name
    if not path.is_file():
        log.info("downloading %s to %s", url, folder)
        digits = re.search(r"-([a-f0-9]{8,})\.", path.name)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT_SECONDS)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                url, str(path), hash_prefix=digits.group(1) if digits else None, progress=False
            )
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = printable(" ".join(str(error).split()) or type(error).__name__, 200)
            raise ShiftbenchError(
                f"the weights {path.name} are not in {folder} and could not be downloaded "
                f"({reason}); put {url} there, or give model.weights=PATH"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    checkpoint.load(path)
