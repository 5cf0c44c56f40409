"""Results versions: the parts whose results differ from those of an earlier release; no torch.

A change that affects the results of a part increments its number here, with a comment. A run
records the numbers of the parts that computed it (``versions`` in ``run.json``); a run without them
is of release 0.1.0, where every part had number 1. The numbers are not part of a run's id: an older
run is found, and reported as outdated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST = 1
BLOCK = 16  # channels of the largest block of oneDNN's kernels

CURRENT: dict[str, int] = {
    # From logits to the prediction table. 2: the answer is the largest logit, not the largest
    # float32 probability; infinite logits and masked classes are treated separately.
    "answers": 2,
    # 2: relative to the spread of the logits, with every engine.
    "metric.exact_fraction": 2,
    # 2: windows begin at 0, as in the released script.
    "shift.azulay2019_crop": 2,
    "shift.azulay2019_black": 2,
    "shift.azulay2019_inpaint": 2,
    # 2: half-pixel offsets up to 30½, as in the released code.
    "shift.michaeli2023_half": 2,
    # fill=mean. 2: exactly the mean, 0 after normalisation, not the nearest of 256 levels.
    "fill": 2,
    # embed and rescale of photographs. 2: reduced from their files, not from the network's view.
    "reduction": 2,
    # Trained with fewer than 16 channels. 2: gradients of the shortcuts avoid a kernel of oneDNN
    # that writes beyond its workspace.
    "model.resnet": 2,
    # 2: at the size and the crop that timm tests the weights at.
    "model.timm_network": 2,
    # 2: includes shared layers, norms and padding that were omitted; strides of 4 as two halvings.
    "surgery": 2,
    # 2: pairs of different shifts, so that the value does not depend on their number.
    "metric.correct_consistency": 2,
    # 2: pairs of different images, so that the value does not depend on their number.
    "metric.chance_consistency": 2,
    # Over images. 2: BCa, Wilson, score or exact, depending on the images, instead of percentiles.
    "intervals": 2,
}
"""The number of every part that is not FIRST; :func:`makes` says which parts affect a run."""

FROM_TABLES = ("metric.correct_consistency", "metric.chance_consistency", "intervals")
"""Parts that prediction tables are enough for, those of earlier releases included."""


def current(settings: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers of the parts that compute a run, without those that are FIRST.

    Args:
        settings: The run's settings, flat, ``{"train.epochs": 12}``.

    >>> current({"train.epochs": 0})["answers"]
    2
    """
    return {part: number for part, number in CURRENT.items() if makes(part, settings)}


def from_tables(settings: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers of the parts that can be recomputed from a run's prediction tables.

    >>> from_tables({})["intervals"]
    2
    """
    return {part: number for part, number in current(settings).items() if part in FROM_TABLES}


def _is_of_shift(key: str, name: str) -> bool:
    return key.startswith("shift.") and key.endswith(f".{name}")


def makes(part: str, settings: Mapping[str, Any]) -> bool:
    """Whether a part affects the results of a run."""
    group, _, name = part.partition(".")
    if group == "training":  # no part at present; for changes of every training
        return bool(settings.get("train.epochs"))
    if group == "surgery":
        changed = _option(settings, "pool") != "native" or settings.get("padding") == "circular"
        changed = changed or settings.get("model.anchor") is True
        return _option(settings, "model") in _EXTERNAL and changed
    if group == "shift":
        return any(key.startswith(f"shift.{name}.") for key in settings)
    if group == "fill":
        return any(_is_of_shift(key, "fill") and settings[key] == "mean" for key in settings)
    if group == "reduction":
        return _option(settings, "data") == "imagenet" and any(
            str(settings[key]).split(".")[-2:-1] in (["embed"], ["rescale"])
            for key in settings
            if _is_of_shift(key, "_target_")
        )
    if part == "model.timm_network" and not settings.get("model.weights"):
        return False
    if part == "model.resnet" and not (
        settings.get("train.epochs") and int(settings.get("model.width") or BLOCK) < BLOCK
    ):
        return False
    if group in ("data", "model"):
        return _option(settings, group) == name
    return True


_EXTERNAL = ("torchvision_network", "timm_network", "imported")


def _option(settings: Mapping[str, Any], group: str) -> str:
    """Return the module of a group's target: ``folder`` of ``folder.load``."""
    parts = str(settings.get(f"{group}._target_") or "").split(".")
    return parts[-2] if len(parts) > 1 else ""


def changes(made: Mapping[str, int], now: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return the parts whose numbers differ, each with the number of the run and the current one.

    >>> changes({}, {"metric.exact_fraction": 2})
    {'metric.exact_fraction': (1, 2)}
    """
    parts = {part: (made.get(part, FIRST), now.get(part, FIRST)) for part in (*now, *made)}
    return {part: pair for part, pair in parts.items() if pair[0] != pair[1]}


def described(changed: Mapping[str, tuple[int, int]]) -> str:
    """Return the changed parts as text for a message.

    >>> described({"metric.exact_fraction": (1, 2)})
    'metric.exact_fraction 1 (now 2)'
    """
    return ", ".join(f"{part} {was} (now {now})" for part, (was, now) in changed.items())
