"""Networks that are exactly invariant to every circular shift, with random weights."""

import torch

from shiftbench.api import measure
from shiftbench.shift.circular import Circular


def assert_exact(model, pool, head, engine):
    """Measure a network in float64 under all 256 shifts of 16×16 images; nothing may change."""
    torch.manual_seed(0)
    net = model(4, 3, (16, 16), pool, head, "circular", width=8).double().eval()
    result = measure(
        net, torch.rand(3, 3, 16, 16, dtype=torch.float64), [0, 1, 2], Circular(sampling="all"),
        engine=engine, resamples=2,
    )  # fmt: skip
    values = result.metrics.set_index("metric").value
    assert result.predictions.n_shifts == 256
    assert values["exact_fraction"] == 1
    assert values["consistency"] == 1
