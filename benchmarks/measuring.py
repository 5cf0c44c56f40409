"""Measuring: the direct engine against the network alone, and against loops as published.

    python benchmarks/measuring.py              # about four minutes on two cores

Three questions, each by alternating repeats in one process, medians of ratios:

- ``direct``: which part of the rate of a bare folded forward pass is left when the engine makes
  the views and reduces the answers (target 0.85).
- ``published``: the loop of Azulay & Weiss (2019) on a ResNet-50 at 224 px, one image at a time and
  16 forward passes for 9 positions, against the engine on the same 9 views (target 2.5; 16/9 = 1.8
  come from asking once for each position).
- ``all``: all 1,024 circular shifts of ResNet-20 by the dense engine, against a consistency loop as
  published: the plain image and two shifts of the whole batch, three forward passes (target 1).
  Each side is a process of its own, since ours keeps freed memory and published loops do not.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torchvision
from plain import as_published
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from shiftbench import pool
from shiftbench.data.images import TensorSplit
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.predict.dense import DenseEngine
from shiftbench.predict.direct import DirectEngine
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.allocator import keep_freed_memory
from shiftbench.shift.circular import Circular
from shiftbench.shift.embed import Embed
from shiftbench.shift.translate import Translate

MEAN, STD = [0.5] * 3, [0.25] * 3
IMAGES = 512  # of the question ``all``


def main() -> None:
    """Print a row for each question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", default=["direct", "published", "all"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.questions[0] == "side":
        one_side(*options.questions[1:])
        return
    keep_freed_memory()  # as every run does; here the other side has it, too
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for question in options.questions:
        {"direct": direct, "published": published, "all": all_shifts}[question](options.repeats)


def direct(repeats: int) -> None:
    """Time the engine against the network alone over the same number of images."""
    for name, model, pool_name in [("vgg", VGG, "max"), ("vgg", VGG, "blur"),
                                   ("resnet20", ResNet, "max")]:  # fmt: skip
        network = folded(small(model, pool_name, "zeros"), 32)
        images = pixels(32, 32)
        protocol = Translate()
        plan = protocol.plan(len(images), (32, 32))
        engine = DirectEngine(network, protocol, plan, 256, MEAN)
        views = images.repeat_interleave(len(plan), 0)
        labels, shifts = torch.zeros(len(images), dtype=torch.long), plan.rows(0, len(images))

        def bare(network: PixelModel = network, views: Tensor = views) -> None:
            with torch.inference_mode():
                for part in views.split(256):
                    network(part)

        compare(
            f"direct: {name} {pool_name}, {len(plan)} views", bare,
            lambda e=engine, x=images, y=labels, s=shifts: e.answer(x, y, s),
            len(views), repeats,
        )  # fmt: skip


def published(repeats: int, count: int = 4) -> None:
    """Time the published way of looking at nine positions against the engine."""
    torch.manual_seed(0)
    plain = torchvision.models.resnet50(weights=None).eval()
    images = pixels(count, 224)
    protocol = Embed(size=0.4464, sampling="path", steps=8)
    plan = protocol.plan(count, (224, 224))
    shifts = plan.rows(0, count)
    views = protocol.views(
        images.repeat_interleave(len(plan), 0), shifts.reshape(-1, shifts.shape[-1]), MEAN
    )
    ready = ((views.float() / 255 - 0.5) / 0.25).unflatten(0, (count, len(plan)))

    def loop() -> None:
        flips = change = 0.0
        with torch.no_grad():
            for image in ready:
                for step in range(len(plan) - 1):
                    before = plain(image[step : step + 1]).softmax(1)
                    after = plain(image[step + 1 : step + 2]).softmax(1)
                    flips += before.argmax().item() != after.argmax().item()
                    change += (before.max() - after.max()).abs().item()

    network = folded(plain, 224)
    engine = DirectEngine(network, protocol, plan, 9, MEAN)
    labels = torch.zeros(count, dtype=torch.long)
    compare(f"published: resnet50 at 224 px, {len(plan)} positions", loop,
            lambda: engine.answer(images, labels, shifts), count, repeats)  # fmt: skip


