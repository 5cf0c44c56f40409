"""A network behind its normalisation: pixels in, logits out."""

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
    """A network behind its normalisation: pixels in, logits out.

    Args:
        model: Maps normalised ``(N, C, H, W)`` to logits.
        mean: Per-channel pixel mean in 0..1.
        std: Per-channel standard deviation in 0..1.
        device: Where ``model`` is.
        precision: ``fp32`` or ``bf16`` (autocast).
        dtype: Of the network's parameters.
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
        """Return the same network with BatchNorm folded, for measuring; see ``predict.fold``."""
        return self.around(folded(self.model, self.normalise(images)))

    def computing_in(self, precision: str) -> PixelModel:
        """Return the same network at another precision, ``fp32`` or ``bf16`` (autocast)."""
        network = copy.copy(self)
        network.autocast = precision == "bf16"
        return network

    def around(self, model: nn.Module) -> PixelModel:
        """Return the same normalisation in front of another network."""
        network = copy.copy(self)
        network.model = model
        return network

    def normalise(self, images: Tensor) -> Tensor:
        """Return ``(images − mean) / std`` in the network's type and memory format."""
        unit = images.float().div(255) if images.dtype == torch.uint8 else images
        scaled = unit * self.scale + self.offset
        return scaled.to(self.dtype).contiguous(memory_format=self.memory_format)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits of pixels ``(N, C, H, W)``, in float32 or more.

        Raises:
            ShiftbenchError: If the network, which was tried with two images, fails on more.
        """
        try:
            with self.autocasting():
                logits: Tensor = self.model(self.normalise(images))
        except Exception as error:  # whatever a network raises
            known = isinstance(error, ShiftbenchError) or is_out_of_memory(error)
            if known or len(images) == 1 or torch.is_grad_enabled():  # in training it is its own
                raise
            reason = printable(" ".join(str(error).split()) or type(error).__name__, 300)
            raise ShiftbenchError(
                f"the network fails on {len(images)} images at once ({reason}); give a smaller "
                "batch size, from 8, or a network that takes any number of images"
            ) from error
        return at_least_single(logits)

    @property
    def rounding(self) -> Rounding:
        """What the arithmetic of this network can resolve."""
        if self.autocast:
            return Rounding.of(torch.bfloat16)
        return Rounding.of(self.dtype, self.device.type == "cuda" and rounds_to_tf32())

    def autocasting(self) -> torch.autocast:
        """Return the context in which the network runs at its precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)
