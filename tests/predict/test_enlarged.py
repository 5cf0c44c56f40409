"""Windows of larger images: from the split where it has them, else from the image enlarged."""

from dataclasses import dataclass

import torch

from shiftbench.data.images import TensorSplit
from shiftbench.ops.geometry import resize
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.protocol import source
from shiftbench.predict.strips import strips
from shiftbench.shift.crop import Crop
from shiftbench.shift.translate import Translate

PROTOCOL = Crop(margin=4, sampling="path", steps=4)


@dataclass(frozen=True)
class Photos:
    """Eight-pixel images that are the centres of larger ones."""

    whole: torch.Tensor

    @property
    def shown(self):
        return TensorSplit(resize(self.whole, (16, 16)), torch.arange(len(self.whole)))

    @property
    def labels(self):
        return self.shown.labels

    def __len__(self):
        return len(self.whole)

    def batches(self, batch_size, order=None):
        return self.shown.batches(batch_size, order)

    def to(self, device):
        return self

    def enlarged(self, size):
        return TensorSplit(resize(self.whole, size), self.labels)


def photos():
    generator = torch.Generator().manual_seed(0)
    return Photos(torch.randint(0, 256, (3, 3, 20, 20), generator=generator, dtype=torch.uint8))


def test_windows_are_cut_out_of_the_larger_images():
    split = photos()
    shown, larger = source(PROTOCOL, split)
    plan = shown.plan(3, (16, 16))
    for images, _ in larger.batches(3):
        views = shown.views(images, torch.tensor([[0, 0], [2, 2], [-2, 1]]), None)
    assert torch.equal(views[0], split.whole[0, :, 2:18, 2:18])
    assert torch.equal(views[1], split.whole[1, :, 0:16, 0:16])
    assert torch.equal(views[2], split.whole[2, :, 4:20, 1:17])
    assert plan.meta["enlarged_from_files"] == [20, 20]
    assert torch.equal(plan.shifts, PROTOCOL.plan(3, (16, 16)).shifts)


def test_other_splits_and_protocols_are_shown_as_they_are():
    plain = photos().shown
    assert source(PROTOCOL, plain) == (PROTOCOL, plain)
    split, protocol = photos(), Translate(max_shift=1)
    shown, same = source(protocol, split)
    assert shown is protocol
    assert same is split


def test_an_engine_and_the_figures_see_the_same_windows():
    split = photos()
    shown, larger = source(PROTOCOL, split)
    plan = shown.plan(3, (16, 16))
    seen = []

    def remember(views):
        seen.append(views)
        return torch.zeros(len(views), 2)

    images, _ = next(larger.batches(3))
    DirectEngine(remember, shown, plan, 64, None).logits(images, plan.rows(0, 3))
    pictures = strips(split, PROTOCOL, [1], plan.shifts)
    of_second = torch.cat(seen)[len(plan) : 2 * len(plan)].permute(0, 2, 3, 1)
    assert torch.equal(torch.from_numpy(pictures[1]), of_second)
