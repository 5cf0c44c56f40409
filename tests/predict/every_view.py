"""Comparison of a table with a forward pass for every view, independent of the engines."""

import contextlib
import copy
import logging
from dataclasses import dataclass

import torch

from shiftbench.api import measure
from shiftbench.shift.circular import Circular

NEAR = 1e-4  # share of the spread of an image's logits; differences below it count as ties
ROUNDING = 8  # likewise, as a multiple of the rounding error of float32
NEVER = 104  # a class this far below the largest logit has probability 0 in float32
REFUSED = "not every shift at once, since "


class WrongTableError(AssertionError):
    """A table that differs from a forward pass for every view."""


@torch.inference_mode()
def every_view(network, images, shifts, dtype):
    """Return the logits ``(N, K, C)`` of every view as float64, computed in ``dtype``."""
    network = copy.deepcopy(network).to(dtype)
    pixels = (images.float() / 255 if images.dtype == torch.uint8 else images).to(dtype)
    views = [pixels.roll((int(dy), int(dx)), (2, 3)) for dy, dx in shifts]
    logits = [network(torch.cat(views[part : part + 64])) for part in range(0, len(views), 64)]
    return torch.cat(logits).unflatten(0, (len(shifts), len(images))).transpose(0, 1).double()


def check_table(network, images, table):
    """Raise an error unless a table agrees with the forward pass of every view, up to near-ties.

    Two logits of an image are a near-tie if they differ by less than ``NEAR`` times the spread of
    its logits plus ``ROUNDING`` times the rounding error, i.e. the difference from float64.
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
    """Return the tolerance of the logits, ``(N, 1)``; masked classes are ignored."""
    usual = _usual(logits) & precise.isfinite()
    high = torch.where(usual, logits, -torch.inf).amax((1, 2))
    low = torch.where(usual, logits, torch.inf).amin((1, 2))
    rounding = torch.where(usual, (logits - precise).abs(), 0).amax((1, 2))
    return (NEAR * (high - low).clamp(min=0) + ROUNDING * rounding)[:, None]


def _usual(logits):
    """Return which logits are neither infinite nor masked with −1e9, far below all others."""
    masked = (logits < -5e8) & (logits > -2e9)
    others = torch.where(logits.isfinite() & ~masked, logits.abs(), 0).amax(-1, keepdim=True)
    return logits.isfinite() & ~(masked & (others < 5e7))


def _check_numbers(logits, near, table):
    """Compare probabilities and changes of the logits in views whose logits are all finite."""
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
    """Yield the largest change of the logits, for each possible choice of the classes that count.

    Classes with probability 0 in float32, below a wide gap, may or may not be masked, so both are
    possible. If they are, a class of another view counts if it is within a tenth of the gap. The
    changes are float32, as in tables: inf beyond its range.
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
    """Return which views certainly, and which possibly, have the logits of the base view."""
    share = table.logit_change / (table.meta["logit_tolerance"] * table.logit_scale[:, None])
    return share <= 0.1, share <= 10


@dataclass(frozen=True)
class Outcome:
    """The engine that measured a network, and the reason if it was not the dense one."""

    engine: str
    reason: str | None


def attempt(drawn):
    """Measure a drawn network with ``engine=auto``.

    Raises:
        WrongTableError: If the table differs from the forward passes of all views, or if the
            engines disagree clearly about the shifts that are exact.
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
    """Return which views have the logits of the base view if computed in float64.

    If a network subtracts large numbers from each other, the rounding errors of separate forward
    passes exceed the tolerance; the dense engine computes equal logits only once.
    """
    logits = every_view(drawn.network, drawn.images, table.shifts, torch.float64)
    moved = torch.where(logits.isfinite(), logits - logits[:, :1], 0).abs().amax(-1)
    return moved.numpy() <= table.meta["logit_tolerance"] * table.logit_scale[:, None]


@contextlib.contextmanager
def messages():
    """Collect the package's log messages and withhold them from all other handlers."""
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
