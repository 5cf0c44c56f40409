"""Published remedies other than blur and APS, at equal cost (C4 to C6, W1, F1, P1, E1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shiftbench.claims.blocks import Block, blocks, single
from shiftbench.claims.claim import NOT_REPRODUCED, UNCHECKED, Claim, Finding, Plot, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate, together
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, arms_of_blocks, bars, series, values
from shiftbench.claims.polyphase import CIRCULAR, CROP, GLOBAL_HEADS, SUBPIXEL, TOLERANCE
from shiftbench.claims.verdicts import (
    decide,
    decide_equal,
    decide_every,
    decide_exact,
)

CONSISTENCY, ACCURACY = "consistency", "accuracy"
MARGIN = 0.01  # of accuracy or consistency: a smaller difference counts as none
MATCH = "model.match_macs"


def _target(run: Run, group: str) -> str:
    """Return the class of a group's option, '' for the default that a run does not record."""
    return str(run.settings.get(f"{group}._target_", "")).rpartition(".")[2]


def _on_a_torus(evidence: Evidence, protocol: str) -> list[Run]:
    return [
        run
        for run in evidence.runs
        if run.labels.get("padding") == "circular"
        and run.option("head") in GLOBAL_HEADS
        and run.has(protocol, CONSISTENCY)
    ]


def _all_exact(runs: Sequence[Run], protocol: str) -> Finding | None:
    found = single(runs, (protocol,))
    exact = [
        Estimate(run.numbers[protocol, CONSISTENCY].value, name=block.name, runs=(run.run_id,))
        for block in found
        for run in block.runs
    ]
    untrained = sum(not run.is_trained for run in runs)
    fewest = min((run.numbers[protocol, CONSISTENCY].n_images for run in runs), default=0)
    rows = arms_of_blocks(found, protocol, CONSISTENCY)
    plot = bars(rows, "network", f"consistency, {protocol}") if found else None
    return decide_exact(exact, 1.0, TOLERANCE, f"{untrained} of them untrained", plot, fewest)


def _polynomial_is_exact(evidence: Evidence) -> Finding | None:
    runs = [
        run
        for run in _on_a_torus(evidence, SUBPIXEL)
        if _target(run, "activation") == "Polynomial" and run.option("pool") == "ideal"
    ]
    return _all_exact(runs, SUBPIXEL)


def _tips_is_exact(evidence: Evidence) -> Finding | None:
    runs = [run for run in _on_a_torus(evidence, CIRCULAR) if run.option("pool") == "tips"]
    return _all_exact(runs, CIRCULAR)


def _lps_or_matched_aps(run: Run) -> str | None:
    arm = run.option("pool")
    matched = run.settings.get(MATCH)
    return arm if (arm, matched) in (("lps", None), ("aps", "lps")) else None


def _lps_more_accurate(evidence: Evidence) -> Finding | None:
    runs = [run for run in evidence.runs if run.is_trained and run.has(CIRCULAR, ACCURACY)]
    found = blocks(runs, _lps_or_matched_aps, free=("pool", MATCH), protocols=(CIRCULAR,),
                   arms=("aps", "lps"))  # fmt: skip
    if not found:
        return None
    mean = together(found, lambda read: _difference(read, "lps", "aps", CIRCULAR, ACCURACY))
    of = f"mean over {len(found)} networks" if len(found) > 1 else found[0].name or "one network"
    means = listed(values(arm_means(found[0], CIRCULAR, ACCURACY)))
    plot = bars(arms_of_blocks(found, CIRCULAR, ACCURACY, ("aps", "lps")), "network", ACCURACY)
    return decide(mean, 0.0, means, plot, of)


def _difference(read: Reader, one: str, other: str, protocol: str, metric: str) -> float:
    return read(one, protocol, metric) - read(other, protocol, metric)


