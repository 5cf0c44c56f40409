"""Preparation of an external network for a run: weights, downsampling, padding."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from shiftbench.data.images import Dataset, NetworkSizedData
from shiftbench.errors import UsageError, printable
from shiftbench.model import checkpoint
from shiftbench.model.evaluating import evaluating, initialise
from shiftbench.model.external import Foreign
from shiftbench.model.layout import noise
from shiftbench.model.outputs import Function, give_logits
from shiftbench.model.trial import try_network
from shiftbench.pool.base import MakeDownsampling, downsampling
from shiftbench.preprocessing import Preprocessing
from shiftbench.surgery import anchored, circular, replace_downsampling

log = logging.getLogger(__name__)


def announce_untrained(source: Foreign | None, config: DictConfig) -> None:
    """Log that a network is measured with its random initial weights, unless it has others."""
    if config.checkpoint or (source is not None and source.weights is not None):
        return
    if source is not None and source.brings_weights:
        log.info(
            "weights: those that the target leaves in the network; what it does not load is drawn "
            "from seed %s, not trained", config.seed,
        )  # fmt: skip
    else:
        log.info("weights: drawn from seed %s, not trained", config.seed)


def prepared(loaded: Any, recipe: Preprocessing | None) -> Dataset:
    """Return the data as the network expects it: normalised as in training, photographs resized.

    The attribute ``preprocessing`` of the returned data set describes this: the keys of
    :meth:`Preprocessing.as_dict` (``size`` is the side of the network's input, ``resize`` and
    ``interpolation`` are None for data of a fixed size), and ``normalisation``, which is
    ``network`` or ``data``, depending on whose mean and standard deviation are used.

    Args:
        loaded: A data set, or photographs that are not yet decoded.
        recipe: The known preprocessing of an external network; None for the networks of this
            package, which take the data unchanged.

    Raises:
        UsageError: If the preprocessing is not known or does not fit the images.
    """
    if isinstance(loaded, NetworkSizedData):
        if recipe is None:
            raise UsageError(
                f"{loaded.name} is resized and normalised as an external network says, and "
                "the networks here say nothing; use model=torchvision, timm or import, or the "
                "images as data=folder"
            )
        data = loaded.for_network(recipe)
        return _noting(data, recipe.completed(), "network")
    assert isinstance(loaded, Dataset)
    if recipe is None or recipe.mean is None or recipe.std is None:
        return _noting(loaded, Preprocessing(), "data")
    channels = loaded.image_shape[0]
    if {len(recipe.mean), len(recipe.std)} != {channels}:
        raise UsageError(
            f"the network is normalised for {len(recipe.mean)} channels and the images have "
            f"{channels}; give other images, e.g. data=folder data.channels={len(recipe.mean)}"
        )
    data = dataclasses.replace(loaded, mean=recipe.mean, std=recipe.std)
    return _noting(data, Preprocessing(), "network")


def _noting(data: Dataset, resized: Preprocessing, normalisation: str) -> Dataset:
    """Return the data with a description of its preprocessing."""
    side = max(data.image_shape[1:])
    used = dataclasses.replace(resized, size=side, mean=data.mean, std=data.std)
    return dataclasses.replace(
        data, preprocessing={**used.as_dict(), "normalisation": normalisation}
    )


def announce(recipe: Preprocessing, data: Dataset) -> None:
    """Log the preprocessing of an external network, and the one that is used if it differs.

    Args:
        recipe: The network's known preprocessing.
        data: The data set that :func:`prepared` returned.
    """
    used = data.preprocessing or {}
    instead = []
    if used.get("normalisation") == "data":
        own = Preprocessing(mean=data.mean, std=data.std)
        instead.append(f"the data's own mean and standard deviation are used ({own})")
    if used.get("resize") is None:
        instead.append(f"images stay at {used.get('size')} px")
    wanted = f"{recipe}; {', '.join(instead)}" if instead else recipe.completed()
    log.info("preprocessing of the network: %s", wanted)


def refuse(
    pool: Callable[..., nn.Module],
    pool_name: str,
    head: str | None,
    padding: str,
    anchor: bool = False,
) -> None:
    """Refuse settings that do not apply to an external network.

    Args:
        pool: Factory of the downsampling layers.
        pool_name: Its label in tables.
        head: The requested head, None for the network's own.
        padding: The run's padding.
        anchor: Whether the network is anchored.

    Raises:
        UsageError: With a one-sentence message.
    """
    if downsampling(pool).kind.needs_global_head:
        raise UsageError(
            f"pool={pool_name} takes out all subsampling, for which a network has to be laid out; "
            "use model=vgg or model=resnet, or another pool"
        )
    if head is not None:
        raise UsageError(
            f"head={head} cannot be given to an external network, which has its own; "
            "leave it out, or use model=vgg or model=resnet"
        )
    if padding not in ("zeros", "circular"):
        raise UsageError(
            f"padding={padding} cannot be given to an external network; "
            "allowed: zeros (leaves its borders alone), circular"
        )
    if anchor and not downsampling(pool).kind.is_native:
        raise UsageError(
            "model.anchor=true keeps the network's own downsampling, which "
            f"pool={pool_name} replaces; leave one of them out"
        )


def load_external_model(
    source: Foreign,
    num_classes: int,
    image_shape: tuple[int, int, int],
    pool: Callable[..., nn.Module],
    padding: str,
    weights: Path | None,
) -> nn.Module:
    """Return the network of ``source`` with its weights, pool and padding.

    Args:
        source: The source of the network.
        num_classes: Number of classes of the data.
        image_shape: ``(C, H, W)`` of the data.
        pool: Factory of the downsampling layers; ``native`` keeps the network's own.
        padding: ``zeros`` keeps the network's padding, ``circular`` makes it circular.
        weights: A checkpoint, either of the original network or of the modified one.

    Raises:
        ShiftbenchError: If the parts are incompatible.
    """
    pool = downsampling(pool)
    network = source.network(num_classes, image_shape[0])
    _initialise(network, image_shape)
    if source.weights_file is not None:
        checkpoint.load_weights(network, source.weights_file)
    early = weights is not None and checkpoint.fits(network, weights)
    if weights is not None and early:
        checkpoint.load_weights(network, weights)
    if source.anchor or padding != "zeros" or not pool.kind.is_native:
        _refuse_function(network)
    network = _changed(network, pool, padding, source, image_shape)
    if weights is not None and not early:
        checkpoint.load_weights(network, weights)
    _try(network, num_classes, image_shape)
    _announce_frozen(network)
    return network


def _changed(
    network: nn.Module,
    pool: MakeDownsampling,
    padding: str,
    source: Foreign,
    image_shape: tuple[int, int, int],
) -> nn.Module:
    """Return the network with its downsampling and padding replaced, and log the changes."""
    lines: list[str] = []
    if not pool.kind.is_native:
        network, replaced = replace_downsampling(network, pool, padding, source.stem, image_shape)
        lines = replaced.lines()
    elif source.anchor:
        network, report = anchored(network, image_shape[1:])
        lines = report.lines()
    for line in lines:
        log.info("%s", line)
    if padding == "circular":
        network, names = circular(network, image_shape)
        log.info("padding=circular: %d layers of the network now wrap around", len(names))
    return network


def _initialise(network: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Initialise lazy layers with an image of the data."""
    try:
        initialise(network, torch.zeros(1, *image_shape))
    except Exception as error:  # a third-party network may raise anything
        raise UsageError(
            f"the layers of the network that take their sizes from the first batch do not take "
            f"images of {'×'.join(map(str, image_shape))} ({printable(error, 300)}); "
            f"{_OTHER_IMAGES}"
        ) from error


