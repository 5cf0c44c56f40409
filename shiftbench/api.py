"""Measure any network from a program: ``shiftbench.measure(model, images, labels)``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from shiftbench import build
from shiftbench.config import CONFIG_DIR
from shiftbench.data.images import TensorSplit
from shiftbench.errors import UsageError, did_you_mean, require_one_of
from shiftbench.metric import evaluate, per_shift
from shiftbench.naming import load_option
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.network import PixelModel
from shiftbench.predict.protocol import ShiftProtocol
from shiftbench.surgery import circular
from shiftbench.table import PredictionTable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What :func:`measure` returns.

    Attributes:
        metrics: One row per metric: metric, value, ci_low, ci_high, n_images, n_shifts, engine.
        shifts: One row per shift: dy, dx, accuracy, agreement, mean_absolute_change, n_images.
        predictions: The prediction table; ``predictions.save(path)`` keeps it.
    """

    metrics: pd.DataFrame
    shifts: pd.DataFrame
    predictions: PredictionTable


def measure(
    model: nn.Module,
    images: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    shift: str | ShiftProtocol = "circular",
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    padding: str | None = None,
    engine: str = "auto",
    batch_size: int = 256,
    resamples: int = 1000,
) -> Result:
    """Show ``model`` the shifted views of ``images`` and reduce its answers to numbers.

    Args:
        model: Any ``nn.Module`` that maps ``(N, C, H, W)`` to logits ``(N, num_classes)``.
        images: ``(N, C, H, W)``, uint8 in 0..255 or float. Images are shifted as they are given;
            give pixels in 0..1 and ``mean`` and ``std`` for fills (black) to be what they say.
        labels: ``(N,)`` true classes.
        shift: A protocol, or the name of one (``shiftbench list shift``) with its defaults.
        mean: Per-channel mean that the network expects to be subtracted after the shift.
        std: Per-channel standard deviation to divide by.
        padding: ``circular`` measures a copy of the network whose every border wraps around. That
            is another network, and the table's meta says so.
        engine: ``direct`` runs every view; ``dense`` has all circular shifts at once, where it is
            exact; ``auto`` chooses.
        batch_size: Views per forward pass of the direct engine.
        resamples: Bootstrap resamples for the intervals.

    Raises:
        UsageError: If the arguments do not fit each other; ShiftbenchError if the network's
            answers do not.
    """
    split = _split(images, labels)
    changed: list[str] = []
    if padding is not None:
        require_one_of("padding", padding, ["circular"])
        model, changed = circular(model)
    protocol = _protocol(shift) if isinstance(shift, str) else shift
    channels, height, width = split.images.shape[1:]
    training = model.training
    if training:
        log.info("the network was in train mode; it is measured in eval mode, then put back")
    model.eval()
    try:
        network = _network(model, split, mean or [0.0] * channels, std or [1.0] * channels)
        table = predict(
            network, split.to(network.device), (channels, height, width), protocol,
            Options(engine, batch_size), mean=mean,
        )  # fmt: skip
    finally:
        model.train(training)
    if changed:
        table.meta["made_circular"] = changed
    metrics = pd.DataFrame(evaluate(table, resamples=resamples))
    return Result(metrics.assign(engine=table.meta["engine"]), per_shift(table), table)


def _network(
    model: nn.Module, split: TensorSplit, mean: Sequence[float], std: Sequence[float]
) -> PixelModel:
    """Return ``model`` behind its normalisation, on its own device and in its own precision."""
    parameter = next(model.parameters(), split.images.new_zeros((), dtype=torch.float32))
    network = PixelModel(model, mean, std, parameter.device, dtype=parameter.dtype)
    return network.folded(split.images[:2].to(parameter.device))


def _split(images: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> TensorSplit:
    pixels, classes = _tensor(images), _tensor(labels)
    if pixels.ndim != 4 or 0 in pixels.shape:
        raise UsageError(
            f"images have shape {tuple(pixels.shape)}; measure needs (N, C, H, W), none of them 0"
        )
    if classes.shape != (len(pixels),) or classes.is_floating_point():
        raise UsageError(
            f"labels have shape {tuple(classes.shape)} and type {classes.dtype}; "
            f"measure needs {len(pixels)} whole numbers, one per image"
        )
    return TensorSplit(pixels, classes.long())


def _tensor(values: Tensor | ArrayLike) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))


def _protocol(name: str) -> Any:
    node = load_option("shift", name, [CONFIG_DIR])
    if not node:
        known = sorted(path.stem for path in (CONFIG_DIR / "shift").glob("*.yaml"))
        hint = did_you_mean(name, known)
        raise UsageError(f"shift='{name}' is not known{hint}; allowed: {', '.join(known)}")
    return build.instantiate(node)
