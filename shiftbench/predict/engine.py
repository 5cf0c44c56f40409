"""Model × protocol → prediction table, by the engine that applies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftbench.data.images import Split
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import ShiftbenchError, require_one_of
from shiftbench.predict.audit import audit
from shiftbench.predict.batch_size import AUTO, USUAL, views_at_once
from shiftbench.predict.captured import FullBatches
from shiftbench.predict.columns import Columns
from shiftbench.predict.dense import DenseEngine
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.engine_base import Engine
from shiftbench.predict.image_digests import image_digests
from shiftbench.predict.noise import spread_images
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import plan_for
from shiftbench.predict.stability import IMAGES, Stability, stability
from shiftbench.predict.table_columns import VERSION, check_labels
from shiftbench.prediction_table import PredictionTable
from shiftbench.runtime.failures import is_out_of_memory
from shiftbench.seeds import derive_seed
from shiftbench.settings.schema import ENGINES
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Plan

log = logging.getLogger(__name__)

LOGITS_AT_ONCE = 32_000_000  # 128 MB in float32


@dataclass(frozen=True)
class Options:
    """Settings of the measurement.

    Attributes:
        engine: ``direct``, ``dense`` (an error if it does not apply), or ``auto``.
        batch_size: Views per forward pass of the direct engine, or ``auto``: what suits the
            device, and half of it if that runs out of memory.
        memory_gb: Memory limit of the dense engine's feature maps.
    """

    engine: str = "auto"
    batch_size: int | str = USUAL
    memory_gb: float = 1.0

    def __post_init__(self) -> None:
        require_one_of("engine", self.engine, ENGINES)


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
    """Run ``network`` on every view of every image and return its answers.

    Args:
        network: The network in eval mode.
        split: The test images.
        image_shape: ``(C, H, W)`` of the images.
        protocol: The shift protocol.
        options: The engine and its limits.
        mean: Per-channel pixel mean, for protocols that fill with it.
        advance: Called with the numbers of processed images and of all images, for a progress bar.
        part: If given, only the images of this contiguous range are measured, under the same shifts
            as in a measurement of the whole split.

    Raises:
        ShiftbenchError: If labels or logits are invalid.
    """
    steady = stability(network, spread_images(split, IMAGES))
    check_labels(split.labels, steady.num_classes)
    for reason in steady.reasons:
        log.warning("the network's answer to an image also depends on %s", reason)
    part = range(len(split)) if part is None else part
    shown = ShownSplit(split, image_shape[1:], mean)
    protocol.check(shown)
    work = _Work(network, split, image_shape, protocol, shown, options, part, advance, steady)
    engine, merged = _measured(work)
    table = _table(merged, split, part, engine.plan, protocol.axes, _meta(work, engine))
    _warn_of_failed(table)
    return table


def _meta(work: _Work, engine: Engine) -> dict[str, Any]:
    return {"protocol": work.protocol.describe(), "engine": engine.name,
            "num_classes": work.steady.num_classes, "exhaustive": engine.plan.exhaustive,
            "answers_version": VERSION, "logit_tolerance": work.network.rounding.tolerance,
            **work.steady.meta, **engine.plan.meta, **engine.meta}  # fmt: skip


def _warn_of_failed(table: PredictionTable) -> None:
    """Record in the table, and warn, that some views have no answer."""
    if failed := sum(int(np.count_nonzero(some.top1 < 0)) for some in table.parts()):
        table.meta["nan_views"] = failed
        log.warning(
            "the network gave no answer (NaN, or −inf for every class) for %d views; they count as "
            "wrong", failed,
        )  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """The arguments of a measurement; see :func:`predict`."""

    network: PixelModel
    split: Split
    image_shape: tuple[int, int, int]
    protocol: ShiftProtocol
    shown: ShownSplit
    options: Options
    part: range
    advance: Callable[[int, int], None]
    steady: Stability


def _measured(work: _Work) -> tuple[Engine, dict[str, Tensor]]:
    """Return the table's columns and the engine that computed them."""
    if work.options.engine == "direct":
        return _directly(work)
    try:
        return _densely(work)
    except NotDenseError as reason:
        if work.options.engine == "dense":
            raise _not_dense(reason) from reason
        if work.protocol.circular:
            log.info("not every shift at once, since %s", reason)
    return _directly(work)


