"""Checkpoints are read without unpickling and fit or say why not."""

import os
import pickle

import pytest
import torch
from torch import nn

from shiftbench import checkpoint
from shiftbench.errors import ShiftbenchError


class Bomb:
    """What a stranger's checkpoint may hold."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("save", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_a_strangers_checkpoint_never_runs_code(tmp_path, monkeypatch, save):
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


def test_weights_are_loaded_from_ours_and_from_a_bare_state_dict(tmp_path):
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
