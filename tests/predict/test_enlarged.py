"""Windows of larger images, which the split provides or which are enlarged from its images."""

from dataclasses import dataclass

import pytest
import torch

from shiftbench.data.images import Split, TensorSplit
from shiftbench.data.shown import ShownSplit
from shiftbench.ops.geometry import resize
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.protocol import plan_for
from shiftbench.predict.strips import strips
from shiftbench.shift.crop import Crop
from shiftbench.shift.translate import Translate

PROTOCOL = Crop(margin=4, sampling="path", steps=4)


@dataclass(frozen=True)
class Photos(Split):
    """Images of 16 px that are reduced from larger ones."""

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
    split = ShownSplit(photos(), (16, 16))
    plan = plan_for(PROTOCOL, split, 3)
    whole = split.split.whole
    views = PROTOCOL.views(split, torch.arange(3), torch.tensor([[0, 0], [2, 2], [-2, 1]]))
    assert torch.equal(views[0], whole[0, :, 2:18, 2:18])
    assert torch.equal(views[1], whole[1, :, 0:16, 0:16])
    assert torch.equal(views[2], whole[2, :, 4:20, 1:17])
    assert plan.meta["enlarged_from_files"] == [20, 20]
    assert torch.equal(plan.shifts, PROTOCOL.plan(3, (16, 16)).shifts)


def test_other_splits_are_enlarged_and_other_protocols_see_what_the_network_sees():
    plain = ShownSplit(photos().shown, (16, 16))
    assert plan_for(PROTOCOL, plain, 3).meta == {}
    enlarged = resize(photos().shown.images, (20, 20), "bicubic")
    still = PROTOCOL.views(plain, torch.arange(3), torch.zeros(3, 2))
    assert torch.equal(still, enlarged[:, :, 2:18, 2:18])
    split, protocol = ShownSplit(photos(), (16, 16)), Translate(max_shift=1)
    assert plan_for(protocol, split, 3).meta == {}
    assert torch.equal(
        protocol.views(split, torch.arange(3), torch.zeros(3, 2)), photos().shown.images
    )


@pytest.mark.parametrize("sizes", [[], [(20, 20)], [(9, 9), (10, 10)]])
def test_chunks_hold_the_pixels_of_their_positions_and_no_others_are_taken_for_them(sizes):
    whole = ShownSplit(photos(), (16, 16))
    for chunk, labels in whole.chunks(2, torch.tensor([0, 2]), sizes):
        assert labels.tolist() == chunk.positions.tolist() == [0, 2]
        assert set(chunk.fetched) == (set(sizes) or {None})
        for size in sizes or [None]:
            index = torch.tensor([2, 0, 2, 1])  # 1 is missing, so it is loaded
            for one, pixels in zip(index, chunk.pixels(index, size), strict=True):
                assert torch.equal(pixels, whole.pixels(one[None], size)[0])
    everything = whole.pixels(torch.arange(3))
    assert torch.equal(everything, photos().shown.images)


def test_an_engine_and_the_figures_see_the_same_windows():
    split = ShownSplit(photos(), (16, 16))
    plan = plan_for(PROTOCOL, split, 3)
    seen = []

    def remember(views):
        seen.append(views)
        return torch.zeros(len(views), 2)

    engine = DirectEngine(remember, PROTOCOL, plan, 64)
    engine.logits(split, torch.arange(3), plan.rows(0, 3))
    inputs = strips(split, PROTOCOL, [1], plan.shifts)
    of_second = torch.cat(seen)[len(plan) : 2 * len(plan)].permute(0, 2, 3, 1)
    assert torch.equal(torch.from_numpy(inputs[1]), of_second)