def _densely(work: _Work) -> tuple[Engine, dict[str, Tensor]]:
    if work.steady.reasons:
        raise NotDenseError(f"its answers depend on {' and '.join(work.steady.reasons)}")
    network, split, protocol = work.network, work.split, work.protocol
    engine = DenseEngine.of(network, split, work.image_shape, protocol, work.options.memory_gb)
    columns = _columns(work, engine, engine.images_at_once)
    generator = torch.Generator().manual_seed(derive_seed(0, "dense-audit", work.part.start))
    wrong = audit(network, work.shown, protocol, engine.plan, columns, work.part, generator)
    if wrong is None:
        return engine, columns
    if len(work.part) < len(split):  # other processes may have used this engine successfully
        raise _not_dense(wrong)
    log.warning("the dense engine's table is not exact: %s", wrong)
    raise NotDenseError(wrong)


def _not_dense(reason: object) -> ShiftbenchError:
    return ShiftbenchError(
        f"the dense engine is not exact here: {reason}; use measure.engine=direct"
    )


def _directly(work: _Work) -> tuple[Engine, dict[str, Tensor]]:
    wanted, device = work.options.batch_size, work.network.device
    size = views_at_once(wanted, device, work.shown.image_size)
    try:
        return _view_by_view(work, size)
    except Exception as error:
        if wanted != AUTO or size == 1 or not is_out_of_memory(error):
            raise
    # Here, the error holds no tensors of the failed pass any more.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    size //= 2
    log.info("out of memory with %d views at once, measuring with %d", 2 * size, size)
    try:
        return _view_by_view(work, size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ShiftbenchError(
            f"out of memory while measuring with {size} views at once; give measure.batch_size="
            f"{max(1, size // 2)} or less"
        ) from error


def _view_by_view(work: _Work, batch_size: int) -> tuple[Engine, dict[str, Tensor]]:
    num_classes = work.steady.num_classes
    plan = plan_for(work.protocol, work.shown, len(work.split))
    network = FullBatches(work.network, batch_size)
    engine = DirectEngine(network, work.protocol, plan, batch_size, work.network.rounding)
    # A few batches per chunk: a smaller last batch costs little, and the progress bar advances.
    size = min(8 * batch_size // len(plan), LOGITS_AT_ONCE // (len(plan) * num_classes))
    return engine, _columns(work, engine, max(1, size))


def _columns(work: _Work, engine: Engine, size: int) -> dict[str, Tensor]:
    """Return the table's columns on the CPU, ``size`` images at once.

    Columns too large for memory are in a file, see :mod:`shiftbench.storage.spilled`.
    """
    columns, part = Columns(len(work.part)), work.part
    start = 0
    order = None if len(part) == len(work.split) else torch.arange(part.start, part.stop)
    sizes = work.protocol.source_sizes(work.shown.image_size)
    for chunk, labels in work.shown.chunks(size, order, sizes):
        if None in chunk.fetched:  # otherwise only photographs at other sizes were fetched
            images = chunk.pixels(chunk.positions)
            columns.put("images", image_digests(images, labels), start)
        stop = start + len(labels)
        shifts = engine.plan.rows(part.start + start, part.start + stop)
        for name, values in engine.answer(chunk, labels, shifts).items():
            columns.put(name, values, start)
        start = stop
        work.advance(stop, len(part))
    if "images" not in columns.arrays:
        own = work.split.batches(256, torch.arange(part.start, part.stop))
        start = 0
        for images, labels in own:
            columns.put("images", image_digests(images, labels), start)
            start += len(labels)
    return {name: torch.from_numpy(values) for name, values in columns.arrays.items()}


def _table(
    columns: dict[str, Tensor],
    split: Split,
    part: range,
    plan: Plan,
    axes: tuple[str, ...],
    meta: dict[str, Any],
) -> PredictionTable:
    images = columns.pop("images").numpy().view(np.uint64)
    arrays: dict[str, Any] = {name: values.numpy() for name, values in columns.items()}
    own = slice(part.start, part.stop)
    shifts = plan.shifts if plan.shifts.ndim == 2 else plan.shifts[own]
    return PredictionTable(
        **arrays,
        images=images,
        labels=split.labels[own].cpu().numpy().astype(np.int32),
        shifts=shifts.numpy().astype(np.float32),
        sampled=plan.sampled.numpy(),
        previous=plan.previous.numpy().astype(np.int32),
        axes=axes,
        meta=meta,
    )
