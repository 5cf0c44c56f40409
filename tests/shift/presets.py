"""Shift protocols by the names of their yaml files, and a network that they are tested with."""

import torch
from omegaconf import OmegaConf
from torch import nn

from shiftbench.data.shown import ShownSplit
from shiftbench.experiment.build import instantiate
from shiftbench.settings.schema import CONFIG_DIR

FILES = sorted((CONFIG_DIR / "shift").glob("*.yaml"))


def preset(name, **changes):
    node = OmegaConf.load(CONFIG_DIR / "shift" / f"{name}.yaml")
    for key, value in changes.items():
        OmegaConf.update(node, key.replace("__", "."), value, force_add=False)
    return instantiate(node)


def moved(protocol, images, shifts, mean=None):
    """Return every image, shifted by its shift."""
    return protocol.views(ShownSplit.of(images, mean), torch.arange(len(images)), shifts)


class Tiny(nn.Module):
    """A strided convolution and a global maximum: any input size, not shift-invariant."""

    def __init__(self, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 6, 3, stride=2)
        self.fc = nn.Linear(6, 7)

    def forward(self, x):
        return self.fc(self.conv(x).relu().amax((2, 3)))
