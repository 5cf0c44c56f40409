"""What pools contribute to a training: the state of each step, random numbers, losses."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toy_training import SETTINGS, Silent, dataset, trainer

from shiftbench.augment.none import NoAugment
from shiftbench.pool import Downsampling, MaxPool2d
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.distributed.team import Team
from shiftbench.training.pool_steps import PoolSteps, pools_with_loss, with_pool_losses
from shiftbench.training.step import EpochDraws, Step

CPU = torch.device("cpu")


class Dimmed(Downsampling):
    """A 2×2 average, dimmed at random, whose loss is weight decay that grows in training."""

    has_parameters = True

    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.register_buffer("grown", torch.zeros(()), persistent=False)
        self.seen = []

    def start_step(self, start):
        self.grown.fill_(start.progress)
        self.noise = start.per_image(1, 1, 1)
        self.seen.append(start.progress)

    def added_loss(self, task_loss):
        return self.grown * (self.scale.square().sum() - 0.5 * task_loss)

    def forward(self, x):
        pooled = F.avg_pool2d(x, 2) * self.scale
        return pooled * (0.5 + self.noise) if self.training else pooled


def network(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), Dimmed(4), nn.BatchNorm2d(4), nn.ReLU(), Dimmed(4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    return PixelModel(model, (0.4,) * 3, (0.2,) * 3, CPU)


def test_progress_is_the_share_of_steps_and_eval_takes_none(tmp_path):
    net = network()
    trainer(tmp_path / "c.pt", SETTINGS, net).run()
    steps = SETTINGS.epochs * (len(dataset().train) // SETTINGS.batch_size)
    expected = [step / steps for step in range(steps)]
    assert net.model[1].seen == pytest.approx(expected)


def test_a_stopped_training_draws_what_an_uninterrupted_one_does(tmp_path):
    class Stop(Silent):
        def epoch(self, row):
            if row.epoch == 2:
                raise KeyboardInterrupt

    whole, parts = network(), network()
    trainer(tmp_path / "whole.pt", SETTINGS, whole).run()
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "parts.pt", SETTINGS, parts, watcher=Stop()).run()
    trainer(tmp_path / "parts.pt", SETTINGS, parts := network(5)).run()
    states = whole.model.state_dict().values(), parts.model.state_dict().values()
    assert all(map(torch.equal, *states))
    torch.manual_seed(99)  # the global stream has no effect
    trainer(tmp_path / "again.pt", SETTINGS, again := network()).run()
    assert all(map(torch.equal, states[0], again.model.state_dict().values()))


def team(rank, size):
    made = Team()
    made.rank, made.size = rank, size
    return made


@pytest.mark.parametrize("size", [1, 2, 3])
def test_processes_draw_what_one_does(size):
    alone = network().model
    steps = PoolSteps(alone, CPU, 7, 6, Team())
    steps.start_epoch(2)
    steps.start_step(0.5)
    for rank in range(size):
        part = network().model
        own = PoolSteps(part, CPU, 7, 6, team(rank, size))
        own.start_epoch(2)
        own.start_step(0.5)
        for at in (1, 4):
            assert torch.equal(part[at].noise, alone[at].noise[rank::size])
    assert not torch.equal(alone[1].noise, alone[4].noise)


def test_the_mean_of_the_pools_losses_is_added():
    model = network().model
    with torch.no_grad():
        model[1].scale.fill_(2)
        model[4].scale.fill_(3)
    for at in (1, 4):
        model[at].grown.fill_(0.5)
    task = torch.tensor(6.0, requires_grad=True)
    loss = with_pool_losses(task, pools_with_loss(model))
    assert float(loss.detach()) == 6 + 0.5 * ((16 - 3) + (36 - 3)) / 2
    loss.backward()
    assert float(task.grad) == 0.75


def test_without_such_pools_the_loss_is_the_cross_entropy():
    task = torch.tensor(2.0)
    model = nn.Sequential(MaxPool2d(1))
    assert pools_with_loss(model) == ()
    assert with_pool_losses(task, ()) is task


def test_a_step_minimises_cross_entropy_and_pools_losses_together():
    ours, theirs = network(), network()
    images, labels = dataset().train.images[:20], dataset().train.labels[:20]
    for net in (ours, theirs):
        net.model.train()
        steps = PoolSteps(net.model, CPU, 0, 20, Team())
        steps.start_epoch(1)
        steps.start_step(0.25)
    made = torch.optim.SGD(ours.model.parameters(), 0.1)
    pools = pools_with_loss(ours.model)
    draws = EpochDraws(NoAugment(), 20, Team())
    loss, _ = Step(ours, draws, made, 0.1, pools=pools)(images, labels, ())
    cross = F.cross_entropy(theirs(images), labels, label_smoothing=0.1)
    decay = sum(theirs.model[at].scale.square().sum() for at in (1, 4)) / 2
    expected = 0.875 * cross + 0.25 * decay
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    with torch.no_grad():
        for own, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            torch.testing.assert_close(own, other - 0.1 * other.grad)
