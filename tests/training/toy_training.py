"""A training of two classes of 8×8 pixels that takes a moment."""

import torch
from torch import nn

from shiftbench.augment.crop import CropAugment
from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.settings.schema import Train
from shiftbench.training.trainer import Trainer


class Silent:
    """A watcher that only remembers."""

    def __init__(self):
        self.images, self.rows = 0, []

    def step(self, images):
        self.images += images

    def look(self, epoch, loss, accuracy):
        pass

    def epoch(self, row):
        self.rows.append(row)


def dataset(count=96):
    """Two classes that differ in brightness: learned in an epoch or two."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 3, 8, 8), generator=generator)
    images = (images + 100 * labels[:, None, None, None]).to(torch.uint8)
    split = TensorSplit(images, labels)
    return Dataset("toy", ("dark", "light"), (3, 8, 8), (0.4,) * 3, (0.2,) * 3, split, split, split)


def network(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 2),
    )  # fmt: skip
    return PixelModel(model, (0.4,) * 3, (0.2,) * 3, torch.device("cpu"))


def trainer(path, settings, net=None, train_id="r", watcher=None):
    return Trainer(
        net or network(), dataset(), CropAugment(1), settings,
        seed=0, path=path, train_id=train_id, watcher=watcher or Silent(),
    )  # fmt: skip


SETTINGS = Train(epochs=3, batch_size=20, lr=0.1)
