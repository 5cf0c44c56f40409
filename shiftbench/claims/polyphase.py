"""Chaman & Dokmanić 2021: adaptive polyphase sampling, its guarantee and limits (C1 to C3)."""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.claims.blocks import Block, single
from shiftbench.claims.claim import Claim, Finding, Plot, listed
from shiftbench.claims.estimates import Estimate, estimate, together
from shiftbench.claims.evidence import Evidence
from shiftbench.claims.plots import bars, reading, values
from shiftbench.claims.verdicts import decide_every, decide_exact

PAPER = "Chaman & Dokmanić 2021 (arXiv 2011.14214)"
CIRCULAR, CROP, SUBPIXEL, CONSISTENCY = "circular", "crop", "subpixel", "consistency"
TOLERANCE = 0.001  # between grids of equal norm, rounding decides
GLOBAL_HEADS = ("gap", "gmp")


def guaranteed(evidence: Evidence, *protocols: str) -> list[Block]:
    """Return the networks that the guarantee covers: APS, circular borders, a global head."""
    runs = [
        run
        for run in evidence.runs
        if run.option("pool") == "aps"
        and run.labels.get("padding") == "circular"
        and run.option("head") in GLOBAL_HEADS
        and all(run.has(protocol, CONSISTENCY) for protocol in protocols)
    ]
    return single(runs, protocols)


def _is_exact(evidence: Evidence) -> Finding | None:
    found = guaranteed(evidence, CIRCULAR)
    values = [
        Estimate(run.numbers[CIRCULAR, CONSISTENCY].value, name=block.name, runs=(run.run_id,))
        for block in found
        for run in block.runs
    ]
    untrained = sum(not run.is_trained for block in found for run in block.runs)
    more = f"{untrained} of them untrained" if untrained else "all of them trained"
    numbers = [run.numbers[CIRCULAR, CONSISTENCY] for block in found for run in block.runs]
    fewest = min((one.n_images for one in numbers), default=0)
    return decide_exact(values, 1.0, TOLERANCE, more, _plot(evidence), fewest)


def _fails_under(evidence: Evidence, protocol: str) -> Finding | None:
    found = guaranteed(evidence, CIRCULAR, protocol)
    gaps = [
        estimate(
            block,
            lambda read: read("", CIRCULAR, CONSISTENCY) - read("", protocol, CONSISTENCY),
        )
        for block in [block for block in found if block.runs[0].is_trained]
    ]
    means = values(_means(found, [CIRCULAR, protocol]))
    return decide_every(gaps, 0.0, f"mean consistency {listed(means)}", _plot(evidence))


def _means(found: Sequence[Block], protocols: Sequence[str]) -> dict[str, Estimate]:
    return {name: together(found, reading("", name, CONSISTENCY)) for name in protocols if found}


def _plot(evidence: Evidence) -> Plot:
    means: dict[str, Estimate] = {}
    for protocol in (CIRCULAR, CROP, "translate", SUBPIXEL):
        found = [block for block in guaranteed(evidence, protocol) if block.runs[0].is_trained]
        means |= _means(found, [protocol])
    return bars({"aps": means}, "protocol", "consistency",
                {CIRCULAR: 1.0, CROP: 0.9274, SUBPIXEL: 0.875})  # fmt: skip


def _fails_under_crops(evidence: Evidence) -> Finding | None:
    return _fails_under(evidence, CROP)


def _fails_under_half_pixels(evidence: Evidence) -> Finding | None:
    return _fails_under(evidence, SUBPIXEL)


CLAIMS = (
    Claim(
        "C1", "aps_exact_under_circular_shifts",
        f"{PAPER}, abstract",
        "APS is exactly consistent under whole circular shifts, untrained too", "1",
        f"consistency under circular shifts, 1 ± {TOLERANCE:g}", ("azulay_weiss", "theory"),
        _is_exact,
    ),
    Claim(
        "C2", "aps_inexact_under_crops",
        "Saha & Gokhale 2024 (arXiv 2404.07410), table of CIFAR-10",
        "APS is not consistent under crops", "circular=1; standard shift=0.9274 (ResNet18)",
        "consistency, circular - crop, above 0", ("azulay_weiss",), _fails_under_crops,
    ),
    Claim(
        "C3", "aps_inexact_under_half_pixels",
        "Michaeli & Soudry 2025 (arXiv 2510.22673), table",
        "APS is not consistent under half-pixel shifts", "integer=1; half pixel=0.875 (XCiT-Nano)",
        "consistency, circular - subpixel, above 0", ("azulay_weiss",), _fails_under_half_pixels,
    ),
)  # fmt: skip
