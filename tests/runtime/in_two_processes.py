"""What two processes compute together equals what one computes; started by torchrun.

``python -m torch.distributed.run --nproc-per-node 2 in_two_processes.py FOLDER cpu|cuda``
"""

import sys
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from shiftbench.augment.crop import CropAugment
from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.model import checkpoint
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.distributed import SharedJobs, world
from shiftbench.runtime.distributed.sync_batch_norm import whole_batches
from shiftbench.runtime.distributed.team import Team
from shiftbench.settings.schema import Train
from shiftbench.training.trainer import Trainer

# Not an index of sys.argv: pytest imports this file when it looks for doctests.
IS_CUDA = sys.argv[2:3] == ["cuda"]
DEVICE = torch.device("cuda", world().local_rank) if IS_CUDA else torch.device("cpu")
SHARES = (slice(0, 5), slice(5, 7))  # unequal
EXACT = 1e-10  # float64: the same numbers added in another order
NORMS = {
    "usual": lambda: nn.BatchNorm2d(3),
    "plain average": lambda: nn.BatchNorm2d(3, momentum=None),
    "without weights": lambda: nn.BatchNorm2d(3, affine=False),
    "without statistics": lambda: nn.BatchNorm2d(3, track_running_stats=False),
}


def close(first, second, what):
    first, second = first.cpu(), second.cpu()
    assert torch.allclose(first, second, rtol=0, atol=EXACT), (what, (first - second).abs().max())


def batch_norm_sees_the_whole_batch(team):
    for name, make in NORMS.items():
        torch.manual_seed(0)
        whole, shared = (nn.Sequential(make()).double().to(DEVICE) for _ in range(2))
        for model in (whole, shared):
            for parameter in model.parameters():
                nn.init.constant_(parameter, 1.5)
        keys = list(shared.state_dict())
        share = SHARES[team.rank]
        with whole_batches(shared, DEVICE):
            assert list(shared.state_dict()) == keys
            for _ in range(3):
                x = (torch.randn(7, 3, 4, 5, dtype=torch.float64) * 3 + 2).to(DEVICE)
                slopes = torch.randn(7, 3, 4, 5, dtype=torch.float64).to(DEVICE)
                expected, own = x.clone().requires_grad_(), x[share].clone().requires_grad_()
                all_y, y = whole(expected), shared(own)
                (all_y * slopes).sum().backward()
                (y * slopes[share]).sum().backward()
                close(y, all_y[share], name)
                close(own.grad, expected.grad[share], name)
        assert type(shared[0]) is nn.BatchNorm2d
        for key, value in whole.state_dict().items():
            if value.dtype == torch.float64:
                close(shared.state_dict()[key], value, (name, key))
            else:
                assert torch.equal(shared.state_dict()[key], value)
        for one, two in zip(whole.parameters(), shared.parameters(), strict=True):
            close(team.sum(two.grad), one.grad, name)
        if name != "without statistics":  # which would use those of the batch
            close(shared.eval()(x[share]), whole.eval()(x)[share], name)


class Small(nn.Module):
    """Two convolutions with BatchNorm, and a layer that is not used."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 1, bias=False),
            nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        )  # fmt: skip
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.layers(x)


class Exact(PixelModel):
    """Logits in float64."""

    def __call__(self, images):
        return self.model(self.normalise(images))


class Watcher:
    """Stops a training after an epoch."""

    def __init__(self, last):
        self.last = last

    def epoch(self, row):
        if row.epoch == self.last:
            raise StopIteration

    step = look = lambda self, *_: None


def train(team, path, stop_after=None):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (101, 3, 12, 12), generator=generator, dtype=torch.uint8)
    split = TensorSplit(images, torch.arange(101) % 4)
    data = Dataset("toy", tuple("abcd"), (3, 12, 12), (0.5,) * 3, (0.3,) * 3, split, split, split)
    torch.manual_seed(1)
    model = Small().double().to(DEVICE, memory_format=torch.channels_last)
    network = Exact(model, data.mean, data.std, DEVICE, dtype=torch.float64)
    settings = Train(epochs=3, batch_size=33, lr=0.1)  # 17 and 16 images
    trainer = Trainer(
        network, data.to(DEVICE), CropAugment(2), settings,
        seed=0, path=path, train_id="toy", watcher=Watcher(stop_after), team=team,
    )  # fmt: skip
    with suppress(StopIteration):
        trainer.run()
    return trainer.history, model.state_dict()


def training_is_the_same(team, folder):
    rows, weights = train(team, folder / "two.pt")
    if team.is_first:
        expected, alone = train(Team(), folder / "one.pt")
        for one, two in zip(expected, rows, strict=True):
            assert abs(one.train_loss - two.train_loss) < EXACT
            assert one.train_accuracy == two.train_accuracy
            assert one.val_accuracy == two.val_accuracy
        for key, value in alone.items():
            close(weights[key].double(), value.double(), key)
        contents = [checkpoint.load(folder / f"{name}.pt") for name in ("one", "two")]
        assert list(contents[0]["model"]) == list(contents[1]["model"])


def two_processes_go_on_where_one_stopped_and_back(team, folder):
    path = folder / "resumed.pt"
    if team.is_first:
        train(Team(), path, stop_after=1)
    rows, _ = train(team, path, stop_after=2)
    assert [row.epoch for row in rows] == [1, 2]
    assert rows[0] == team.broadcast(rows[0])  # read by the first process, for all
    if team.is_first:
        _, weights = train(Team(), path)
        whole = checkpoint.load(folder / "one.pt")["model"]
        for key, value in weights.items():
            close(value.double(), whole[key].double(), key)


def everything(team):
    team.connect(DEVICE)
    folder = Path(sys.argv[1])
    batch_norm_sees_the_whole_batch(team)
    training_is_the_same(team, folder)
    two_processes_go_on_where_one_stopped_and_back(team, folder)
    assert team.gather(team.rank) == ([0, 1] if team.is_first else [])


if __name__ == "__main__":
    torch.set_num_threads(1)
    jobs = SharedJobs()
    if world().is_first:
        with jobs.leading(), jobs.team("run") as first:
            everything(first)
        print("all the same")
    else:
        with jobs.team(jobs.decision()) as other:
            everything(other)
