"""In which memory format a network takes its images: channels-last where it makes no difference."""

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

# Of the largest answer. The formats add the same numbers in another order; half precision keeps
# eight or eleven bits of each, and so do the products of float32 on a GPU that uses TF32.
TOLERANCE = 0.01
TOLERANCES = {torch.bfloat16: 0.05, torch.float64: 1e-6}


def memory_format(model: nn.Module, images: Tensor) -> torch.memory_format:
    """Return channels-last where ``model`` answers the same with it, else contiguous.

    A network that flattens with ``x.view(len(x), -1)`` fails on channels-last maps, one that reads
    memory in its order answers otherwise.

    Args:
        model: In eval mode, on the device of ``images``.
        images: ``(N, C, H, W)`` as the network takes them.

    Raises:
        Exception: Whatever the network raises, if it runs in neither.
    """
    return _faster(model, model, images)


def training_format(model: nn.Module, image_shape: tuple[int, int, int]) -> torch.memory_format:
    """Return the memory format for the weights as well, ``model.to(memory_format=...)``.

    Args:
        model: On the CPU; it is left as it is.
        image_shape: ``(C, H, W)`` of the data.
    """
    if any(isinstance(module, Function) for module in model.modules()):
        return torch.contiguous_format  # a copy of a function would use the same weights
    images = noise(model, image_shape)
    with evaluating(model):
        try:
            last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        except Exception:  # weights of five axes, a network that cannot be copied
            return torch.contiguous_format
        return _faster(model, last, images)


def noise(model: nn.Module, image_shape: tuple[int, int, int]) -> Tensor:
    """Return two images ``(2, C, H, W)`` of the same noise each time, to try a network with."""
    device, dtype = home(model, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *image_shape, generator=generator).to(device, dtype)


def _faster(plain: nn.Module, last: nn.Module, images: Tensor) -> torch.memory_format:
    """Compare the answers of ``plain`` to contiguous images with those of ``last``."""
    after: list[Tensor] | None = None
    with suppress(Exception):  # whatever a network raises
        after = _answers(last, images.contiguous(memory_format=torch.channels_last))
    try:
        before = _answers(plain, images.contiguous())
    except Exception:
        if after is None:
            raise
        return torch.channels_last
    if after is not None and _agree(before, after):
        return torch.channels_last
    log.info("images are given to the network in contiguous memory, as it was written for")
    return torch.contiguous_format


@torch.inference_mode()
def _answers(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return every tensor that the network answers; random draws are the same each time."""
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
    """Return on which device and in which type a network takes its images.

    Args:
        model: The network; its first parameter of floating-point numbers decides.
        device: Where it is if it has no parameters and no buffers.
    """
    tensors = [*model.parameters(), *model.buffers()]
    floating = next((t for t in tensors if t.is_floating_point()), None)
    first = floating if floating is not None else next(iter(tensors), None)
    return (
        device if first is None else first.device,
        torch.float32 if floating is None else floating.dtype,
    )
