"""F2: accuracy on swapped rows; K1 is in test_pooling.py."""

import pytest

SWAPPED = {"data": "red_green", "data.test.position": "dissimilar"}


@pytest.mark.parametrize(("full", "zeros", "verdict"), [
    (0.9, 0.1, "reproduced"), (0.9, 0.6, "not reproduced"), (0.9, 0.4, "inconclusive"),
])  # fmt: skip
def test_padding_decides_between_position_and_content(judged, run, full, zeros, verdict):
    runs = [
        run({"translate": {"accuracy": accuracy + 0.002 * (seed - 1) * (padding == "full")}},
            padding=padding, seed=seed, **SWAPPED)
        for padding, accuracy in (("full", full), ("zeros", zeros), ("circular", 0.7))
        for seed in range(3)
    ]  # fmt: skip
    found = judged("F2", runs)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(full - zeros, abs=1e-6)
    assert len(found.runs) == 6
    similar = [run({"translate": {"accuracy": 0.9}}, padding=padding, data="red_green")
               for padding in ("full", "zeros")]  # fmt: skip
    assert judged("F2", similar) is None
