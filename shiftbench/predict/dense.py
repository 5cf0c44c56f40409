"""The dense engine: the answers to all circular shifts at once, exactly.

It holds for a network whose every convolution and pooling window lies on a torus (circular
padding) and whose map sizes are divisible by the strides. Each layer costs what it costs in the
network without subsampling; the plain way costs a forward pass per shift.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from shiftbench.data.images import Split
from shiftbench.predict.answers import answers
from shiftbench.predict.network import PixelModel
from shiftbench.predict.phases import NotDenseError, Trace, dense_layer
from shiftbench.predict.protocol import ShiftProtocol
from shiftbench.seeds import derive_seed
from shiftbench.shift.plan import PATHS, torus

SELF_CHECK_IMAGES = 4
SELF_CHECK_SHIFTS = 24
FEWEST_SHIFTS = 16  # for fewer, making each view is cheaper
LIVE_MAPS = 3.0  # feature maps of the largest size that exist at once
# On a CPU a few images at once are fastest: measured, their maps then stay near the cache.
CPU_CACHE = 10 * 2**20
TOLERANCE = 1e-4  # of the largest logit: the two engines add the same numbers in another order


class DenseNetwork:
    """A network that answers for every circular shift of its images in one pass.

    Args:
        model: In eval mode; it is copied, not changed.

    Raises:
        NotDenseError: If a layer is not one on a torus.
    """

    def __init__(self, model: nn.Module) -> None:
        self.trace = Trace()
        self.model = copy.deepcopy(model)
        for name, module in list(self.model.named_modules()):
            dense = dense_layer(module, self.trace)
            if dense is None:
                continue
            if not name:
                self.model = dense
                break
            parent, _, leaf = name.rpartition(".")
            setattr(self.model.get_submodule(parent), leaf, dense)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits ``(N, V, classes)`` of the V distinct views of every image."""
        self.trace.start(len(images))
        logits: Tensor = self.model(images)
        return logits.reshape(len(images), -1, logits.shape[-1])

    def columns(self, shifts: Tensor) -> Tensor:
        """Return which of the V views answers for each of the ``shifts (K, 2)``; after a pass."""
        offset, index = shifts.long(), torch.zeros(len(shifts), dtype=torch.long)
        for _, stride in sorted(self.trace.strides.items()):
            step = torch.tensor(stride)
            grid = -offset % step
            offset = (offset + grid) // step
            index = (index * stride[0] + grid[:, 0]) * stride[1] + grid[:, 1]
        if self.trace.shifts is not None:
            height, width = self.trace.shifts
            index = (index * height + offset[:, 0] % height) * width + offset[:, 1] % width
        return index


def check(
    dense: DenseNetwork,
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    generator: torch.Generator,
) -> int:
    """Compare with plain forward passes of rolled images at random shifts.

    Returns:
        How many of the compared answers differ in the class though the logits agree to rounding
        (near-ties).

    Raises:
        NotDenseError: If logits differ by more than rounding.
    """
    sides = torch.tensor(images.shape[-2:])
    shifts = (torch.rand(SELF_CHECK_SHIFTS, 2, generator=generator) * sides).long()
    try:
        logits = dense(images)
    except RuntimeError as error:  # shapes that do not fit, since a step was not seen
        raise NotDenseError(f"a dense pass fails ({str(error).splitlines()[0]})") from error
    views = dense.columns(shifts)
    if int(views.max()) >= logits.shape[1]:
        raise NotDenseError("it subsamples in a step that is not a layer")
    flips = 0
    for shift, view in zip(shifts.tolist(), views.tolist(), strict=True):
        plain = model(images.roll(shift, (2, 3))).float()
        own = logits[:, view].float()
        gap = (own - plain).abs().max()
        if not bool(gap <= TOLERANCE * plain.abs().max()):
            raise NotDenseError(
                f"its answers to a shift by ({shift[0]}, {shift[1]}) differ by {float(gap):.2g}"
            )
        flips += int((own.argmax(1) != plain.argmax(1)).sum())
    return flips


