"""Shift plans of a protocol for a split, and early checks that a protocol applies."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from shiftbench.data.images import Dataset
from shiftbench.data.shown import ShownSplit
from shiftbench.errors import UsageError
from shiftbench.model.evaluating import evaluating
from shiftbench.model.layout import home
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Plan


def plan_for(protocol: ShiftProtocol, split: ShownSplit, count: int) -> Plan:
    """Return the plan of shifts for ``count`` images.

    If the views are made from photographs that are decoded at another size than the images, the
    plan's meta states that size.
    """
    plan = protocol.plan(count, split.image_size)
    sizes = protocol.source_sizes(split.image_size)
    if not split.has_files_for(sizes):
        return plan
    listed = [list(size) for size in sizes]
    key = "enlarged_from_files" if sizes[0][0] > split.image_size[0] else "reduced_from_files"
    meta = {**plan.meta, key: listed if len(listed) > 1 else listed[0]}
    return dataclasses.replace(plan, meta=meta)


def refuse(protocol: ShiftProtocol, data: Dataset, model: nn.Module | None = None) -> None:
    """Refuse a protocol that cannot be measured on ``data``, before any computation.

    Args:
        protocol: The shift protocol.
        data: The dataset whose test images are measured.
        model: The network, on the CPU. If views have another size than images, it is run on two
            blank views and otherwise left unchanged.

    Raises:
        UsageError: If the protocol does not apply, with the reason.
    """
    channels, height, width = data.image_shape
    plan = protocol.plan(1, (height, width))
    protocol.check(ShownSplit.of_test(data))
    if model is None or protocol.from_scenes:
        return
    blank = ShownSplit.of(torch.zeros(1, channels, height, width), data.mean)
    shifts = plan.rows(0, 1)[0]
    groups = protocol.size_groups(shifts)
    rows = [0] if groups is None else [int((groups == one).nonzero()[0]) for one in groups.unique()]
    for row in rows:
        views = protocol.views(blank, torch.zeros(1, dtype=torch.long), shifts[row : row + 1])
        size = tuple(views.shape[2:])
        if size != (height, width):
            _try(model, torch.zeros(2, channels, *size))


def _try(model: nn.Module, views: Tensor) -> None:
    try:
        with evaluating(model), torch.inference_mode():
            model(views.to(*home(model, views.device)))
    except (RuntimeError, ValueError) as error:
        height, width = views.shape[2:]
        raise UsageError(
            f"the network does not take views of {height}×{width} ({error}); "
            "give it a global head, e.g. head=gap, or views of its own size: canvas=null for embed "
            "and rescale, shift.resolution.back=true"
        ) from error