def _filter(run: Run) -> str | None:
    """Return the arm of a filter that replaces the maximum: ch3.3, or a blur of four taps."""
    if run.settings.get("pool.max_first") is not False and run.option("pool") != "wavelet":
        return None
    taps = run.settings.get("pool.taps")
    if run.option("pool") == "wavelet" or taps is not None:
        return "ch3.3" if taps in (None, "ch3.3") else None
    return "4 taps" if str(run.settings.get("pool.filter_size")) == "4" else None


def _wavelet_is_blur(evidence: Evidence) -> Finding | None:
    runs = [run for run in evidence.runs if run.is_trained and run.has(CIRCULAR, CONSISTENCY)]
    found = blocks(runs, _filter, free=("pool",), protocols=(CIRCULAR,), arms=("ch3.3", "4 taps"))
    if not found:
        return None
    mean = together(found, lambda read: _difference(read, "ch3.3", "4 taps", CIRCULAR, CONSISTENCY))
    accuracy = listed(values(arm_means(found[0], CIRCULAR, ACCURACY)))
    plot = bars(arms_of_blocks(found, CIRCULAR, CONSISTENCY), "network", CONSISTENCY)
    of = f"mean over {len(found)} networks" if len(found) > 1 else found[0].name or "one network"
    return decide_equal(mean, MARGIN, f"accuracy {accuracy}", plot, of)


def _full_or_matched_blur(run: Run) -> str | None:
    matched, padding = run.settings.get(MATCH), run.labels.get("padding")
    if (run.pool, padding, matched) == ("max", "full", None):
        return "full"
    return "blur" if (run.pool, padding, matched) == ("blur", "zeros", "full") else None


def _full_padding_gains_as_much(evidence: Evidence) -> Finding | None:
    runs = [run for run in evidence.runs if run.is_trained and run.has(CROP, CONSISTENCY)]
    found = blocks(runs, _full_or_matched_blur, free=("padding", "pool", MATCH), protocols=(CROP,),
                   arms=("full", "blur"))  # fmt: skip
    every = [
        estimate(block, lambda read: _difference(read, "full", "blur", CROP, CONSISTENCY))
        for block in found
    ]
    plot = bars(arms_of_blocks(found, CROP, CONSISTENCY), "network", "consistency of crops")
    return decide_every(every, -MARGIN, "", plot)


def _phases_or_single(run: Run) -> str | None:
    return {"Phases": "phases", "": "single"}.get(_target(run, "infer"))


def _phases_are_exact_and_free(evidence: Evidence) -> Finding | None:
    runs = [run for run in _on_a_torus(evidence, CIRCULAR) if run.is_trained]
    exact = _all_exact([run for run in runs if _target(run, "infer") == "Phases"], CIRCULAR)
    found = blocks(runs, _phases_or_single, free=("infer",), protocols=(CIRCULAR,),
                   arms=("phases", "single"))  # fmt: skip
    if exact is None or exact.verdict == NOT_REPRODUCED:
        return exact
    every = [
        estimate(block, lambda read: _difference(read, "phases", "single", CIRCULAR, ACCURACY))
        for block in found
    ]
    means = listed(values(arm_means(found[0], CIRCULAR, CONSISTENCY)))
    plot = bars(arms_of_blocks(found, CIRCULAR, ACCURACY), "network", ACCURACY)
    return decide_every(every, -MARGIN, f"consistency {means}", plot)


def _factor(run: Run) -> str | None:
    """Return the oversampling of a ReLU, 1 for the usual one; None for other activations."""
    kind = _target(run, "activation")
    if kind == "UpReLU":
        return f"{float(run.settings.get('activation.factor', 2)):g}"
    return "1" if kind == "" else None


def _slope(read: Reader) -> float:
    factors = sorted(read.arms, key=float)
    seen = [read(arm, SUBPIXEL, CONSISTENCY) for arm in factors]
    if any(map(math.isnan, seen)):
        return math.nan
    return float(np.polyfit([math.log2(float(one)) for one in factors], seen, 1)[0])


