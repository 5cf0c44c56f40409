"""A network from elsewhere made fit for a run: its weights, its downsampling, its borders."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftbench import checkpoint
from shiftbench.data.images import Dataset
from shiftbench.errors import ShiftbenchError, UsageError, shown
from shiftbench.model.foreign import Foreign
from shiftbench.preprocessing import Preprocessing
from shiftbench.surgery import circular, replace_downsampling

log = logging.getLogger(__name__)


def prepared(loaded: Any, recipe: Preprocessing | None) -> Dataset:
    """Return the data as the network wants it: normalised as it was trained, photographs resized.

    Args:
        loaded: A data set, or photographs that are not yet decoded.
        recipe: What is known of how a network from elsewhere wants its pictures; None for the
            networks that are built here, which take the data as it is.

    Raises:
        UsageError: If that is not known or does not fit the images.
    """
    if recipe is not None:
        log.info("preprocessing of the network: %s", recipe)
    if hasattr(loaded, "for_network"):
        if recipe is None:
            raise UsageError(
                f"{loaded.name} is resized and normalised as a network from elsewhere says, and "
                "the networks here say nothing; use model=torchvision, timm or import, or the "
                "images as data=folder"
            )
        data: Dataset = loaded.for_network(recipe)
        return data
    assert isinstance(loaded, Dataset)
    if recipe is None or recipe.mean is None or recipe.std is None:
        return loaded
    channels = loaded.image_shape[0]
    if {len(recipe.mean), len(recipe.std)} != {channels}:
        raise UsageError(
            f"the network is normalised for {len(recipe.mean)} channels and the images have "
            f"{channels}; give other images, as data=folder data.channels={len(recipe.mean)}"
        )
    return dataclasses.replace(loaded, mean=recipe.mean, std=recipe.std)


def refuse(pool: Any, pool_name: str, head: str | None, padding: str) -> None:
    """Refuse what a network from elsewhere cannot be given.

    Args:
        pool: The pool's class, or a partial of it.
        pool_name: What it is called in tables.
        head: The head that was asked for, None for the network's own.
        padding: The run's padding.

    Raises:
        UsageError: In one sentence.
    """
    if getattr(getattr(pool, "func", pool), "needs_global_head", False):
        raise UsageError(
            f"pool={pool_name} takes out all subsampling, for which a network has to be laid out; "
            "use model=vgg or model=resnet, or another pool"
        )
    if head is not None:
        raise UsageError(
            f"head={head} cannot be given to a network from elsewhere, which has its own; "
            "leave it out, or use model=vgg or model=resnet"
        )
    if padding == "reflect":
        raise UsageError(
            "padding=reflect cannot be given to a network from elsewhere; "
            "allowed: zeros (leaves its borders alone), circular"
        )


def adopted(
    source: Foreign,
    num_classes: int,
    image_shape: tuple[int, int, int],
    pool: Any,
    padding: str,
    weights: Path | None,
) -> nn.Module:
    """Return the network of ``source`` with its weights, pool and borders.

    Args:
        source: Where the network comes from.
        num_classes: Of the data.
        image_shape: ``(C, H, W)`` of the data.
        pool: Makes a downsampling layer; ``native`` leaves the network's own.
        padding: ``zeros`` leaves its borders alone, ``circular`` wraps them around.
        weights: A checkpoint, of the network as it was or of this one as it was trained.

    Raises:
        ShiftbenchError: If the parts do not fit each other.
    """
    network = source.network(num_classes, image_shape[0])
    if source.weights_file is not None:
        checkpoint.load_weights(network, source.weights_file)
    early = weights is not None and checkpoint.fits(network, weights)
    if weights is not None and early:
        checkpoint.load_weights(network, weights)
    network = _changed(network, pool, padding, source.stem)
    if weights is not None and not early:
        checkpoint.load_weights(network, weights)
    _try(network, num_classes, image_shape)
    for parameter in network.parameters():  # some builders freeze what they load
        parameter.requires_grad_(True)
    return network


def _changed(network: nn.Module, pool: Any, padding: str, stem: bool) -> nn.Module:
    """Return the network with another downsampling and other borders, and log what changed."""
    if not getattr(getattr(pool, "func", pool), "is_native", False):
        network, replaced = replace_downsampling(network, pool, padding=padding, stem=stem)
        for line in replaced.lines():
            log.info("%s", line)
    if padding == "circular":
        network, names = circular(network)
        log.info("padding=circular: %d layers of the network now wrap around", len(names))
    return network


def _try(network: nn.Module, num_classes: int, image_shape: tuple[int, int, int]) -> None:
    """Refuse a network that does not take the images or answers other classes."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            logits = network(torch.zeros(1, *image_shape))
    except Exception as error:  # whatever somebody's network raises
        channels, height, width = image_shape
        reason = shown(" ".join(str(error).split()) or type(error).__name__, 300)
        raise UsageError(
            f"the network does not take images of {channels}×{height}×{width} ({reason}); give "
            "other images, as data=folder data.channels=3 data.size=224, or another network"
        ) from error
    finally:
        network.train(training)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        what = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ShiftbenchError(
            f"the network returned {what} for one image; it must map (N, C, H, W) to logits "
            "(N, classes)"
        )
    if logits.shape[1] != num_classes:
        raise UsageError(
            f"the network answers {logits.shape[1]} classes and the data has {num_classes}; give "
            "data with the network's classes, as data=imagenet for those of ImageNet, or a network "
            "without weights, as model.weights=null"
        )
