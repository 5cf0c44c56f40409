"""A network with its input normalisation: from pixels to logits."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError, printable
from shiftbench.ops.autocast import at_least_single
from shiftbench.predict.fold_batchnorm import folded
from shiftbench.predict.logits import Rounding
from shiftbench.runtime.devices import rounds_to_tf32
from shiftbench.runtime.failures import is_out_of_memory


class PixelModel:
    """A network with its input normalisation: from pixels to logits.

    Args:
        model: Maps normalised ``(N, C, H, W)`` to logits.
        mean: Per-channel pixel mean in 0..1.
        std: Per-channel standard deviation in 0..1.
        device: The device of ``model``.
        precision: ``fp32`` or ``bf16`` (autocast).
        dtype: Type of the network's parameters.
        memory_format: Memory format of the network's input.
    """

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        precision: str = "fp32",
        dtype: torch.dtype = torch.float32,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.memory_format = memory_format
        self.scale = (1 / torch.tensor(std, device=device))[:, None, None]
        self.offset = -torch.tensor(mean, device=device)[:, None, None] * self.scale
        self.autocast = precision == "bf16"

    def folded(self, images: Tensor) -> PixelModel:
        """Return the network with BatchNorm folded into convolutions; see ``fold_batchnorm``."""
        return self.around(folded(self.model, self.normalise(images)))

    def computing_in(self, precision: str) -> PixelModel:
        """Return the same network at another precision, ``fp32`` or ``bf16`` (autocast)."""
        network = copy.copy(self)
        network.autocast = precision == "bf16"
        return network

    def around(self, model: nn.Module) -> PixelModel:
        """Return another network with the same normalisation."""
        network = copy.copy(self)
        network.model = model
        return network

    def normalise(self, images: Tensor) -> Tensor:
        """Return ``(images − mean) / std`` in the network's type and memory format."""
        unit = images.float().div(255) if images.dtype == torch.uint8 else images
        scaled = unit * self.scale + self.offset
        return scaled.to(self.dtype).contiguous(memory_format=self.memory_format)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits of pixels ``(N, C, H, W)``, in float32 or float64.

        Raises:
            ShiftbenchError: If the network fails on a batch of more than one image.
        """
        try:
            with self.autocasting():
                logits: Tensor = self.model(self.normalise(images))
        except Exception as error:  # a network may raise anything
            known = isinstance(error, ShiftbenchError) or is_out_of_memory(error)
            if known or len(images) == 1 or torch.is_grad_enabled():  # unchanged in training
                raise
            reason = printable(" ".join(str(error).split()) or type(error).__name__, 300)
            raise ShiftbenchError(
                f"the network fails on {len(images)} images at once ({reason}); give a smaller "
                "batch size, from 8, or a network that takes any number of images"
            ) from error
        return at_least_single(logits)

    @property
    def rounding(self) -> Rounding:
        """Rounding of the arithmetic of this network."""
        if self.autocast:
            return Rounding.of(torch.bfloat16)
        return Rounding.of(self.dtype, self.device.type == "cuda" and rounds_to_tf32())

    def autocasting(self) -> torch.autocast:
        """Return the context in which the network runs at its precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)
