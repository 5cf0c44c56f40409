"""The memory format of a network's images: channels-last if the logits stay the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress

import torch
from torch import Tensor, nn

from shiftbench.model.evaluating import evaluating
from shiftbench.model.outputs import Function, named_logits

log = logging.getLogger(__name__)

# Relative to the largest logit. The formats sum in different orders; half precision keeps eight or
# eleven bits of each number, and so do products of float32 on a GPU with TF32.
TOLERANCE = 0.01
TOLERANCES = {torch.bfloat16: 0.05, torch.float64: 1e-6}


def memory_format(model: nn.Module, images: Tensor) -> torch.memory_format:
    """Return channels-last if it does not change the output of ``model``, otherwise contiguous.

    A network that flattens with ``x.view(len(x), -1)`` fails on channels-last maps, and one that
    reads memory in order has another output.

    Args:
        model: In eval mode, on the device of ``images``.
        images: ``(N, C, H, W)``, preprocessed for the network.

    Raises:
        Exception: The network's own, if it runs in neither format.
    """
    return _faster(model, model, images)


def training_format(model: nn.Module, image_shape: tuple[int, int, int]) -> torch.memory_format:
    """Return the memory format for the weights as well, ``model.to(memory_format=...)``.

    Args:
        model: On the CPU; it is not modified.
        image_shape: ``(C, H, W)`` of the data.
    """
    if any(isinstance(module, Function) for module in model.modules()):
        return torch.contiguous_format  # a copy of a function would share its weights
    images = noise(model, image_shape)
    with evaluating(model):
        try:
            last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        except Exception:  # weights of five axes, a network that cannot be copied
            return torch.contiguous_format
        return _faster(model, last, images)


def noise(model: nn.Module, image_shape: tuple[int, int, int]) -> Tensor:
    """Return two noise images ``(2, C, H, W)``, always the same, to test a network."""
    device, dtype = home(model, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *image_shape, generator=generator).to(device, dtype)


def _faster(plain: nn.Module, last: nn.Module, images: Tensor) -> torch.memory_format:
    """Compare the output of ``plain`` on contiguous images with that of ``last``."""
    after: list[Tensor] | None = None
    with suppress(Exception):  # a network may raise anything
        after = _answers(last, images.contiguous(memory_format=torch.channels_last))
    try:
        before = _answers(plain, images.contiguous())
    except Exception:
        if after is None:
            raise
        return torch.channels_last
    if after is not None and _agree(before, after):
        return torch.channels_last
    log.info("images are passed to the network in contiguous memory, which it requires")
    return torch.contiguous_format


@torch.inference_mode()
def _answers(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return every tensor of the network's output, with fixed random draws."""
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        return [tensor.detach().clone() for tensor in _tensors(model(images))]


def _tensors(answer: object) -> Iterator[Tensor]:
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping | tuple | list):
        for value in answer.values() if isinstance(answer, Mapping) else answer:
            yield from _tensors(value)
    elif isinstance(logits := named_logits(answer), Tensor):
        yield logits


def _agree(before: list[Tensor], after: list[Tensor]) -> bool:
    if [tensor.shape for tensor in before] != [tensor.shape for tensor in after]:
        return False
    return all(_equal(a, b) for a, b in zip(before, after, strict=True))


def _equal(before: Tensor, after: Tensor) -> bool:
    tolerance = TOLERANCES.get(before.dtype, TOLERANCE)
    scale = float(before.double().nan_to_num(0, 0, 0).abs().max()) if before.numel() else 0.0
    return torch.allclose(
        before.double(), after.double(), rtol=0, atol=tolerance * scale, equal_nan=True
    )


def home(model: nn.Module, device: torch.device) -> tuple[torch.device, torch.dtype]:
    """Return the device and the dtype of a network's images.

    Args:
        model: The network; its first floating-point parameter decides.
        device: Its device if it has no parameters and no buffers.
    """
    tensors = [*model.parameters(), *model.buffers()]
    floating = next((t for t in tensors if t.is_floating_point()), None)
    first = floating if floating is not None else next(iter(tensors), None)
    return (
        device if first is None else first.device,
        torch.float32 if floating is None else floating.dtype,
    )
