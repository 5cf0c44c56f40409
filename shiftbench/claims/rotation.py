"""Worrall et al. 2017: networks whose answers do not depend on rotations (H1 to H3)."""

from __future__ import annotations

from collections.abc import Sequence

from shiftbench.claims.blocks import Block, blocks
from shiftbench.claims.claim import Claim, Finding, listed
from shiftbench.claims.estimates import Estimate, Reader, estimate
from shiftbench.claims.evidence import Evidence, Run
from shiftbench.claims.plots import arm_means, arms_of_blocks, bars, values
from shiftbench.claims.verdicts import decide_every

ROTATE, TRANSLATE = "rotate", "translate"
ACCURACY, CONSISTENCY = "accuracy", "consistency"
HARMONIC, CONTROL = "harmonic", "vgg"
ALIKE = 1.25  # largest ratio of parameters of networks that count as equally large
MOST = 0.5  # share of a gain that counts as most of it
ROTATED = ("rotated_mnist", "rotated_fashion_mnist")
NETWORK = ("model", "head", "pool", "padding")  # what harmonic networks and controls differ in


def _on_rotated(evidence: Evidence) -> list[Run]:
    return [
        run
        for run in evidence.runs
        if run.is_trained and run.option("data") in ROTATED and run.has(ROTATE, ACCURACY)
    ]


def _is_control(run: Run, harmonic: Sequence[Run]) -> bool:
    """Whether a plain network is as large as one of the harmonic ones, to within a quarter."""
    sizes = [one.params for one in harmonic if one.params and run.params]
    ratios = [max(size, run.params) / min(size, run.params) for size in sizes]
    is_plain = run.option("model") == CONTROL and run.pool == "max"
    return is_plain and any(ratio <= ALIKE for ratio in ratios)


def _compared(evidence: Evidence) -> dict[str, str]:
    """Return the arm of every run of H1 and H3 by its name."""
    runs = _on_rotated(evidence)
    harmonic = [run for run in runs if run.option("model") == HARMONIC and run.pool == "avg"]
    found = {run.run_id: "harmonic" for run in harmonic if run.option("augment") == "none"}
    for run in runs:
        if _is_control(run, harmonic) and run.option("augment") in ("none", "rotate"):
            found[run.run_id] = "rotated" if run.option("augment") == "rotate" else "plain"
    return found


def _blocks(evidence: Evidence, arms: Sequence[str]) -> list[Block]:
    arm = _compared(evidence)
    return blocks(_on_rotated(evidence), lambda run: arm.get(run.run_id),
                  free=(*NETWORK, "augment"), protocols=(ROTATE,), arms=arms)  # fmt: skip


def _accuracy(read: Reader, arm: str) -> float:
    return read(arm, ROTATE, ACCURACY)


def _harmonic_more_accurate(evidence: Evidence) -> Finding | None:
    found = _blocks(evidence, ("harmonic", "plain"))
    every = [
        estimate(block, lambda read: _accuracy(read, "harmonic") - _accuracy(read, "plain"))
        for block in found
    ]
    return _decided(found, every, f"accuracy, {ROTATE}", (ROTATE, ACCURACY), each="data sets")


def _augmentation_gives_most(evidence: Evidence) -> Finding | None:
    found = _blocks(evidence, ("harmonic", "plain", "rotated"))

    def beyond_half(read: Reader) -> float:
        gain, whole = (_accuracy(read, arm) - _accuracy(read, "plain")
                       for arm in ("rotated", "harmonic"))  # fmt: skip
        return gain - MOST * whole

    every = [estimate(block, beyond_half) for block in found]
    return _decided(found, every, f"accuracy, {ROTATE}", (ROTATE, ACCURACY), each="data sets")


def _stride_or_blur(run: Run) -> str | None:
    return run.pool if run.pool in ("stride", "blur") else None


def _smaller_gain(read: Reader) -> float:
    """Return the smaller of the two gains, so that it is above 0 only if both are."""
    return min(
        read("blur", protocol, CONSISTENCY) - read("stride", protocol, CONSISTENCY)
        for protocol in (ROTATE, TRANSLATE)
    )


def _blur_repairs_both(evidence: Evidence) -> Finding | None:
    runs = [
        run
        for run in evidence.runs
        if run.is_trained and run.has(ROTATE, CONSISTENCY) and run.has(TRANSLATE, CONSISTENCY)
    ]
    found = blocks(runs, _stride_or_blur, free=("pool",), protocols=(ROTATE, TRANSLATE),
                   arms=("stride", "blur"))  # fmt: skip
    every = [estimate(block, _smaller_gain) for block in found]
    shifts = listed(values(arm_means(found[0], TRANSLATE, CONSISTENCY))) if found else ""
    return _decided(found, every, f"consistency, {ROTATE}", (ROTATE, CONSISTENCY),
                    f"under {TRANSLATE} {shifts}")  # fmt: skip


def _decided(
    found: Sequence[Block],
    every: Sequence[Estimate],
    label: str,
    shown: tuple[str, str],
    more: str = "",
    each: str = "networks",
) -> Finding | None:
    if not found:
        return None
    means = listed(values(arm_means(found[0], *shown)))
    plot = bars(arms_of_blocks(found, *shown), each.removesuffix("s"), label)
    parts = "; ".join(part for part in (f"{found[0].name or 'all'}: {means}", more) if part)
    return decide_every(every, 0.0, parts, plot, each=each)


RUNS = ("rotation",)
PAPER = "Worrall et al. 2017 (arXiv 1612.04642)"
CLAIMS = (
    Claim(
        "H1", "harmonic_more_accurate_on_rotations", f"{PAPER}, table 1",
        "A harmonic network is more accurate on rotated images than a plain one of its size",
        "harmonic=0.9831; plain=0.9497 (rotated MNIST)",
        "accuracy of all rotations, harmonic - plain, above 0", RUNS, _harmonic_more_accurate,
    ),
    Claim(
        "H2", "blur_repairs_rotations_and_shifts",
        "not published as one claim; issues of harmonicConvolutions and e2cnn",
        "Blur makes strided networks more consistent under rotations and under shifts",
        "direction only",
        "consistency, blur - stride, the smaller gain of rotate and translate, above 0", RUNS,
        _blur_repairs_both,
    ),
    Claim(
        "H3", "rotated_training_gives_most",
        f"{PAPER}, table 1, and Cohen & Welling 2016 (arXiv 1602.07576)",
        "Training on rotated images gives a plain network most of what a harmonic one gains",
        "plain=0.9497; rotated=0.9650; harmonic=0.9831 (a share of 0.46)",
        f"accuracy of all rotations, rotated - plain - {MOST:g} (harmonic - plain), above 0", RUNS,
        _augmentation_gives_most,
    ),
)  # fmt: skip
