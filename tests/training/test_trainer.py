"""The training loop."""

import dataclasses
import math

import pytest
import torch
from toy_training import SETTINGS, Silent, dataset, network, trainer

from shiftbench.errors import ShiftbenchError
from shiftbench.model import checkpoint
from shiftbench.settings.schema import Train
from shiftbench.training.trainer import learning_rate, steps_per_epoch, top1_accuracy


def test_it_learns(tmp_path):
    watcher = Silent()
    net = network()
    rows = trainer(tmp_path / "c.pt", SETTINGS, net, watcher=watcher).run()
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert rows[-1].val_accuracy > 0.95
    assert rows[-1].train_loss < rows[0].train_loss
    assert top1_accuracy(net, dataset().test) == rows[-1].val_accuracy
    assert watcher.images == 3 * 80  # whole batches only


def test_the_same_seed_gives_the_same_weights(tmp_path):
    nets = [network(), network()]
    for index, net in enumerate(nets):
        trainer(tmp_path / f"{index}.pt", SETTINGS, net).run()
    for first, second in zip(*(net.model.state_dict().values() for net in nets), strict=True):
        assert torch.equal(first, second)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole, parts = network(), network()
    trainer(tmp_path / "whole.pt", SETTINGS, whole).run()

    class Stop(Silent):
        def epoch(self, row):
            if row.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "parts.pt", SETTINGS, parts, watcher=Stop()).run()
    rows = trainer(tmp_path / "parts.pt", SETTINGS, parts := network(5)).run()
    assert [row.epoch for row in rows] == [1, 2, 3]
    for first, second in zip(
        whole.model.state_dict().values(), parts.model.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second)


def test_a_checkpoint_of_another_training_is_put_aside(tmp_path, caplog):
    trainer(tmp_path / "c.pt", SETTINGS).run()
    theirs = (tmp_path / "c.pt").read_bytes()
    rows = trainer(tmp_path / "c.pt", SETTINGS, train_id="other").run()
    assert len(rows) == SETTINGS.epochs
    assert "belongs to r" in caplog.text
    assert (tmp_path / "c.pt.damaged").read_bytes() == theirs


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step(tmp_path):
    net = network()
    with torch.no_grad():
        net.model[0].weight.fill_(math.inf)
    with pytest.raises(ShiftbenchError, match=r"nan in epoch 1, step 1; lower train.lr"):
        trainer(tmp_path / "c.pt", SETTINGS, net).run()
    assert not (tmp_path / "c.pt").exists()


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_schedules_peak_at_lr_and_end_at_zero(schedule):
    settings = Train(lr=0.3, schedule=schedule, warmup=0.25)
    rates = [learning_rate(settings, step / 1000) for step in range(1001)]
    assert max(rates) == pytest.approx(0.3, rel=1e-3)
    assert rates[-1] == pytest.approx(0, abs=1e-6)
    assert rates.index(max(rates)) == (250 if schedule == "onecycle" else 0)


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_schedules_take_the_ends_of_warmup(warmup):
    settings = Train(lr=1, warmup=warmup)
    assert all(0 <= learning_rate(settings, step / 10) <= 1 for step in range(11))


def test_less_than_a_batch_is_a_batch():
    assert steps_per_epoch(10, 64) == 1
    assert steps_per_epoch(128, 64) == 2


def test_bf16_trains_to_finite_weights(tmp_path):
    net = network()
    net.autocast = True
    rows = trainer(tmp_path / "c.pt", SETTINGS, net).run()
    assert rows[-1].val_accuracy > 0.9


def test_the_checkpoint_holds_plain_values(tmp_path):
    rows = trainer(tmp_path / "c.pt", SETTINGS).run()
    content = checkpoint.load(tmp_path / "c.pt")
    assert content["history"] == [dataclasses.asdict(row) for row in rows]
    assert all(isinstance(value, torch.Tensor) for value in content["model"].values())
