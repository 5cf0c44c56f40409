"""Networks near chance judge nothing."""

import pytest

from shiftbench.claims import Evidence, judge
from shiftbench.claims.near_chance import without_near_chance


def seen(accuracy, chance=0.1, consistency=0.5):
    return {"circular": {"accuracy": accuracy, "chance_consistency": chance,
                         "consistency": consistency}}  # fmt: skip


@pytest.mark.parametrize(
    ("accuracy", "chance", "stays"),
    [(0.5, 0.1, True), (0.33, 0.1, True), (0.32, 0.1, False), (0.12, 0.1, False),
     (0.9, 1.0, False), (0.1, 0.99, False), (0.3, 0.001, True), (0.2, 0.001, False)],
)  # fmt: skip
def test_a_quarter_of_the_way_from_chance_to_one(run, accuracy, chance, stays):
    kept, weak = without_near_chance(Evidence([run(seen(accuracy, chance))]))
    assert (len(kept.runs), len(weak)) == ((1, 0) if stays else (0, 1))


def test_a_network_is_all_of_its_seeds(run):
    runs = [run(seen(0.32 + 0.02 * seed), seed=seed) for seed in range(3)]
    kept, weak = without_near_chance(Evidence(runs))
    assert (len(kept.runs), len(weak)) == (3, 0)


def test_failing_only_on_other_images_is_not_near_chance(run):
    own, other = run(seen(0.9)), run(seen(0.1), **{"data.test.position": "uniform"})
    elsewhere = run(seen(0.1), pool="blur", **{"data.test.position": "uniform"})
    kept, weak = without_near_chance(Evidence([own, other, elsewhere]))
    assert kept.runs == [own, other]
    assert weak == [elsewhere]


def test_untrained_networks_and_those_of_unknown_accuracy_are_kept(run):
    untrained = run(seen(0.1), **{"train.epochs": 0})
    unknown = run({"circular": {"consistency": 0.5}})
    kept, weak = without_near_chance(Evidence([untrained, unknown]))
    assert (len(kept.runs), weak) == (2, [])


def test_claims_that_excluded_networks_would_decide_say_so(seeds):
    runs = [*seeds(seen(0.1, consistency=0.5), pool="stride"), *seeds(seen(0.1, consistency=0.9))]
    [one, other] = judge(Evidence(runs), ["S3", "A1"])
    assert (one.claim.key, other.claim.key) == ("A1", "S3")
    assert other.verdict == "not run"
    assert "near chance (6 excluded)" in other.reason
    assert "near chance" not in one.reason
