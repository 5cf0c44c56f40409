"""C1 to C3: what adaptive polyphase sampling promises."""

import pytest


def seen(circular=1.0, crop=0.8, subpixel=0.9):
    return {"circular": {"consistency": circular}, "crop": {"consistency": crop},
            "subpixel": {"consistency": subpixel}}  # fmt: skip


def test_the_guarantee_and_its_limits(judged, run):
    runs = [run(seen(1.0, 0.8 + 0.01 * seed, 0.9 + 0.01 * seed), pool="aps", seed=seed)
            for seed in range(3)]  # fmt: skip
    runs.append(run(seen(), pool="aps", **{"train.epochs": 0}))
    found = judged("C1", runs)
    assert (found.verdict, found.measured) == ("reproduced", 1.0)
    assert "4 of 4" in found.reason and "1 of them untrained" in found.reason
    found = judged("C2", runs)
    assert (found.verdict, found.measured) == ("reproduced", pytest.approx(0.19))
    found = judged("C3", runs)
    assert (found.verdict, found.measured) == ("reproduced", pytest.approx(0.09))


def test_one_run_against_the_guarantee_is_enough(judged, run):
    runs = [run(seen(), pool="aps"), run(seen(0.99), pool="aps", seed=1)]
    found = judged("C1", runs)
    assert (found.verdict, found.measured) == ("not reproduced", 0.99)


def test_consistency_that_holds_everywhere_refutes_the_limits(judged, run):
    runs = [run(seen(1.0, 1.001 + 0.001 * seed, 1.001 + 0.001 * seed), pool="aps", seed=seed)
            for seed in range(3)]  # fmt: skip
    runs[0] = run(seen(1.0, 1.0, 1.0), pool="aps")
    assert judged("C2", runs).verdict in ("not reproduced", "inconclusive")
    assert judged("C2", runs).measured <= 0


@pytest.mark.parametrize("given", [{"padding": "zeros"}, {"head": "flatten"}, {"pool": "max"}])
def test_other_networks_are_outside_the_guarantee(judged, run, given):
    runs = [run(seen(0.5), **{"pool": "aps", **given})]
    assert [judged(key, runs) for key in ("C1", "C2", "C3")] == [None] * 3
