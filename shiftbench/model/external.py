"""What networks from elsewhere have in common: how they are named, made and refused.

A source of such networks is a class whose yaml has no place for a pool, a head and a padding: it
builds a network as its authors did (:meth:`Foreign.network`) and knows how that network wants its
pictures (:meth:`Foreign.recipe`). What is then changed in it is the affair of
:mod:`shiftbench.experiment.external_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from shiftbench.errors import UsageError, shown
from shiftbench.model.outputs import as_module
from shiftbench.preprocessing import Preprocessing
from shiftbench.storage.atomic import names_a_file

DEFAULT = "DEFAULT"


@dataclass(frozen=True)
class Foreign:
    """A network that somebody else defines.

    Args:
        name: Which one.
        weights: ``DEFAULT``, the name of a set of weights, the path of a state dict, or None for
            weights drawn from the run's seed.
        stem: Whether a pool other than ``native`` also replaces the downsampling of the first
            convolution.
        preprocessing: What is done to pictures where it is not the weights' own, see
            :class:`~shiftbench.preprocessing.Preprocessing`.
    """

    # Whether it may return trained weights that nothing here knows of.
    brings_weights: ClassVar[bool] = False

    name: str | None = None
    weights: str | None = None
    stem: bool = False
    preprocessing: Mapping[str, Any] | None = None
    given: Preprocessing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", Preprocessing.of(self.preprocessing))
        self.check()

    @property
    def weights_file(self) -> Path | None:
        """The state dict that ``weights`` names, None where it names none."""
        if self.weights is None or not names_a_file(self.weights):
            return None
        return Path(self.weights).expanduser()

    def check(self) -> None:
        """Refuse, before any work, what there is not.

        Raises:
            UsageError: In one sentence.
        """

    def recipe(self) -> Preprocessing:
        """Return how the network wants its pictures, as far as it is known."""
        return self.given.over(self.own_recipe())

    def own_recipe(self) -> Preprocessing:
        """Return what the weights say about that."""
        return Preprocessing()

    def fetch(self) -> None:
        """See that the weights are on this machine, before pictures are decoded for nothing.

        Raises:
            ShiftbenchError: If they are not and cannot be had.
        """

    def network(self, num_classes: int, in_chans: int) -> nn.Module:
        """Return the network; its weights are in it but for those of ``weights_file``.

        Args:
            num_classes: Logits of a network without weights; one with weights keeps its own.
            in_chans: Channels of the pictures.

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
    except Exception as error:  # whatever somebody's code raises
        reason = shown(" ".join(str(error).split()) or type(error).__name__, 300)
        raise UsageError(
            f"{what} cannot be made ({reason}); see its documentation for what it takes"
        ) from error
