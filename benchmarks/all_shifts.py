"""All 1,024 circular shifts of 32×32 images: the dense engine against the direct one.

    python benchmarks/all_shifts.py            # about three minutes on two cores
    python benchmarks/all_shifts.py --device cuda

Both engines get the same weights (random, BatchNorm folded) and the same images, on every core of
the machine. Times are medians of alternating repeats, per image; the answers to every shift of the
first images are compared one by one. A pass is one direct forward pass over one image.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from shiftbench import pool
from shiftbench.data.images import TensorSplit
from shiftbench.data.shown import ShownSplit
from shiftbench.head.flatten import FlattenHead
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.predict.batch_size import views_at_once
from shiftbench.predict.dense import DenseEngine
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.allocator import keep_freed_memory
from shiftbench.runtime.devices import use_precision
from shiftbench.shift.circular import Circular

SHAPE = (3, 32, 32)
VGG32 = {"downsamplings": 5}
CASES = [
    ("vgg, total stride 32", VGG, "MaxPool2d", GlobalAverageHead, VGG32),
    ("vgg, total stride 32", VGG, "BlurPool2d", GlobalAverageHead, VGG32),
    ("vgg, total stride 8", VGG, "MaxPool2d", FlattenHead, {}),
    ("resnet-20, total stride 4", ResNet, "Stride2d", GlobalAverageHead, {}),
    ("resnet-20, total stride 4", ResNet, "MaxPool2d", GlobalAverageHead, {}),
    ("resnet-20, total stride 4", ResNet, "BlurPool2d", GlobalAverageHead, {}),
    ("resnet-20, total stride 4", ResNet, "AdaptivePolyphase2d", GlobalAverageHead, {}),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--memory-gb", type=float, default=1.0, help="limit of the dense engine")
    parser.add_argument("--compared", type=int, default=16, help="images compared shift by shift")
    arguments = parser.parse_args()
    keep_freed_memory()  # as every run does; here the other side has it, too
    use_precision("fp32")
    what = f"{torch.get_num_threads()} threads"
    if arguments.device.type == "cuda":
        what = torch.cuda.get_device_name(arguments.device)
    table = Table(title=f"all 1,024 shifts, {what}, fp32")
    for column in ("network", "pool", "direct ms", "dense ms", "ratio", "(range)", "passes",
                   "answers that differ"):  # fmt: skip
        table.add_column(column, justify="left" if column in ("network", "pool") else "right")
    for name, model, pool_name, head, settings in CASES:
        table.add_row(name, pool_name, *measure(model, pool_name, head, settings, arguments))
    Console(width=110).print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of this process: {peak:.2f} GiB")


def measure(model, pool_name, head, settings, arguments) -> list[str]:
    """Return the cells of one row."""
    torch.manual_seed(0)
    device = arguments.device
    # At once as measure.batch_size=auto chooses them.
    count = views_at_once("auto", device, SHAPE[1:])
    images = torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8).to(device)
    split = TensorSplit(images, torch.zeros(count, dtype=torch.long, device=device))
    net = model(10, 3, SHAPE[1:], getattr(pool, pool_name), head, "circular", **settings)
    net = net.eval().to(device, memory_format=torch.channels_last)
    network = PixelModel(net, [0.5] * 3, [0.25] * 3, device).folded(images[:4])
    engine = DenseEngine.of(network, split, SHAPE, Circular(), arguments.memory_gb)
    batch, labels = images[: engine.images_at_once], split.labels[: engine.images_at_once]

    def direct() -> None:
        with torch.inference_mode():
            network(images)

    def dense() -> None:
        engine.answer(ShownSplit.of(batch), labels, engine.plan.shifts)

    pairs = [
        (clock(direct) / count, clock(dense) / len(batch)) for _ in range(1 + arguments.repeats)
    ]
    pairs = pairs[1:]  # the first warms up
    ratios = [1024 * one / other for one, other in pairs]
    one = statistics.median(a for a, _ in pairs)
    other = statistics.median(b for _, b in pairs)
    return [
        f"{1024e3 * one:.1f}", f"{1e3 * other:.2f}", f"{statistics.median(ratios):.0f}×",
        f"{min(ratios):.0f}-{max(ratios):.0f}", f"{other / one:.1f}",
        different_answers(network, split, arguments.compared),
    ]  # fmt: skip


def different_answers(network: PixelModel, split: TensorSplit, count: int) -> str:
    """Compare the two engines' answers for every shift of the first images."""
    few = TensorSplit(split.images[:count], split.labels[:count])
    tables = [
        predict(network, few, SHAPE, Circular(sampling="all"), Options(engine))
        for engine in ("dense", "direct")
    ]
    different = int((tables[0].top1 != tables[1].top1).sum())
    return f"{different} of {tables[0].top1.size:,}"


def clock(run: Callable[[], None]) -> float:
    """Return the seconds of one run."""
    wait = torch.cuda.synchronize if torch.cuda.is_initialized() else lambda: None
    wait()
    started = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