def all_shifts(repeats: int) -> None:
    """Time the exact result for all shifts against three forward passes of a published loop."""
    for pool_name in ("stride", "max", "blur"):
        turns = [
            [answer_in_a_process(side, pool_name) for side in ("loop", "dense")]
            for _ in range(repeats)
        ]
        tell(f"all shifts: resnet20 {pool_name}", turns, IMAGES)


def answer_in_a_process(side: str, pool_name: str) -> float:
    """Return the seconds that one side takes for ``IMAGES`` images, its start left out."""
    command = [sys.executable, __file__, "side", side, pool_name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def one_side(side: str, pool_name: str) -> None:
    """Print the seconds that one side takes the second time."""
    net = small(ResNet, pool_name, "circular")
    run = published_consistency(net) if side == "loop" else dense(net)
    run()
    print(clock(run))


def published_consistency(net: nn.Module) -> Callable[[], None]:
    """Return a loop in plain PyTorch, with what Chaman & Dokmanic's CIFAR code does for a batch."""
    plain = as_published(net)
    ready = (pixels(IMAGES, 32).float() / 255 - 0.5) / 0.25
    loader = DataLoader(TensorDataset(ready, torch.zeros(IMAGES, dtype=torch.long)), batch_size=256)

    def loop() -> None:
        right, agree = [], []
        with torch.no_grad():
            for x, y in loader:
                right += (plain(x).argmax(1) == y).tolist()
                shifts = torch.randint(-3, 3, (2, 2)).tolist()
                one, other = (plain(torch.roll(x, shift, (2, 3))).argmax(1) for shift in shifts)
                agree += (one == other).tolist()

    return loop


def dense(net: nn.Module) -> Callable[[], None]:
    """Return the package's answers to all shifts of the same number of images."""
    keep_freed_memory()  # as every run does
    images = pixels(IMAGES, 32)
    labels = torch.zeros(IMAGES, dtype=torch.long)
    engine = DenseEngine.of(
        folded(net, 32), TensorSplit(images, labels), (3, 32, 32), Circular(), memory_gb=1.0
    )

    def loop() -> None:
        for x, y in zip(*(t.split(engine.images_at_once) for t in (images, labels)), strict=True):
            engine.answer(x, y, engine.plan.shifts)

    return loop


def small(model: type[nn.Module], pool_name: str, mode: str) -> nn.Module:
    """Return a network for 32 px with random weights."""
    torch.manual_seed(0)
    pools = {"max": pool.MaxPool2d, "blur": pool.BlurPool2d, "stride": pool.Stride2d}
    return model(10, 3, (32, 32), pools[pool_name], GlobalAverageHead, mode).eval()


def folded(model: nn.Module, size: int) -> PixelModel:
    """Return the network as the package measures it: channels-last, BatchNorm folded."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    network = PixelModel(model, MEAN, STD, torch.device("cpu"))
    return network.folded(pixels(4, size))


def pixels(count: int, size: int) -> Tensor:
    """Return random images."""
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def compare(
    name: str, base: Callable[[], object], ours: Callable[[], object], images: int, repeats: int
) -> None:
    """Print both times per image and how many times ``base``'s rate ``ours`` has."""
    tell(name, [[clock(base), clock(ours)] for _ in range(1 + repeats)][1:], images)


def tell(name: str, pairs: list[list[float]], images: int) -> None:
    """Print a row of pairs of seconds for so many images."""
    ratios = [one / other for one, other in pairs]
    one, other = (1e3 * statistics.median(times) / images for times in zip(*pairs, strict=True))
    print(
        f"{name:44} {one:9.3f} ms {other:9.3f} ms  "
        f"×{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        flush=True,
    )


def clock(run: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
