"""Common parts of the networks."""

import torch

from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.blocks import subsample_together
from shiftbench.model.resnet import BasicBlock
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, Downsampling, MaxPool2d


def test_building_leaves_the_running_statistics_untouched():
    net = VGG(3, 3, (16, 16), MaxPool2d, GlobalAverageHead, width=4)
    assert net.training
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(float(m.running_mean.abs().max()) == 0 for m in norms)
    assert all(int(m.num_batches_tracked) == 0 for m in norms)


def test_both_branches_are_subsampled_on_the_grid_of_the_first():
    y, x = torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4)
    y[0, 0, 1, 1] = 5  # grid 3 of the first branch
    x[0, 0, 0, 0] = 9  # would be grid 0 of the second
    x[0, 1, 1, 1] = 7
    pool = AdaptivePolyphase2d(1)
    first, second = subsample_together(pool, y, AdaptivePolyphase2d(2), x)
    assert first.max() == 5
    assert second.flatten().tolist() == [0, 0, 0, 0, 7, 0, 0, 0]


class Weighing(Downsampling):
    """Mixes the four grids with weights in proportion to their means."""

    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(channels))

    def phase(self, x):
        means = torch.stack([x[:, :, i::2, j::2].mean((1, 2, 3)) for i in (0, 1) for j in (0, 1)])
        return (means / means.sum(0)).T

    def forward(self, x, phase=None):
        weights = (self.phase(x) if phase is None else phase).view(-1, 4, 1, 1, 1)
        grids = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
        return (grids * weights).sum(1)

    def follow_main_branch(self):
        self.gain = None


def test_both_branches_are_mixed_with_the_weights_of_the_first():
    y, x = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    y[0, 0, 0, 1], y[0, 0, 1, 1] = 1, 3  # a quarter of grid 1, three quarters of grid 3
    first, second = subsample_together(Weighing(1), y, Weighing(1), x)
    assert float(first.detach()) == 0.25 * 1 + 0.75 * 3
    assert float(second.detach()) == 0.25 * 2 + 0.75 * 4


def test_the_shortcuts_pool_drops_what_the_main_branch_decides():
    block = BasicBlock(2, 4, "zeros", (Weighing(4), Weighing(2)))
    names = [name for name, _ in block.named_parameters() if "pool" in name]
    assert names == ["pool.gain"]
