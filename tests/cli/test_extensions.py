"""A pool and a protocol of a user's own, in a few lines each, through the command line."""

import os

import pandas as pd
import pytest

POOL = """
from shiftbench.pool import Downsampling

class EverySecond(Downsampling):
    max_first = True

    def forward(self, x):
        return x[:, :, ::2, ::2]

    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__()
"""
PROTOCOL = """
from dataclasses import dataclass
import torch
from shiftbench.shift import Plan, ShiftProtocol

@dataclass(frozen=True)
class Diagonal(ShiftProtocol):
    steps: int = 3

    def plan(self, n_images, image_size):
        shifts = torch.arange(self.steps + 1)[:, None].expand(-1, 2)
        sampled = torch.ones(self.steps + 1, dtype=torch.bool)
        return Plan(shifts, sampled, torch.arange(-1, self.steps), exhaustive=True)

    def views(self, split, index, shifts):
        images = split.pixels(index)
        pairs = zip(images, shifts.tolist(), strict=True)
        return torch.stack([image.roll(tuple(map(int, move)), (1, 2)) for image, move in pairs])
"""


@pytest.fixture
def mine(tmp_path, shiftbench_command, tiny):
    """Run a command with options of a user's own, given as {group/name: yaml}."""

    def run(code, options, *overrides):
        (tmp_path / "mine.py").write_text(code)
        for name, text in options.items():
            file = tmp_path / "my_configs" / f"{name}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return shiftbench_command(
            "--config-dir", "my_configs", *tiny, *overrides, cwd=tmp_path,
            env={"PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))},
        )  # fmt: skip

    return run


def measured(folder):
    [metrics] = folder.glob("outputs/runs/*/metrics.csv")
    return pd.read_csv(metrics)


DIAGONAL = {
    "shift/diagonal": "# @package shift.diagonal\n# Mine\n_target_: mine.Diagonal\nsteps: 2\n"
}
SECOND = {"pool/second": "# Mine\n_target_: mine.EverySecond\n_partial_: true\n"}


@pytest.mark.slow
def test_a_pool_of_a_few_lines(mine, tmp_path):
    done = mine(POOL, SECOND, "pool=second")
    assert done.returncode == 0, done.stderr
    assert set(measured(tmp_path)["pool"]) == {"second"}


@pytest.mark.slow
def test_a_protocol_of_a_few_lines_shows_what_it_says(mine, tmp_path):
    done = mine(PROTOCOL, DIAGONAL, "shift=[circular,translate,diagonal]", "shift.diagonal.steps=1",
                "model.width=4", "pool=global", "head=gap", "padding=circular")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = measured(tmp_path).set_index(["protocol", "metric"])["value"]
    # The network is exactly invariant: had a view not been a roll, an answer would have changed.
    assert rows["diagonal", "consistency"] == 1
    [shifts] = tmp_path.glob("outputs/runs/*/shifts.csv")
    shown = pd.read_csv(shifts).query("protocol == 'diagonal'")
    assert list(zip(shown["dy"], shown["dx"], strict=True)) == [(0, 0), (1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "options", "override", "sentence"),
    [
        (POOL.replace("max_first", "max_fist"), SECOND, "pool=second",
         "mine.EverySecond has an attribute 'max_fist', which is none of Downsampling "
         "(did you mean 'max_first'?)"),
        (PROTOCOL.replace("def views", "def view"), DIAGONAL, "shift=[circular,translate,diagonal]",
         "mine.Diagonal has an attribute 'view', which is none of ShiftProtocol "
         "(did you mean 'views'?)"),
        (PROTOCOL.replace("(ShiftProtocol)", ""), DIAGONAL, "shift=[circular,translate,diagonal]",
         "shift.diagonal names Diagonal, which is no protocol; derive it from "
         "shiftbench.shift.ShiftProtocol"),
    ],
    ids=["pool", "protocol", "not derived"],
)  # fmt: skip
def test_what_breaks_its_contract_is_refused_in_a_sentence(
    mine, tmp_path, code, options, override, sentence
):
    done = mine(code, options, override)
    assert done.returncode == 2
    [said] = [line for line in done.stderr.splitlines() if not line.startswith("loading")]
    assert said.startswith(f"shiftbench: {sentence}")
    assert not list(tmp_path.glob("outputs/runs/*/metrics.csv"))
