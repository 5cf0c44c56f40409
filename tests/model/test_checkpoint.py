"""Checkpoints are read without unpickling and fit or say why not."""

import importlib
import importlib.util
import logging
import os
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from shiftbench.errors import ShiftbenchError
from shiftbench.model import checkpoint


class Bomb:
    """Code that a third-party checkpoint may contain."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("save", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_a_third_party_checkpoint_never_runs_code(tmp_path, monkeypatch, save):
    monkeypatch.chdir(tmp_path)
    save({"model": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ShiftbenchError, match="not a readable checkpoint of plain tensors"):
        checkpoint.load(tmp_path / "bomb.pt")
    assert not (tmp_path / "exploded").exists()


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(ShiftbenchError, match="no checkpoint at"):
        checkpoint.load(tmp_path / "none.pt")
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(ShiftbenchError, match=r"half\.pt is not a readable"):
        checkpoint.load(tmp_path / "half.pt")


def test_weights_are_loaded_from_a_checkpoint_and_from_a_bare_state_dict(tmp_path):
    source, ours, bare = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 3)
    checkpoint.save(tmp_path / "ours.pt", {"model": source.state_dict()})
    torch.save(source.state_dict(), tmp_path / "bare.pt")
    checkpoint.load_weights(ours, tmp_path / "ours.pt")
    checkpoint.load_weights(bare, tmp_path / "bare.pt")
    assert torch.equal(ours.weight, source.weight)
    assert torch.equal(bare.weight, source.weight)


def test_weights_that_do_not_fit_are_named(tmp_path):
    checkpoint.save(tmp_path / "c.pt", {"model": nn.Linear(2, 3).state_dict()})
    with pytest.raises(ShiftbenchError, match="weight"):
        checkpoint.load_weights(nn.Linear(3, 3), tmp_path / "c.pt")


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    checkpoint.save(tmp_path / "c.pt", {"epoch": 1})
    with pytest.raises(AttributeError):
        checkpoint.save(tmp_path / "c.pt", {"epoch": lambda: 2})
    assert checkpoint.load(tmp_path / "c.pt")["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def prefixed(state, prefix, **more):
    return {**{f"{prefix}{name}": value for name, value in state.items()}, **more}


def wrapped(state, how):
    """A state dict in the formats of other tools."""
    parallel = prefixed(state, "module.")
    return {
        "bare": state,
        "state_dict": {"epoch": 3, "arch": "linear", "state_dict": state},
        "model": {"model": state, "optimizer": {"lr": 0.1}},
        "data parallel": {"state_dict": parallel},
        "compiled": prefixed(parallel, "_orig_mod."),
        "lightning": {"state_dict": prefixed(state, "model.")},
        "lightning, self.net": {"state_dict": prefixed(state, "net.")},
        "lightning, compiled": {"state_dict": prefixed(state, "net._orig_mod.")},
        "deep": {"state_dict": prefixed(state, "system.backbone.")},
        "averaged": prefixed(state, "module.", n_averaged=torch.tensor(3)),
        "with a loss": prefixed(state, "net.", **{"criterion.weight": torch.ones(2)}),
        "twice the same": {**prefixed(state, "net."), **prefixed(state, "ema.")},
    }[how]


@pytest.mark.parametrize(
    "how",
    ["bare", "state_dict", "model", "data parallel", "compiled", "lightning", "lightning, self.net",
     "lightning, compiled", "deep", "averaged", "with a loss", "twice the same"],
)  # fmt: skip
def test_state_dicts_of_other_tools_are_found(tmp_path, how):
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    torch.save(wrapped(source.state_dict(), how), tmp_path / "theirs.pth")
    assert checkpoint.fits(target, tmp_path / "theirs.pth")
    checkpoint.load_weights(target, tmp_path / "theirs.pth")
    assert torch.equal(target.weight, source.weight)
    assert torch.equal(target.bias, source.bias)


def test_compiled_parts_are_found(tmp_path):
    make = lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))  # noqa: E731
    source, target = make(), make()
    state = {name.replace("1.", "1._orig_mod."): v for name, v in source.state_dict().items()}
    torch.save(state, tmp_path / "theirs.pth")
    checkpoint.load_weights(target, tmp_path / "theirs.pth")
    assert torch.equal(target[1].weight, source[1].weight)


def test_ignored_entries_are_reported(tmp_path, package_log):
    state = prefixed(nn.Linear(2, 3).state_dict(), "net.", n_averaged=torch.tensor(3))
    torch.save(state, tmp_path / "theirs.pth")
    with package_log.at_level(logging.INFO, logger="shiftbench"):
        checkpoint.load_weights(nn.Linear(2, 3), tmp_path / "theirs.pth")
    assert "those under 'net.'; left out: n_averaged" in package_log.text


def test_two_sets_of_weights_are_not_chosen_from(tmp_path):
    one, two = nn.Linear(2, 3).state_dict(), nn.Linear(2, 3).state_dict()
    torch.save({**prefixed(one, "net."), **prefixed(two, "net_ema.")}, tmp_path / "theirs.pth")
    target = nn.Linear(2, 3)
    before = target.weight.clone()
    with pytest.raises(ShiftbenchError, match=r"under 'net\.' and under 'net_ema\.'.*different"):
        checkpoint.load_weights(target, tmp_path / "theirs.pth")
    assert torch.equal(target.weight, before)


def test_what_does_not_fit_is_named_as_in_the_file(tmp_path):
    bigger = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    torch.save({"state_dict": prefixed(bigger.state_dict(), "net.")}, tmp_path / "bigger.pth")
    smaller = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
    with pytest.raises(ShiftbenchError, match=r"0 parameters missing.*2 unknown.*net\.2\.weight"):
        checkpoint.load_weights(smaller, tmp_path / "bigger.pth")
    other = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 5))
    with pytest.raises(ShiftbenchError, match=r"2 parameters missing.*2\.weight, 2\.bias"):
        checkpoint.load_weights(other, tmp_path / "bigger.pth")


def test_a_network_with_a_part_called_model_keeps_its_names(tmp_path):
    source = nn.ModuleDict({"model": nn.Linear(2, 3)})
    target = nn.ModuleDict({"model": nn.Linear(2, 3)})
    torch.save(source.state_dict(), tmp_path / "theirs.pth")
    checkpoint.load_weights(target, tmp_path / "theirs.pth")
    assert torch.equal(target["model"].weight, source["model"].weight)


def test_files_from_before_batchnorm_counted_its_batches_fit(tmp_path):
    source, target = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    source.running_mean.fill_(0.5)
    state = source.state_dict()
    del state["num_batches_tracked"]
    torch.save(dict(state), tmp_path / "old.pth")
    checkpoint.load_weights(target, tmp_path / "old.pth")
    assert torch.equal(target.running_mean, source.running_mean)


def test_other_weights_do_not_fit(tmp_path):
    torch.save(nn.Linear(2, 4).state_dict(), tmp_path / "theirs.pth")
    assert not checkpoint.fits(nn.Linear(2, 3), tmp_path / "theirs.pth")


@pytest.mark.slow
@pytest.mark.parametrize("thing", ["network", "dict with a network's state"])
def test_the_way_to_convert_a_pickled_network_works(tmp_path, monkeypatch, thing):
    monkeypatch.chdir(tmp_path)
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    content = {"state_dict": source.state_dict(), "loss": nn.MSELoss()}
    torch.save(source if thing == "network" else content, "theirs.pth")
    with pytest.raises(ShiftbenchError, match="python -c") as caught:
        checkpoint.load(tmp_path / "theirs.pth")
    code = str(caught.value).partition("python -c '")[2].partition("'")[0]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    checkpoint.load_weights(target, tmp_path / "plain.pt")
    assert torch.equal(target.weight, source.weight)


def test_safetensors_are_read_or_the_missing_package_is_named(tmp_path):
    path, target = tmp_path / "theirs.safetensors", nn.Linear(2, 3)
    if importlib.util.find_spec("safetensors") is None:
        path.touch()
        with pytest.raises(ShiftbenchError, match="pip install safetensors"):
            checkpoint.load(path)
        return
    source = nn.Linear(2, 3)
    importlib.import_module("safetensors.torch").save_file(source.state_dict(), path)
    checkpoint.load_weights(target, path)
    assert torch.equal(target.weight, source.weight)