def _refuse_function(network: nn.Module) -> None:
    """Refuse to modify the layers of a function, which are not known."""
    if isinstance(network, Function):
        raise UsageError(
            "model.target returned a function, whose layers cannot be replaced; leave pool=, "
            "padding= and model.anchor= out, or return the torch.nn.Module"
        )


def _announce_frozen(network: nn.Module) -> None:
    parameters = list(network.parameters())
    if frozen := sum(not parameter.requires_grad for parameter in parameters):
        log.info(
            "%d of %d parameter tensors of the network are frozen (requires_grad is False); they "
            "stay so in training", frozen, len(parameters),
        )  # fmt: skip


_OTHER_IMAGES = (
    "give other images, e.g. data=folder data.channels=3 data.size=224, or another network"
)


def _try(network: nn.Module, num_classes: int, image_shape: tuple[int, int, int]) -> None:
    """Refuse a network that does not accept the images or has other classes.

    If the logits are only a part of the network's output, it is modified to return them alone.
    """
    with evaluating(network):
        trial = try_network(network, noise(network, image_shape), _OTHER_IMAGES)
    if not trial.plain:
        give_logits(network)
    if trial.classes != num_classes:
        raise UsageError(
            f"the network answers {trial.classes} classes and the data has {num_classes}; give "
            "data with the network's classes, e.g. data=imagenet for those of ImageNet, or a "
            "network without weights, e.g. model.weights=null"
        )
