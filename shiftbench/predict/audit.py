"""Audit of a finished table: random views are recomputed by the direct engine and compared."""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.data.shown import ShownSplit
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.table_columns import answers
from shiftbench.shift.base import ShiftProtocol
from shiftbench.shift.plan import Plan

PAIRS = 24


def audit(
    network: PixelModel,
    split: ShownSplit,
    protocol: ShiftProtocol,
    plan: Plan,
    columns: dict[str, Tensor],
    part: range,
    generator: torch.Generator,
) -> str | None:
    """Recompute random views of a table from another engine, and compare the answers.

    Args:
        network: The measured network.
        split: The images.
        protocol: The shift protocol.
        plan: The shifts, the same for every image.
        columns: The table's columns by name, with rows for the images of ``part``.
        part: The indices of these images in the split.
        generator: Draws images and shifts.

    Returns:
        The first view whose answer differs, except for near-ties, as the end of a sentence; None
        if there is none.
    """
    rows = torch.randint(len(part), (PAIRS,), generator=generator).sort().values
    views = torch.randint(len(plan), (PAIRS,), generator=generator)
    shown, labels = next(split.chunks(PAIRS, rows + part.start))
    shifts = torch.stack([plan.shifts[torch.zeros_like(views)], plan.shifts[views]], 1)
    direct = DirectEngine(network, protocol, plan, PAIRS, network.rounding)
    logits = direct.logits(shown, rows + part.start, shifts)
    found = answers(logits, labels, torch.tensor([-1, -1]), network.rounding)
    table = {
        name: values[rows] if values.ndim == 1 else values[rows, views]
        for name, values in columns.items()
    }
    run = {name: values if values.ndim == 1 else values[:, 1] for name, values in found.items()}
    tolerance = (network.rounding.engines * found["logit_scale"]).cpu()
    same_base = columns["top1"][rows, 0] == found["top1"][:, 0].cpu()
    wrong = _wrong(table, run, logits[:, 1].cpu(), labels.cpu(), tolerance, same_base)
    if not bool(wrong.any()):
        return None
    first = int(wrong.nonzero()[0])
    image, shift = int(rows[first]) + part.start, plan.shifts[views[first]]
    return _described(image, shift, table["top1"][first], run["top1"][first])


def _described(image: int, shift: Tensor, in_table: Tensor, when_run: Tensor) -> str:
    """Return the end of a sentence on a view with two answers; ``shift`` is ``(2,)``."""
    dy, dx = shift.tolist()
    return (
        f"its answer to image {image} shifted by ({dy}, {dx}) is {int(in_table)}, "
        f"and {int(when_run)} when that view is run"
    )


def _wrong(
    table: dict[str, Tensor],
    run: dict[str, Tensor],
    logits: Tensor,
    labels: Tensor,
    tolerance: Tensor,
    same_base: Tensor,
) -> Tensor:
    """Return which views of ``table`` differ from those that were run, ``(PAIRS,)``."""
    answered = table | {name: table[name].long() for name in ("top1", "rank_true")}
    wrong = _answer_wrong(answered, logits, labels, tolerance)
    for name in ("p_top1", "p_base", "p_true", "logit_change"):
        differs = _differs(table[name], run[name].cpu(), tolerance)
        # With another base class, p_base is the probability of that class.
        wrong |= differs & same_base if name == "p_base" else differs
    return wrong


def _answer_wrong(
    table: dict[str, Tensor], logits: Tensor, labels: Tensor, tolerance: Tensor
) -> Tensor:
    """Return where answer or rank ``(P,)`` contradict ``logits (P, C)``, except for near-ties."""
    top1, rank, failed = table["top1"], table["rank_true"], logits.isnan().any(1)
    failed |= logits.amax(1) == -torch.inf
    margin = 2 * tolerance
    answered = logits.gather(1, top1.clamp(min=0)[:, None]).squeeze(1)
    true = logits.gather(1, labels[:, None])
    fewest = (logits > true + margin[:, None]).sum(1)
    most = (logits >= true - margin[:, None]).sum(1) - 1
    fits = (answered >= logits.amax(1) - margin) & (rank >= fewest) & (rank <= most)
    return torch.where(failed | (top1 < 0), failed != (top1 < 0), ~fits)


def _differs(own: Tensor, run: Tensor, tolerance: Tensor) -> Tensor:
    """Return where numbers ``(P,)`` differ by more than the rounding of logits."""
    same = (own == run) | (own.isnan() & run.isnan())
    return ~(same | ((own - run).abs() <= 2 * tolerance + 1e-6))
