"""The device of a run, and a network on it."""

from __future__ import annotations

import torch
from omegaconf import DictConfig
from torch import nn

from shiftbench.data.images import Dataset
from shiftbench.experiment import build
from shiftbench.model.layout import home
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.devices import (
    pick_device,
    require_precision,
    use_deterministic_kernels,
    use_threads,
)
from shiftbench.training import capture


def device_of(config: DictConfig) -> torch.device:
    """Configure threads and kernels, and return the device of a run.

    Raises:
        UsageError: See :func:`check_machine`.
    """
    use_threads(config.threads)
    device = check_machine(config)
    use_deterministic_kernels(config.deterministic, device)
    return device


def check_machine(config: DictConfig) -> torch.device:
    """Return the device of a run; nothing is configured.

    Raises:
        UsageError: If this machine lacks the device, a precision or CUDA graphs.
    """
    device = pick_device(config.device)
    require_precision("precision", config.precision, device)
    require_precision("measure.precision", config.measure.precision, device)
    wants_graph = str(config.train.capture).lower() == capture.ON and config.train.epochs
    if wants_graph and (reason := capture.device_obstacle(device)):
        raise capture.not_possible(reason)
    return device


def on_device(
    config: DictConfig, model: nn.Module, data: Dataset, device: torch.device
) -> PixelModel:
    """Return ``model`` on ``device`` in the memory format and precision of its training."""
    layout, (_, dtype) = build.memory_format(config, model, data), home(model, device)
    model = model.to(device, memory_format=layout)  # type: ignore[call-overload]
    return PixelModel(model, data.mean, data.std, device, config.precision, dtype, layout)
