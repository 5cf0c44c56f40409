"""Common parts of the networks."""

import torch

from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.blocks import subsample_together
from shiftbench.model.vgg import VGG
from shiftbench.pool import AdaptivePolyphase2d, MaxPool2d


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
