"""Common interface of external networks: naming, construction and validation.

A source of external networks is a class whose yaml takes no pool, head or padding: it builds a
network as its authors did (:meth:`Foreign.network`) and knows the preprocessing of that network
(:meth:`Foreign.recipe`). :mod:`shiftbench.experiment.external_model` then adapts it to a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from shiftbench.errors import UsageError, printable
from shiftbench.model.outputs import as_module
from shiftbench.preprocessing import Preprocessing
from shiftbench.storage.atomic import names_a_file

DEFAULT = "DEFAULT"


@dataclass(frozen=True)
class Foreign:
    """A network that is defined outside this package.

    Args:
        name: Name of the network.
        weights: ``DEFAULT``, the name of a set of weights, the path of a state dict, or None for
            weights drawn from the run's seed.
        stem: Whether a pool other than ``native`` also replaces the downsampling of the first
            convolution.
        preprocessing: Preprocessing of images where it differs from the weights' own, see
            :class:`~shiftbench.preprocessing.Preprocessing`.
        anchor: Whether feature maps are anchored in front of layers on a fixed grid, see
            :func:`~shiftbench.surgery.anchored`.
    """

    # Whether it may return trained weights that no setting mentions.
    brings_weights: ClassVar[bool] = False

    name: str | None = None
    weights: str | None = None
    stem: bool = False
    preprocessing: Mapping[str, Any] | None = None
    anchor: bool = False
    given: Preprocessing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", Preprocessing.of(self.preprocessing))
        self.check()

    @property
    def weights_file(self) -> Path | None:
        """The path of a state dict in ``weights``, None if it names none."""
        if self.weights is None or not names_a_file(self.weights):
            return None
        return Path(self.weights).expanduser()

    def check(self) -> None:
        """Refuse unknown names before any work is done.

        Raises:
            UsageError: If the name or the weights do not exist.
        """

    def recipe(self) -> Preprocessing:
        """Return the preprocessing of the network, as far as it is known."""
        return self.given.over(self.own_recipe())

    def own_recipe(self) -> Preprocessing:
        """Return the preprocessing that the weights state."""
        return Preprocessing()

    def fetch(self) -> None:
        """Make sure that the weights are on this machine, before images are decoded.

        Raises:
            ShiftbenchError: If they are missing and cannot be downloaded.
        """

    def network(self, num_classes: int, in_chans: int) -> nn.Module:
        """Return the network with its weights, except those of ``weights_file``.

        Args:
            num_classes: Logits of a network without weights; one with weights keeps its own.
            in_chans: Channels of the images.

        Raises:
            ShiftbenchError: If it cannot be made.
        """
        raise NotImplementedError


def made(what: str, make: Callable[..., Any], **arguments: Any) -> nn.Module:
    """Call a builder and return its network, or its function of images, on the CPU.

    Raises:
        UsageError: If it fails or returns neither.
    """
    try:
        network = as_module(f"what {what} returned", make(**arguments))
        return network.cpu()
    except UsageError:
        raise
    except Exception as error:  # third-party code may raise anything
        reason = printable(" ".join(str(error).split()) or type(error).__name__, 300)
        raise UsageError(
            f"{what} cannot be created ({reason}); see its documentation for what it takes"
        ) from error