class DenseEngine:
    """Answers for every circular shift of the protocol, checked on a few images first.

    Attributes:
        images_at_once: How many images fit the memory that was granted.
        meta: What the self-check found, for the table.
    """

    name = "dense"

    def __init__(
        self, network: PixelModel, image_shape: tuple[int, int, int], protocol: ShiftProtocol
    ) -> None:
        self.network = network
        self.dense = DenseNetwork(network.model)
        size = image_shape[1:]
        self.plan = protocol.plan(1, size)
        self.step = PATHS[protocol.path]  # type: ignore[attr-defined]
        self.every_shift = torus(size).offsets
        self.meta: dict[str, int] = {}
        self.images_at_once = 1

    @classmethod
    def of(
        cls,
        network: PixelModel,
        split: Split,
        image_shape: tuple[int, int, int],
        protocol: ShiftProtocol,
        memory_gb: float,
    ) -> DenseEngine:
        """Return the engine after its self-check.

        Raises:
            NotDenseError: If it does not hold for this network and protocol.
        """
        exhaustive = _every_shift(protocol)
        engine = cls(network, image_shape, exhaustive)
        if len(engine.plan) < FEWEST_SHIFTS:
            raise NotDenseError(f"{len(engine.plan)} shifts are made sooner one by one")
        images, _ = next(iter(split.batches(SELF_CHECK_IMAGES)))
        generator = torch.Generator().manual_seed(derive_seed(0, "dense-self-check"))
        with torch.inference_mode(), network.autocasting():
            pixels = network.normalise(images)
            flips = check(engine.dense, network.model, pixels, generator)
            engine.images_at_once = engine._fit(pixels[:1], memory_gb)
        engine.meta = {"self_check_images": len(images), "self_check_shifts": SELF_CHECK_SHIFTS,
                       "self_check_flips": flips}  # fmt: skip
        return engine

    @torch.inference_mode()
    def answer(self, images: Tensor, labels: Tensor, shifts: Tensor) -> dict[str, Tensor]:
        """Return the table's columns for ``images``."""
        with self.network.autocasting():
            logits = self.dense(self.network.normalise(images)).float()
        views = self.dense.columns(self.plan.shifts).to(labels.device)
        columns = answers(logits, labels, self._previous_view(logits.shape[1]).to(labels.device))
        columns = {
            name: values if values.ndim == 1 else values[:, views]
            for name, values in columns.items()
        }
        columns["p_previous"][:, self.plan.previous < 0] = torch.nan
        return columns

    def _previous_view(self, views: int) -> Tensor:
        """Return ``(V,)``: the view one step earlier; views that are shifts of each other agree."""
        previous = torch.zeros(views, dtype=torch.long)
        earlier = self.every_shift - torch.tensor(self.step)
        previous[self.dense.columns(self.every_shift)] = self.dense.columns(earlier)
        return previous

    def _fit(self, image: Tensor, memory_gb: float) -> int:
        """Return how many images' feature maps fit into ``memory_gb``."""
        largest = 0

        def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal largest
            sizes = (t.numel() * t.element_size() for t in (*inputs, output) if torch.is_tensor(t))
            largest = max(largest, sum(sizes))

        handles = [module.register_forward_hook(note) for module in self.dense.model.modules()]
        logits = self.dense(image)
        for handle in handles:
            handle.remove()
        columns = 40 * len(self.plan) + 8 * 4 * logits.numel()
        fitting = int(memory_gb * 2**30 / (LIVE_MAPS * largest + columns))
        if image.device.type == "cpu":
            fitting = min(fitting, CPU_CACHE // largest)
        return max(1, fitting)


def _every_shift(protocol: ShiftProtocol) -> ShiftProtocol:
    """Return the protocol that shows every offset, if ``protocol`` does not insist on draws."""
    if not getattr(protocol, "circular", False):
        raise NotDenseError("only circular shifts can be had at once")
    if getattr(protocol, "sampling", "draws") not in ("auto", "all"):
        raise NotDenseError("draws were asked for")
    return dataclasses.replace(protocol, sampling="all")  # type: ignore[type-var]
