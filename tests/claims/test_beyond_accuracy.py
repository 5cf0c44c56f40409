"""X1: blur beyond the accuracy that it brings."""

from dataclasses import replace

import numpy as np
import pytest

from shiftbench.claims import Number
from shiftbench.claims.evidence import Influence

N = 400


def network(run, right, consistency, **given):
    """A run with known answers, image by image: right or not, and how consistent."""
    numbers = {"accuracy": np.asarray(right, float), "consistency": np.asarray(consistency, float)}
    rows = {
        name: Number(found.mean(), found.mean() - 0.02, found.mean() + 0.02, 9, len(found))
        for name, found in numbers.items()
    }
    made = run({"circular": rows}, **given)
    influences = {name: Influence("test", found - found.mean()) for name, found in numbers.items()}
    return replace(made, influence=lambda protocol, metric: influences.get(metric))


def study(run, gain, accuracy=(0.6, 0.7), seeds=3):
    """Right images are consistent by 0.9, wrong ones by 0.5; blur is right more often."""
    rng = np.random.default_rng(0)
    hard = rng.random(N)
    runs = []
    for seed in range(seeds):
        for pool, level in zip(("max", "blur"), accuracy, strict=True):
            right = hard + rng.normal(0, 0.02, N) < level
            consistency = np.where(right, 0.9, 0.5) + rng.normal(0, 0.02, N)
            runs.append(network(run, right, consistency + gain * (pool == "blur"), pool=pool,
                                seed=seed))  # fmt: skip
    return runs


def test_a_gain_in_accuracy_alone_does_not_count(judged, run):
    found = judged("X1", study(run, 0.0))
    assert judged("Z1", study(run, 0.0)).measured > 0.03  # consistency itself does rise
    assert found.measured == pytest.approx(0, abs=0.005)
    assert found.low < 0 < found.high
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize(("gain", "verdict"), [(0.05, "reproduced"), (-0.05, "not reproduced")])
def test_a_gain_at_equal_accuracy_counts(judged, run, gain, verdict):
    found = judged("X1", study(run, gain))
    assert found.verdict == verdict
    assert found.measured == pytest.approx(gain, abs=0.005)
    assert "3 seeds × images" in found.reason


def test_one_seed_has_the_interval_over_images(judged, run):
    found = judged("X1", study(run, 0.05, seeds=1))
    assert found.verdict == "reproduced"
    assert "images, one seed" in found.reason


def test_without_influences_of_images_the_claim_is_inconclusive(judged, run):
    runs = [replace(one, influence=lambda *_: None) for one in study(run, 0.05)]
    found = judged("X1", runs)
    assert found.verdict == "inconclusive"
    assert "the runs lack images.npz" in found.reason


def checkpoints(run, gain):
    """Plain networks on consistency = accuracy at 1 to 4 epochs, one with blur between them."""

    def one(accuracy, consistency, **given):
        values = {"accuracy": accuracy, "consistency": consistency}
        rows = {name: Number(v, v - 0.001, v + 0.001, 9, N) for name, v in values.items()}
        return run({"circular": rows}, **given)

    plain = [one(0.5 + 0.1 * e, 0.5 + 0.1 * e, **{"train.epochs": e}) for e in (1, 2, 3, 4)]
    return [*plain, one(0.75, 0.75 + gain, pool="blur", **{"train.epochs": 2})]


@pytest.mark.parametrize(("gain", "verdict"), [(0.05, "reproduced"), (-0.05, "not reproduced")])
def test_at_matched_accuracy_along_the_training(judged, run, gain, verdict):
    found = judged("X1", checkpoints(run, gain))
    assert found.verdict == verdict
    assert found.measured == pytest.approx(gain)
    assert found.measured_of == "at matched accuracy"


def test_blur_outside_the_range_of_plain_accuracies_is_not_used(judged, run):
    runs = checkpoints(run, 0.05)
    [far] = [one for one in runs if one.pool == "blur"]
    number = Number(0.99, 0.98, 1.0, 9, N)
    runs[-1] = replace(far, numbers={**far.numbers, ("circular", "accuracy"): number})
    assert judged("X1", runs).verdict == "inconclusive"


def test_a_line_through_enough_plain_networks_is_reported(judged, run):
    """Plain networks lie on consistency = accuracy; blur gains 0.02 and 0.1."""
    runs = []
    for width in range(1, 9):
        given, accuracy = {"model.width": width}, 0.5 + 0.05 * width
        for pool, more, gain in (("max", 0.0, 0.0), ("blur", 0.02, 0.1)):
            rows = {"accuracy": accuracy + more, "consistency": accuracy + gain}
            runs.append(run({"circular": rows}, pool=pool, **given))
    reason = judged("X1", runs).reason
    assert "mean gain in consistency +0.100; +0.080 beyond" in reason
    assert "8 plain networks (slope 1.00)" in reason
    assert "plain networks (slope" not in judged("X1", runs[:6]).reason
