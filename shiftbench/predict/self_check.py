"""Self-check of the dense engine: its logits must equal those of plain passes of rolled images.

Three comparisons, each of which detects errors that the others can miss:

1. On noise, in float64, with random weights: a check of the network's structure that does not
   depend on dead units or on the data.
2. On noise and on images, in float64, with the network's weights. It detects differences of a
   millionth of the range of the logits over shifts; if no logits change under shifts, the check
   is inconclusive and the engine is refused.
3. On the same inputs, at the precision of the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shiftbench.predict.dense_network import DenseNetwork, own_copy
from shiftbench.predict.logits import cutoff, masked, scale
from shiftbench.predict.noise import noise_like, revive
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.devices import without_tf32

SHIFTS = 12  # random ones; an operation that is not circular is detected by almost all
AT_ONCE = 2  # inputs per dense pass; one alone could be broadcast to another batch size
LOUD = 20.0  # factor of loud noise, which activates units that stay inactive on images


@dataclass(frozen=True)
class Limits:
    """Largest differences that are attributed to summation order.

    Attributes:
        tolerance: As a share of the range of the logits over shifts.
        floor: As a share of the largest logit.
    """

    tolerance: float
    floor: float

    @classmethod
    def of(cls, dtype: torch.dtype) -> Limits:
        """Return the limits of comparisons in ``dtype``."""
        if dtype == torch.float64:
            return cls(1e-6, 1e-12)  # a tenth of the tolerance of exact_fraction
        unit = torch.finfo(dtype).eps
        return cls(max(1e-4, 8 * unit), 8 * unit)

    def moves(self, moved: float, largest: float) -> bool:
        """Whether the logits change under shifts by enough for an error to be detected."""
        return moved > 1e3 * self.floor * largest


def check(
    network: PixelModel, dense: DenseNetwork, images: Tensor, generator: torch.Generator
) -> dict[str, int]:
    """Compare dense passes with plain ones.

    Args:
        network: The measured network.
        dense: Its dense form.
        images: ``(n, C, H, W)`` normalised, spread over the split.
        generator: Draws noise and shifts.

    Returns:
        Entries for the table's meta, from the last comparison: the numbers of images, of noise
        images and of shifts, and the number of views whose predicted class differs although the
        logits agree up to rounding (near-ties).

    Raises:
        NotDenseError: If logits differ by more than rounding, or none changes under shifts.
    """
    shifts = _shifts((int(images.shape[2]), int(images.shape[3])), generator)
    noise = noise_like(images, AT_ONCE, generator)
    loud = LOUD * (noise + noise.new_tensor([1.0, -1.0])[:, None, None, None])
    inputs = {"images": images, "noise": noise, "loud noise": loud}
    with without_tf32():  # for networks that compute in float32 whatever they are given
        _check_structure(network.model, inputs, shifts)
    flips = 0
    with network.autocasting():
        for what in ("images", "noise"):
            own, plain = _both(dense, network.model, inputs[what], shifts)
            allowed = network.rounding.engines * scale(plain.float(), network.rounding).amax(1)
            _refuse_beyond(_gaps(own, plain), allowed, shifts, f"on {what}")
            flips += int((own.argmax(-1) != plain.argmax(-1)).sum())
    return {"self_check_images": len(images), "self_check_noise": len(noise),
            "self_check_shifts": len(shifts), "self_check_flips": flips}  # fmt: skip


def _shifts(size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return shifts ``(S, 2)``: one pixel along each axis, half the image size, random ones."""
    fixed = torch.tensor([[0, 1], [1, 0], [size[0] // 2, size[1] // 2]])
    random = (torch.rand(SHIFTS, 2, generator=generator) * torch.tensor(size)).long()
    return torch.cat([fixed, random])


def _check_structure(model: nn.Module, inputs: dict[str, Tensor], shifts: Tensor) -> None:
    precise, dtype = _precise(model, inputs["noise"])
    limits = Limits.of(dtype)
    noise = inputs["noise"].to(dtype)
    other = revive(own_copy(precise), torch.Generator().manual_seed(0))
    if _is_sound(other, noise):
        _moves(other, noise, shifts, limits, "on noise, were its weights others,")
    del other
    found = [
        _moves(precise, values.to(dtype), shifts, limits, f"on {what}")
        for what, values in inputs.items()
    ]
    if not any(found):
        raise NotDenseError("its logits are constant on images and on noise: nothing to compare")


def _precise(model: nn.Module, x: Tensor) -> tuple[nn.Module, torch.dtype]:
    """Return the network in the most precise type in which it runs, and that type."""
    for dtype in (torch.float64, torch.float32):
        try:
            precise = own_copy(model).to(dtype)
            precise(x.to(dtype))
        except (RuntimeError, TypeError):  # not supported by the device or by the network
            continue
        return precise, dtype
    return model, x.dtype


def _is_sound(model: nn.Module, x: Tensor) -> bool:
    """Whether a network with redrawn weights returns valid logits; masked ones may be −inf."""
    try:
        logits = model(x)
        return bool(logits.isfinite().any(-1).all() and not logits.isnan().any())
    except Exception:  # a redrawn parameter was not a weight
        return False


def _moves(model: nn.Module, x: Tensor, shifts: Tensor, limits: Limits, where: str) -> bool:
    """Compare on ``x`` and return whether the logits change under shifts."""
    own, plain = _both(DenseNetwork(model), model, x, shifts)
    moved, largest = _movement(plain)
    allowed = limits.tolerance * moved + limits.floor * largest
    limit = torch.full((len(x),), allowed, dtype=torch.float64)  # may exceed the range of float32
    _refuse_beyond(_gaps(own, plain), limit, shifts, where)
    return limits.moves(moved, largest)


def _both(
    dense: DenseNetwork, model: nn.Module, x: Tensor, shifts: Tensor
) -> tuple[Tensor, Tensor]:
    """Return logits ``(n, S, C)`` of dense passes and of plain passes."""
    plain = torch.stack([model(x.roll(shift, (2, 3))) for shift in shifts.tolist()], 1)
    parts = []
    for part in x.split(AT_ONCE):
        try:
            logits = dense(part)
        except NotDenseError:
            raise
        except Exception as error:  # shapes do not match, e.g. after a functional operation
            reason = str(error).splitlines() or [type(error).__name__]
            raise NotDenseError(f"a dense pass fails ({reason[0]})") from error
        views = dense.columns(shifts)
        if int(views.max()) >= logits.shape[1] or logits.shape[2:] != plain.shape[2:]:
            raise NotDenseError("it subsamples in a step that is not a layer")
        parts.append(logits[:, views.to(logits.device)])
    return torch.cat(parts), plain


def _gaps(own: Tensor, plain: Tensor) -> Tensor:
    """Return the largest differences ``(n, S)``; 0 for masked and for equal infinite logits."""
    gap = (own - plain).abs()
    behind = cutoff(plain)
    same = (own == plain) | (own.isnan() & plain.isnan())
    return gap.masked_fill(same | (masked(own, behind) & masked(plain, behind)), 0).amax(-1)


def _movement(logits: Tensor) -> tuple[float, float]:
    """Return the largest range of a class's logit in ``(n, S, C)``; the largest absolute logit."""
    kept = logits.isfinite() & ~masked(logits, cutoff(logits))
    highest = torch.where(kept, logits, -torch.inf).amax((0, 1))
    lowest = torch.where(kept, logits, torch.inf).amin((0, 1))
    moved = (highest - lowest).clamp(min=0).amax()  # a class that is never finite: −inf
    return float(moved), float(torch.where(kept, logits, 0).abs().amax())


def _refuse_beyond(gaps: Tensor, allowed: Tensor, shifts: Tensor, where: str) -> None:
    """Raise if a difference in ``gaps (n, S)`` exceeds ``allowed (n,)`` or is NaN."""
    beyond = ~(gaps <= allowed.to(gaps.device)[:, None])
    if bool(beyond.any()):
        image, column = beyond.nonzero()[0].tolist()
        dy, dx = shifts[column].tolist()
        gap = float(gaps[image, column])
        raise NotDenseError(f"its answers to a shift by ({dy}, {dx}) {where} differ by {gap:.2g}")