def _oversampling_helps(evidence: Evidence) -> Finding | None:
    runs = [
        run
        for run in _on_a_torus(evidence, SUBPIXEL)
        if run.is_trained and run.option("pool") == "ideal"
    ]
    found = blocks(runs, _factor, free=("activation",), protocols=(SUBPIXEL,))
    found = [block for block in found if len(block.arms) > 2]
    if not found:
        return None
    means = values(arm_means(found[0], SUBPIXEL, CONSISTENCY))
    more = listed({f"U={one}": means[one] for one in sorted(means, key=float)})
    return decide_every([estimate(block, _slope) for block in found], 0.0, more, _curve(found))


def _curve(found: Sequence[Block]) -> Plot:
    lines = []
    for block in found:
        means = arm_means(block, SUBPIXEL, CONSISTENCY)
        factors = sorted(means, key=float)
        lines.append(series(block.name or "all", [float(one) for one in factors],
                            [means[one] for one in factors]))  # fmt: skip
    return Plot("lines", "oversampling U", "consistency, half-pixel shifts", tuple(lines))


RUNS = ("remedies",)
CLAIMS = (
    Claim(
        "C4", "polynomial_exact_under_half_pixels",
        "Michaeli et al. 2023 (arXiv 2303.08085), table",
        "A polynomial activation with ideal filters is exact under half-pixel shifts",
        "1 in every column", f"consistency under half-pixel shifts, 1 ± {TOLERANCE:g}", RUNS,
        _polynomial_is_exact, variants=True,
    ),
    Claim(
        "C5", "tips_exact_under_circular_shifts",
        "Saha & Gokhale 2024 (arXiv 2404.07410), table of CIFAR-10",
        "TIPS is exactly consistent under circular shifts", "1.00 ± 0.00 (ResNet18)",
        f"consistency under circular shifts, 1 ± {TOLERANCE:g}", RUNS, _tips_is_exact,
        variants=True,
    ),
    Claim(
        "C6", "lps_more_accurate_than_aps",
        "Rojas-Gomez et al. 2022 (arXiv 2210.08001); numbers of Saha & Gokhale 2024",
        "LPS is more accurate than APS at equal multiply-adds",
        "lps=0.9445; aps=0.9407 (ResNet18, not at equal multiply-adds)",
        "accuracy, lps - aps as wide as lps, mean over networks, above 0", RUNS,
        _lps_more_accurate, variants=True,
    ),
    Claim(
        "W1", "wavelet_equals_blur",
        "Li et al. 2020 (arXiv 2005.03337); the identity of the filters is computed here",
        "The wavelet ch3.3 is as consistent as a blur of four taps without the maximum",
        "not compared",
        f"consistency, ch3.3 - four taps, within ±{MARGIN:g}", RUNS, _wavelet_is_blur,
        variants=True,
    ),
    Claim(
        "F1", "full_padding_gains_as_much_as_blur",
        "Kayhan & van Gemert 2020 (arXiv 2003.07064), released results",
        "Full padding gains as much as blur at equal multiply-adds",
        "ResNet18 full=0.8838; blur=0.8832 (not at equal multiply-adds)",
        f"consistency of crops, full - blur as wide as full, above -{MARGIN:g}", RUNS,
        _full_padding_gains_as_much, variants=True,
    ),
    Claim(
        "P1", "phases_exact_and_free",
        "not published as a claim; a Reynolds operator",
        "The mean over all sampling phases at test time is exact and costs no accuracy",
        f"none ({UNCHECKED})",
        f"consistency of phases 1 ± {TOLERANCE:g}; accuracy, phases - single, above -{MARGIN:g}",
        RUNS, _phases_are_exact_and_free, variants=True,
    ),
    Claim(
        "E1", "oversampled_relu_more_consistent",
        "Michaeli et al. 2023 (arXiv 2303.08085), section 4",
        "The exactness of ReLU networks grows with the oversampling of the activation",
        "direction only",
        "slope of consistency under half-pixel shifts on log2 U, above 0", RUNS,
        _oversampling_helps, variants=True,
    ),
)  # fmt: skip
