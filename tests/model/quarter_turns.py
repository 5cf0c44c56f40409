"""Images, a short training, and what quarter turns change in the logits of a network."""

import torch
import torch.nn.functional as F

TURNS = (1, 2, 3)


def images(size=28, count=4):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def trained(net, x):
    """The network after three steps, in eval mode: other weights and running statistics."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(x), torch.arange(len(x)) % 5).backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def turned_error(net, x):
    """Largest change of a logit under quarter turns, relative to the largest logit."""
    logits = net(x)
    change = max(float((net(x.rot90(turn, (2, 3))) - logits).abs().max()) for turn in TURNS)
    return change / float(logits.abs().max())
