"""C4 to C6, W1, F1, P1, E1: remedies at equal cost."""

import pytest

from shiftbench.claims import Evidence, judge

POLY = {"activation._target_": "shiftbench.activation.poly.Polynomial"}
PHASES = {"infer._target_": "shiftbench.infer.phases.Phases"}
WAVELET = {"pool.taps": "ch3.3", "pool.max_first": False}


def seen(protocol="circular", consistency=1.0, accuracy=0.8):
    return {protocol: {"consistency": consistency, "accuracy": accuracy}}


def oversampled(factor):
    kind = "shiftbench.activation.up_relu.UpReLU"
    return {"activation._target_": kind, "activation.factor": factor}


def test_half_pixel_shifts_are_exact_or_not(judged, run):
    exact = [run(seen("subpixel"), pool="ideal", seed=seed, **POLY) for seed in range(3)]
    found = judged("C4", exact)
    assert (found.verdict, found.measured) == ("reproduced", 1.0)
    found = judged("C4", [*exact, run(seen("subpixel", 0.99), pool="ideal", seed=3, **POLY)])
    assert (found.verdict, found.measured) == ("not reproduced", 0.99)
    assert judged("C4", [run(seen("subpixel"), pool="ideal")]) is None  # with a ReLU


def test_tips_is_held_to_its_claim(judged, run):
    assert judged("C5", [run(seen(), pool="tips")]).verdict == "reproduced"
    assert judged("C5", [run(seen(consistency=0.97), pool="tips")]).verdict == "not reproduced"
    assert judged("C5", [run(seen(), pool="tips", padding="zeros")]) is None


@pytest.mark.parametrize(("gain", "verdict"), [
    (0.03, "reproduced"), (-0.03, "not reproduced"), (0.0, "inconclusive"),
])  # fmt: skip
def test_lps_against_an_aps_of_its_size(judged, run, gain, verdict):
    own = [
        run(seen(accuracy=0.8 + gain + 0.001 * seed), pool="lps", seed=seed) for seed in range(3)
    ]
    wide = {"model.match_macs": "lps"}
    others = [run(seen(accuracy=0.8 + 0.001 * (seed % 2)), pool="aps", seed=seed, **wide)
              for seed in range(3)]  # fmt: skip
    found = judged("C6", [*own, *others])
    assert found.verdict == verdict
    assert found.measured == pytest.approx(gain, abs=2e-3)
    assert judged("C6", [*own, *[run(seen(), pool="aps", seed=seed) for seed in range(3)]]) is None


@pytest.mark.parametrize(("gap", "verdict"), [
    (0.0, "reproduced"), (0.05, "not reproduced"), (-0.05, "not reproduced"),
    (0.01, "inconclusive"),
])  # fmt: skip
def test_a_wavelet_is_a_blur_within_a_margin(judged, run, gap, verdict):
    wave = [run(seen(consistency=0.9 + gap + 0.0005 * seed), pool="blur", seed=seed, **WAVELET)
            for seed in range(3)]  # fmt: skip
    blur = [run(seen(consistency=0.9), pool="blur4", seed=seed, **{"pool.max_first": False})
            for seed in range(3)]  # fmt: skip
    assert judged("W1", [*wave, *blur]).verdict == verdict


@pytest.mark.parametrize(("gap", "verdict"), [(0.0, "reproduced"), (-0.05, "not reproduced")])
def test_full_padding_against_a_wider_blur(judged, run, gap, verdict):
    full = [run(seen("crop", 0.9 + gap + 0.0005 * seed), padding="full", seed=seed)
            for seed in range(3)]  # fmt: skip
    blur = [run(seen("crop", 0.9), pool="blur", padding="zeros", seed=seed,
                **{"model.match_macs": "full"}) for seed in range(3)]  # fmt: skip
    assert judged("F1", [*full, *blur]).verdict == verdict


@pytest.mark.parametrize(("consistency", "accuracy", "verdict"), [
    (1.0, 0.8, "reproduced"), (0.99, 0.8, "not reproduced"), (1.0, 0.7, "not reproduced"),
])  # fmt: skip
def test_phases_are_exact_and_cost_no_accuracy(judged, run, consistency, accuracy, verdict):
    runs = [run(seen(consistency=0.9, accuracy=0.8 + 0.001 * seed), seed=seed) for seed in range(3)]
    found = [seen(consistency=consistency, accuracy=accuracy + 0.002 * seed) for seed in range(3)]
    runs += [run(one, seed=seed, **PHASES) for seed, one in enumerate(found)]
    assert judged("P1", runs).verdict == verdict


@pytest.mark.parametrize(("slope", "verdict"), [(0.02, "reproduced"), (-0.02, "not reproduced")])
def test_exactness_over_the_oversampling(judged, run, slope, verdict):
    runs = [
        run(seen("subpixel", 0.8 + slope * power + 0.0005 * seed * power), pool="ideal", seed=seed,
            **(oversampled(2**power) if power else {}))
        for power in (0, 1, 2) for seed in range(3)
    ]  # fmt: skip
    found = judged("E1", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(slope, abs=2e-3)
    assert judged("E1", [one for one in runs if one.settings.get("activation.factor") != 4]) is None


def test_other_claims_leave_variants_out(run):
    """A polynomial network would refute "no network with ReLU is invariant"."""
    numbers = {"circular": {"exact_fraction": 1.0, "consistency": 1.0}}
    relu = {"circular": {"exact_fraction": 0.01, "consistency": 0.9}}
    runs = [run(numbers, pool="ideal", model="linear"), run(relu, pool="ideal")]
    [before] = judge(Evidence(runs), ["A7"])
    [after] = judge(Evidence([*runs, run(numbers, pool="ideal", **POLY)]), ["A7"])
    assert before.verdict == after.verdict == "reproduced"
