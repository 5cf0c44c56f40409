"""H1 to H3: rotations, by runs whose verdicts can be said beforehand."""

from dataclasses import replace

import pytest

TARGETS = {"harmonic": 33_000, "vgg": 34_000}


@pytest.fixture
def trained(run):
    """Return a maker of three seeds of a network that was measured under rotations."""

    def make(model, accuracy, *, consistency=0.5, shifted=0.5, params=None, **given):
        given = {"data": "rotated_mnist", "pool": "avg" if model == "harmonic" else "max", **given}
        numbers = {"rotate": {"accuracy": accuracy, "consistency": consistency},
                   "translate": {"accuracy": accuracy, "consistency": shifted}}  # fmt: skip
        return [
            replace(
                run(
                    {
                        name: {one: value + 0.001 * (seed - 1) for one, value in metrics.items()}
                        for name, metrics in numbers.items()
                    },
                    seed=seed, model=model, **given,
                ),
                params=TARGETS[model] if params is None else params,
            )
            for seed in range(3)
        ]  # fmt: skip

    return make


@pytest.mark.parametrize(("gain", "verdict"), [
    (0.03, "reproduced"), (-0.03, "not reproduced"), (0.0, "inconclusive"),
])  # fmt: skip
def test_a_harmonic_network_against_a_plain_one_of_its_size(judged, trained, gain, verdict):
    # Its head and padding are its own.
    runs = [*trained("harmonic", 0.9 + gain, padding="zeros"), *trained("vgg", 0.9)]
    found = judged("H1", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(gain, abs=1e-6)
    assert len(found.runs) == 6


@pytest.mark.parametrize("params", [20_000, 43_000, 0])
def test_a_network_of_another_size_is_not_the_control(judged, trained, params):
    runs = [*trained("harmonic", 0.95), *trained("vgg", 0.9, params=params)]
    assert judged("H1", runs) is None


def test_upright_images_decide_nothing(judged, trained):
    runs = [*trained("harmonic", 0.95, data="mnist"), *trained("vgg", 0.9, data="mnist")]
    assert judged("H1", runs) is None


@pytest.mark.parametrize(("rotated", "verdict"), [
    (0.925, "reproduced"), (0.91, "not reproduced"), (0.92, "inconclusive"),
])  # fmt: skip
def test_augmentation_against_half_of_the_gain(judged, trained, rotated, verdict):
    runs = [*trained("harmonic", 0.94), *trained("vgg", 0.9)]
    assert judged("H3", runs) is None
    found = judged("H3", [*runs, *trained("vgg", rotated, augment="rotate")])
    assert found.verdict == verdict
    assert found.measured == pytest.approx(rotated - 0.92, abs=1e-6)


@pytest.mark.parametrize(("turned", "shifted", "verdict"), [
    (0.1, 0.05, "reproduced"), (0.1, -0.05, "not reproduced"), (-0.02, 0.1, "not reproduced"),
])  # fmt: skip
def test_the_smaller_gain_decides(judged, trained, turned, shifted, verdict):
    runs = [
        *trained("vgg", 0.9, pool="stride"),
        *trained("vgg", 0.9, pool="blur", consistency=0.5 + turned, shifted=0.5 + shifted),
    ]
    found = judged("H2", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(min(turned, shifted), abs=1e-6)


def test_the_pools_of_the_publication_are_compared(judged, trained):
    others = [*trained("harmonic", 0.99, pool="blur"), *trained("vgg", 0.5, pool="stride")]
    runs = [*others, *trained("harmonic", 0.95), *trained("vgg", 0.9)]
    assert judged("H1", runs).measured == pytest.approx(0.05, abs=1e-6)
    assert judged("H1", others) is None
