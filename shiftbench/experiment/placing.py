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


def device_of(config: DictConfig) -> torch.device:
    """Configure threads and kernels, and return the device of a run.

    Raises:
        UsageError: If this machine lacks the device or a precision of the configuration.
    """
    use_threads(config.threads)
    device = pick_device(config.device)
    require_precision("precision", config.precision, device)
    require_precision("measure.precision", config.measure.precision, device)
    use_deterministic_kernels(config.deterministic, device)
    return device


def placed(config: DictConfig, model: nn.Module, data: Dataset, device: torch.device) -> PixelModel:
    """Return ``model`` on ``device`` in the memory format and precision of its training."""
    layout, (_, dtype) = build.memory_format(config, model, data), home(model, device)
    model = model.to(device, memory_format=layout)  # type: ignore[call-overload]
    return PixelModel(model, data.mean, data.std, device, config.precision, dtype, layout)
