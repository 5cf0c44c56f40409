"""The dense engine: the exact answers to all circular shifts at once.

It applies to networks in which every convolution and pooling window lies on a torus (circular
padding) and the sizes of feature maps are divisible by the strides. Each layer costs as much as in
the network without subsampling; the direct engine costs a forward pass per shift.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from shiftbench.data.images import Split
from shiftbench.data.shown import ShownSplit
from shiftbench.ops.autocast import at_least_single
from shiftbench.predict.dense_average import dense_network, inner_network
from shiftbench.predict.engine_base import Engine
from shiftbench.predict.noise import spread_images
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.self_check import check
from shiftbench.predict.table_columns import answers
from shiftbench.seeds import derive_seed
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import PATHS, torus
from shiftbench.shift.sampling import Sampling

SELF_CHECK_IMAGES = 4
FEWEST_SHIFTS = 16  # for fewer, a forward pass per view is cheaper
LIVE_MAPS = 3.0  # feature maps of the largest size that exist at once
# On a CPU, small batches are fastest (measured): their feature maps then fit into the cache.
CPU_CACHE = 10 * 2**20


class DenseEngine(Engine):
    """Answers for every circular shift of the protocol, after a self-check on a few images.

    Attributes:
        images_at_once: Number of images that fit into the memory limit.
        meta: Results of the self-check, for the table.
    """

    name = "dense"

    def __init__(
        self, network: PixelModel, image_shape: tuple[int, int, int], protocol: ShiftProtocol
    ) -> None:
        self.network = network
        self.dense = dense_network(network.model)
        size = image_shape[1:]
        assert isinstance(protocol.sampling, Sampling)
        self.plan = protocol.plan(1, size)
        self.step = PATHS[protocol.sampling.path]
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
            NotDenseError: If it does not apply to this network and protocol.
        """
        exhaustive = _every_shift(protocol)
        engine = cls(network, image_shape, exhaustive)
        if len(engine.plan) < FEWEST_SHIFTS:
            raise NotDenseError(f"{len(engine.plan)} shifts take less time one by one")
        images = spread_images(split, SELF_CHECK_IMAGES)
        generator = torch.Generator().manual_seed(derive_seed(0, "dense-self-check"))
        with torch.inference_mode():
            pixels = network.normalise(images)
            plain = network.around(inner_network(network.model))
            engine.meta = check(plain, engine.dense.plain, pixels, generator)
            engine.images_at_once = engine._fit(pixels[:1], memory_gb)
        return engine

    @torch.inference_mode()
    def answer(self, split: ShownSplit, labels: Tensor, shifts: Tensor) -> dict[str, Tensor]:
        """Return the table's columns for the fetched images."""
        images = split.pixels(split.positions)
        with self.network.autocasting():
            logits = at_least_single(self.dense(self.network.normalise(images)))
        views = self.dense.columns(self.plan.shifts).to(labels.device)
        previous = self._previous_view(logits.shape[1]).to(labels.device)
        columns = answers(logits, labels, previous, self.network.rounding)
        columns = {
            name: values if values.ndim == 1 else values[:, views]
            for name, values in columns.items()
        }
        columns["p_previous"][:, self.plan.previous < 0] = torch.nan
        return columns

    def _previous_view(self, views: int) -> Tensor:
        """Return ``(V,)``: the view one step earlier, the same for all shifts that share a view."""
        previous = torch.zeros(views, dtype=torch.long)
        earlier = self.every_shift - torch.tensor(self.step)
        previous[self.dense.columns(self.every_shift)] = self.dense.columns(earlier)
        return previous

    def _fit(self, image: Tensor, memory_gb: float) -> int:
        """Return the number of images whose feature maps fit into ``memory_gb``."""
        largest = 0

        def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal largest
            sizes = (t.numel() * t.element_size() for t in (*inputs, output) if torch.is_tensor(t))
            largest = max(largest, sum(sizes))

        handles = [module.register_forward_hook(note) for module in self.dense.model.modules()]
        with self.network.autocasting():
            logits = self.dense(image)
        for handle in handles:
            handle.remove()
        columns = 40 * len(self.plan) + 8 * 4 * logits.numel()
        fitting = int(memory_gb * 2**30 / (LIVE_MAPS * largest + columns))
        if image.device.type == "cpu":
            fitting = min(fitting, CPU_CACHE // largest)
        return max(1, fitting)


def _every_shift(protocol: ShiftProtocol) -> ShiftProtocol:
    """Return the protocol with all offsets, unless it explicitly requests random shifts."""
    if not protocol.circular:
        raise NotDenseError("only circular shifts have a dense form")
    if protocol.sampling is None or protocol.sampling.mode not in ("auto", "all"):
        raise NotDenseError("the protocol samples random shifts")
    whole = dataclasses.replace(protocol.sampling, mode="all")
    every: ShiftProtocol = dataclasses.replace(protocol, sampling=whole)  # type: ignore[type-var]
    return every
