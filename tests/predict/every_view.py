"""A table against what running every view gives, with nothing of the package's engines."""

import contextlib
import copy
import logging
from dataclasses import dataclass

import torch

from shiftbench.api import measure
from shiftbench.shift.circular import Circular

NEAR = 1e-4  # of the spread of an image's logits: closer ones may be answered either way
ROUNDING = 8  # times what float32 itself changes: the same for logits
NEVER = 104  # behind the top by so much, a class has probability 0 in float32
REFUSED = "not every shift at once, since "


class WrongTableError(AssertionError):
    """A table that is not what running every view gives."""


@torch.inference_mode()
def every_view(network, images, shifts, dtype):
    """Return the logits ``(N, K, C)`` of every view, computed in ``dtype``, in float64."""
    network = copy.deepcopy(network).to(dtype)
    pixels = (images.float() / 255 if images.dtype == torch.uint8 else images).to(dtype)
    views = [pixels.roll((int(dy), int(dx)), (2, 3)) for dy, dx in shifts]
    logits = [network(torch.cat(views[part : part + 64])) for part in range(0, len(views), 64)]
    return torch.cat(logits).unflatten(0, (len(shifts), len(images))).transpose(0, 1).double()


def check_table(network, images, table):
    """Raise unless a table is that of every view, near-ties apart.

    Two logits of an image nearly tie if they differ by less than ``NEAR`` of the spread of its
    logits or ``ROUNDING`` times what computing them in float64 changes.
    """
    dtype = next(network.parameters()).dtype
    logits = every_view(network, images, table.shifts, dtype)
    near = _near(logits, every_view(network, images, table.shifts, torch.float64))
    top1 = torch.from_numpy(table.top1).long()
    failed = logits.isnan().any(-1) | (logits.amax(-1) == -torch.inf)
    if not torch.equal(failed, top1 < 0):
        raise WrongTableError("views that have no answer")
    answered = logits.gather(-1, top1.clamp(min=0)[..., None]).squeeze(-1)
    wrong = ~failed & ~(answered >= logits.amax(-1) - near)
    if bool(wrong.any()):
        raise WrongTableError(f"{int(wrong.sum())} of {wrong.numel()} answers")
    _check_numbers(logits, near, table)


def _near(logits, precise):
    """Return ``(N, 1)``, how far logits may differ; masked classes are left out."""
    usual = _usual(logits) & precise.isfinite()
    high = torch.where(usual, logits, -torch.inf).amax((1, 2))
    low = torch.where(usual, logits, torch.inf).amin((1, 2))
    rounding = torch.where(usual, (logits - precise).abs(), 0).amax((1, 2))
    return (NEAR * (high - low).clamp(min=0) + ROUNDING * rounding)[:, None]


def _usual(logits):
    """Return which logits are neither infinite nor masked with −1e9, far behind all others."""
    masked = (logits < -5e8) & (logits > -2e9)
    others = torch.where(logits.isfinite() & ~masked, logits.abs(), 0).amax(-1, keepdim=True)
    return logits.isfinite() & ~(masked & (others < 5e7))


def _check_numbers(logits, near, table):
    """Compare probabilities and changes of the logits, where all logits are finite."""
    finite = logits.isfinite().all(-1)
    labels = torch.from_numpy(table.labels).long()[:, None, None].expand(*logits.shape[:2], 1)
    probabilities = logits.softmax(-1)
    for name, own in (
        ("p_top1", probabilities.amax(-1)),
        ("p_true", probabilities.gather(-1, labels).squeeze(-1)),
    ):
        far = (torch.from_numpy(getattr(table, name)) - own).abs() > 2 * near + 1e-5
        if bool((finite & far).any()):
            raise WrongTableError(f"{int((finite & far).sum())} of {name}")
    change = torch.from_numpy(table.logit_change)
    far = torch.stack([(change - own).abs() > 2 * near + 1e-6 * own for own in _moved(logits)])
    if bool((finite & finite[:, :1] & far.all(0)).any()):
        raise WrongTableError("changes of the logits")


def _moved(logits):
    """Yield how far the logits move: all that are usual, or without those behind a wide gap.

    Classes that no softmax sees may be masked ones, or not; a view's count if they have come
    within a tenth of the gap. In float32, as a table has it: inf where that is more than it holds.
    """
    usual = _usual(logits)
    behind = logits.amax(-1, keepdim=True) - logits
    gaps = behind[:, :1].sort(-1).values  # of the base view, by rank
    beyond = torch.full_like(gaps, torch.inf)
    for gap in torch.where(gaps > NEVER, gaps / 10, beyond).unbind(-1):
        counted = usual & (behind <= gap[..., None])
        counted = counted | counted[:, :1]
        yield torch.where(counted, logits - logits[:, :1], 0).abs().amax(-1).float()


def exact(table):
    """Return which views have the logits of the base view: surely, and possibly."""
    share = table.logit_change / (table.meta["logit_tolerance"] * table.logit_scale[:, None])
    return share <= 0.1, share <= 10


@dataclass(frozen=True)
class Outcome:
    """Which engine measured a network, and why it was not the dense one."""

    engine: str
    reason: str | None


def attempt(drawn):
    """Measure a drawn network with ``engine=auto``.

    Raises:
        WrongTableError: If the table is not what every view gives, or the engines disagree by far
            in which shifts are exact.
    """
    labels = torch.arange(len(drawn.images)) % 5
    given = drawn.network, drawn.images, labels, Circular(sampling="all")
    with messages() as said:
        table = measure(*given, resamples=0).predictions
    check_table(drawn.network, drawn.images, table)
    if table.meta["engine"] == "direct":
        [reason] = [line for line in said if line.startswith(REFUSED)]
        return Outcome("direct", reason.removeprefix(REFUSED))
    direct = measure(*given, engine="direct", resamples=0).predictions
    (surely, possibly), (own_surely, own_possibly) = exact(table), exact(direct)
    apart = (surely & ~own_possibly) | (own_surely & ~possibly)
    if (apart & (surely != _exact_in_float64(drawn, table))).any():
        raise WrongTableError("which shifts are exact")
    return Outcome("dense", None)


def _exact_in_float64(drawn, table):
    """Return which views have the logits of the base view where float32 does not round them.

    A network that subtracts large numbers from each other rounds its logits by more than the
    tolerance when its views are run one by one; the other engine computes equal ones once.
    """
    logits = every_view(drawn.network, drawn.images, table.shifts, torch.float64)
    moved = torch.where(logits.isfinite(), logits - logits[:, :1], 0).abs().amax(-1)
    return moved.numpy() <= table.meta["logit_tolerance"] * table.logit_scale[:, None]


@contextlib.contextmanager
def messages():
    """Collect what the package logs, and let nobody else see it."""
    logger, said = logging.getLogger("shiftbench"), []
    before = logger.level, logger.handlers, logger.propagate
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield said
    finally:
        logger.handlers, logger.propagate = before[1:]
        logger.setLevel(before[0])
