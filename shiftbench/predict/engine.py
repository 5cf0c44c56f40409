"""Model × protocol → prediction table, by whichever engine holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shiftbench.config import ENGINES
from shiftbench.data.images import Split
from shiftbench.errors import ShiftbenchError, require_one_of
from shiftbench.predict.answers import VERSION, check_labels
from shiftbench.predict.dense import DenseEngine
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.image_digests import image_digests
from shiftbench.predict.network import PixelModel
from shiftbench.predict.noise import spread_images
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.protocol import ShiftProtocol, describe, source
from shiftbench.predict.stability import IMAGES, Stability, stability
from shiftbench.shift.plan import Plan
from shiftbench.table import PredictionTable

log = logging.getLogger(__name__)

LOGITS_AT_ONCE = 32_000_000  # 128 MB in float32
USE_DIRECT = "use measure.engine=direct"


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        engine: ``direct``, ``dense`` (refused where it does not hold), or ``auto``.
        batch_size: Views per forward pass of the direct engine.
        memory_gb: What the dense engine's feature maps may take.
    """

    engine: str = "auto"
    batch_size: int = 256
    memory_gb: float = 1.0

    def __post_init__(self) -> None:
        require_one_of("engine", self.engine, ENGINES)


class Engine(Protocol):
    """Answers for the views of images."""

    name: str
    plan: Plan

    def answer(self, images: Tensor, labels: Tensor, shifts: Tensor) -> dict[str, Tensor]:
        """Return the table's columns for ``images``."""
        ...


def predict(
    network: PixelModel,
    split: Split,
    image_shape: tuple[int, int, int],
    protocol: ShiftProtocol,
    options: Options = Options(),
    *,
    mean: Sequence[float] | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    part: range | None = None,
) -> PredictionTable:
    """Show ``network`` every view of every image and keep what it answered.

    Args:
        network: In eval mode.
        split: The test images.
        image_shape: ``(C, H, W)`` of the images.
        protocol: What moves.
        options: Which engine, how much at once.
        mean: Per-channel pixel mean, for protocols that fill with it.
        advance: Called with images done and images in all, for a progress bar.
        part: Only these images, one after the other, each with the views it gets among all.

    Raises:
        ShiftbenchError: If labels or logits are not what they have to be.
    """
    found = stability(network, spread_images(split, IMAGES))
    check_labels(split.labels, found.num_classes)
    for reason in found.reasons:
        log.warning("the network's answers depend on %s; measured again, they are others", reason)
    shown, views_from = source(protocol, split)
    part = range(len(split)) if part is None else part
    engine, size = _engine(network, split, image_shape, shown, options, mean, found)
    run = _Run(views_from, split, part, advance)
    columns, digests = run.through(engine, size)
    if isinstance(engine, DenseEngine) and (wrong := engine.audit(split, columns, part)):
        if options.engine == "dense":
            raise ShiftbenchError(f"the dense engine does not hold: {wrong}; {USE_DIRECT}")
        log.warning("every shift at once was wrong for this network, so each is run: %s", wrong)
        engine, size = _direct(network, split, image_shape, shown, options, mean, found.num_classes)
        columns, digests = run.through(engine, size)
    meta = {"protocol": describe(protocol), "engine": engine.name,
            "num_classes": found.num_classes, "exhaustive": engine.plan.exhaustive,
            "answers_version": VERSION, "logit_tolerance": network.rounding.tolerance,
            **engine.plan.meta, **found.meta, **getattr(engine, "meta", {})}  # fmt: skip
    if failed := int((columns["top1"] < 0).sum()):
        meta["nan_views"] = failed
        log.warning("the network answered NaN for %d views; they count as wrong", failed)
    table = _table(columns, split, part, engine.plan, protocol.axes, meta)
    return replace(table, images=digests)


