"""Views of a finished table, answered once more by running them."""

from __future__ import annotations

import torch
from torch import Tensor

from shiftbench.data.images import Split
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.protocol import ShiftProtocol
from shiftbench.predict.table_columns import answers
from shiftbench.shift.plan import Plan

PAIRS = 24


def audit(
    network: PixelModel,
    split: Split,
    protocol: ShiftProtocol,
    plan: Plan,
    columns: dict[str, Tensor],
    part: range,
    generator: torch.Generator,
) -> str | None:
    """Run random views of a table that another engine made.

    Args:
        network: What was measured.
        split: The images.
        protocol: What moved.
        plan: Which shifts every image was shown, the same for all.
        columns: The table's columns by name, rows for the images of ``part``.
        part: Which images of the split they are.
        generator: Draws images and shifts.

    Returns:
        The first view whose answer is another one beyond near-ties, as the end of a sentence;
        None if there is none.
    """
    rows = torch.randint(len(part), (PAIRS,), generator=generator).sort().values
    views = torch.randint(len(plan), (PAIRS,), generator=generator)
    images, labels = next(iter(split.batches(PAIRS, rows + part.start)))
    shifts = torch.stack([plan.shifts[torch.zeros_like(views)], plan.shifts[views]], 1)
    direct = DirectEngine(network, protocol, plan, PAIRS, None, network.rounding)
    logits = direct.logits(images, shifts)
    found = answers(logits, labels, torch.tensor([-1, -1]), network.rounding)
    table = {
        name: values[rows] if values.ndim == 1 else values[rows, views]
        for name, values in columns.items()
    }
    tolerance = (network.rounding.engines * found["logit_scale"]).cpu()
    run = {name: values if values.ndim == 1 else values[:, 1] for name, values in found.items()}
    wrong = _answer_wrong(table, logits[:, 1].cpu(), labels.cpu(), tolerance)
    same_base = columns["top1"][rows, 0] == found["top1"][:, 0].cpu()  # else p_base is of another
    for name in ("p_top1", "p_base", "p_true", "logit_change"):
        differs = _differs(table[name], run[name].cpu(), tolerance)
        wrong |= differs & same_base if name == "p_base" else differs
    if not bool(wrong.any()):
        return None
    place = int(wrong.nonzero()[0])
    dy, dx = plan.shifts[views[place]].tolist()
    return (
        f"its answer to image {int(rows[place]) + part.start} shifted by ({dy}, {dx}) "
        f"is {int(table['top1'][place])}, and {int(run['top1'][place])} when that view is run"
    )


def _answer_wrong(
    table: dict[str, Tensor], logits: Tensor, labels: Tensor, tolerance: Tensor
) -> Tensor:
    """Return where answer and rank ``(P,)`` are not those of ``logits (P, C)``, near-ties apart."""
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
    """Return where numbers ``(P,)`` differ by more than rounding of logits explains."""
    same = (own == run) | (own.isnan() & run.isnan())
    return ~(same | ((own - run).abs() <= 2 * tolerance + 1e-6))