@dataclass(frozen=True)
class _Run:
    """The views of some images, to be answered by an engine.

    Attributes:
        views_from: What the engine is shown: pixels, or positions of images.
        split: The test images.
        part: Which of them.
        advance: Called with images done and images in all.
    """

    views_from: Split
    split: Split
    part: range
    advance: Callable[[int, int], None]

    def through(self, engine: Engine, size: int) -> tuple[dict[str, Tensor], NDArray[np.uint64]]:
        """Return the table's columns by name, and a digest of each image."""
        columns: dict[str, list[Tensor]] = {}
        digests: list[NDArray[np.uint64]] = []
        done = 0
        for images, labels, shifts in _chunks(self.views_from, engine.plan, size, self.part):
            if self.views_from is self.split:  # else these are positions, or larger images
                digests.append(image_digests(images, labels))
            for name, values in engine.answer(images, labels, shifts).items():
                columns.setdefault(name, []).append(values.cpu())
            done += len(labels)
            self.advance(done, len(self.part))
        merged = {name: torch.cat(parts) for name, parts in columns.items()}
        return merged, np.concatenate(digests or _digests(self.split, self.part))


def _engine(
    network: PixelModel,
    split: Split,
    image_shape: tuple[int, int, int],
    protocol: ShiftProtocol,
    options: Options,
    mean: Sequence[float] | None,
    found: Stability,
) -> tuple[Engine, int]:
    """Return the engine and how many images it takes at once."""
    if options.engine != "direct":
        try:
            if found.reasons:
                raise NotDenseError(f"its answers depend on {' and '.join(found.reasons)}")
            dense = DenseEngine.of(network, split, image_shape, protocol, options.memory_gb)
            return dense, dense.images_at_once
        except NotDenseError as reason:
            if options.engine == "dense":
                raise ShiftbenchError(
                    f"the dense engine does not hold: {reason}; {USE_DIRECT}"
                ) from reason
            if getattr(protocol, "circular", False):
                log.info("not every shift at once, since %s", reason)
    return _direct(network, split, image_shape, protocol, options, mean, found.num_classes)


def _direct(
    network: PixelModel,
    split: Split,
    image_shape: tuple[int, int, int],
    protocol: ShiftProtocol,
    options: Options,
    mean: Sequence[float] | None,
    num_classes: int,
) -> tuple[Engine, int]:
    plan = protocol.plan(len(split), image_shape[1:])
    direct = DirectEngine(network, protocol, plan, options.batch_size, mean, network.rounding)
    # A few batches at once: enough that the last, smaller one costs little, and the bar moves.
    size = min(8 * options.batch_size // len(plan), LOGITS_AT_ONCE // (len(plan) * num_classes))
    return direct, max(1, size)


def _digests(split: Split, part: range) -> list[NDArray[np.uint64]]:
    batches = split.batches(256, torch.arange(part.start, part.stop))
    return [image_digests(images, labels) for images, labels in batches]


def _chunks(
    split: Split, plan: Plan, size: int, part: range
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    start = part.start
    order = None if len(part) == len(split) else torch.arange(part.start, part.stop)
    for images, labels in split.batches(size, order):
        stop = start + len(labels)
        yield images, labels, plan.rows(start, stop)
        start = stop


def _table(
    columns: dict[str, Tensor],
    split: Split,
    part: range,
    plan: Plan,
    axes: tuple[str, ...],
    meta: dict[str, Any],
) -> PredictionTable:
    arrays: dict[str, Any] = {
        name: values.numpy().astype(np.int32 if name in ("top1", "rank_true") else np.float32)
        for name, values in columns.items()
    }
    own = slice(part.start, part.stop)
    shifts = plan.shifts if plan.shifts.ndim == 2 else plan.shifts[own]
    return PredictionTable(
        **arrays,
        labels=split.labels[own].cpu().numpy().astype(np.int32),
        shifts=shifts.numpy().astype(np.float32),
        sampled=plan.sampled.numpy(),
        previous=plan.previous.numpy().astype(np.int32),
        axes=axes,
        meta=meta,
    )
