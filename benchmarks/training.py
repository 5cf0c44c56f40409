"""Training: this package's loop against a plain PyTorch loop, as published repositories write it.

    python benchmarks/training.py                     # all networks, about five minutes
    python benchmarks/training.py resnet20 --repeats 9
    python benchmarks/training.py resnet18 resnet20 vgg64 --device cuda --steps 40

A loop of the package is called by its precision; ``bf16-plain`` is without CUDA graphs
(``train.capture=false``), ``bf16-compiled`` with ``train.compile=true``. The plain loop: a
DataLoader over a TensorDataset, NCHW, fp32, torch's own circular convolutions, ``.item()`` and
``.tolist()`` at every step; on CUDA with torch's defaults, by which convolutions round to TF32
(``plain-fp32``: without). Same network, weights, batch size and optimizer; images are CIFAR-sized
noise with random labels. The loops take turns in one process; rates are medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from plain import as_published
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from shiftbench import pool
from shiftbench.augment.shift import ShiftAugment
from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.allocator import keep_freed_memory
from shiftbench.runtime.devices import use_deterministic_kernels, use_precision
from shiftbench.settings.schema import Train
from shiftbench.training.trainer import Trainer

SHAPE = (3, 32, 32)
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
NETWORKS = {
    "resnet18": (ResNet, {"depth": 18}, 256),
    "resnet20": (ResNet, {}, 256),
    "vgg16": (VGG, {"width": 16}, 256),
    "vgg64": (VGG, {"width": 64}, 128),
}
ON_CPU = "plain,fp32,bf16"
ON_GPU = "plain-fp32,plain,fp32,tf32,bf16-plain,bf16,bf16-compiled"
POOLS = {"max": pool.MaxPool2d, "blur": pool.BlurPool2d, "aps": pool.AdaptivePolyphase2d,
         "stride": pool.Stride2d, "avg": pool.AvgPool2d}  # fmt: skip


class Silent:
    """Watches a training and says nothing."""

    def step(self, images: int) -> None:
        """Ignore a step."""

    def look(self, epoch: int, loss: float, accuracy: float) -> None:
        """Ignore a look."""

    def epoch(self, row: object) -> None:
        """Ignore an epoch."""


def main() -> None:
    """Print a table of images per second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["resnet20", "vgg16", "vgg64"])
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--pools", default="max")
    parser.add_argument("--padding", default="circular")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="training steps of each repeat")
    parser.add_argument("--loops")
    options = parser.parse_args()
    on_gpu = options.device.type == "cuda"
    options.loops = options.loops or (ON_GPU if on_gpu else ON_CPU)
    keep_freed_memory()  # as every run does; here the other side has it, too
    use_deterministic_kernels(True, options.device)
    what = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} threads"
    print(f"{what}, torch {torch.__version__}, images per second")
    for name in options.networks:
        loops = {
            f"{kind} {pool_name}": make_loop(kind, name, pool_name, options)
            for pool_name in options.pools.split(",")
            for kind in options.loops.split(",")
        }
        report(name, loops, options)


def make_loop(
    kind: str, name: str, pool_name: str, options: argparse.Namespace
) -> Callable[[], float]:
    """Return a function that trains for some steps and returns images per second."""
    build, settings, batch_size = NETWORKS[name]
    torch.manual_seed(0)
    model = build(
        num_classes=10, in_chans=3, image_size=SHAPE[1:], pool=POOLS[pool_name],
        head=GlobalAverageHead, padding=options.padding, **settings,
    )  # fmt: skip
    if options.device.type == "cuda":
        batch_size = 256
    count = batch_size * options.steps
    images = torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,))
    if kind.startswith("plain"):
        loop = plain_loop(model, images, labels, batch_size, options.device)
        return rate_of(loop, count, "fp32" if kind == "plain-fp32" else "tf32", options.device)
    precision, _, form = kind.partition("-")
    loop = our_loop(model, images, labels, batch_size, precision, form, options.device)
    return rate_of(loop, count, precision, options.device)


def rate_of(
    loop: Callable[[], None], count: int, precision: str, device: torch.device
) -> Callable[[], float]:
    """Return a function that runs a loop in a precision and returns images per second."""

    def rate() -> float:
        if device.type == "cuda":
            use_precision(precision)
            torch.cuda.synchronize()
        started = time.perf_counter()
        loop()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return count / (time.perf_counter() - started)

    return rate


def our_loop(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
    precision: str,
    form: str,
    device: torch.device,
) -> Callable[[], None]:
    """Return one epoch of the package's own trainer; ``form`` is compiled, plain or nothing."""
    split = TensorSplit(images, labels)
    data = Dataset("noise", tuple("0123456789"), SHAPE, MEAN, STD, split, split, split)
    model = model.to(device, memory_format=torch.channels_last)
    network = PixelModel(model, MEAN, STD, device, precision)
    capture = "false" if form == "plain" else "auto"
    settings = Train(epochs=1, batch_size=batch_size, lr=0.01, capture=capture)
    path = Path(tempfile.gettempdir()) / "never-written.pt"
    trainer = Trainer(
        network, data.to(device), ShiftAugment(), settings, 0, path, "benchmark", Silent()
    )
    compiled = form == "compiled"
    trained = network.around(torch.compile(model, dynamic=False)) if compiled else network
    return lambda: trainer.one_epoch(1, trained)


def plain_loop(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
    device: torch.device,
) -> Callable[[], None]:
    """Return one epoch of a loop in plain PyTorch."""
    model = as_published(model).to(device)
    scale = torch.tensor(STD)[:, None, None]
    pixels = (images.float() / 255 - torch.tensor(MEAN)[:, None, None]) / scale
    loader = DataLoader(TensorDataset(pixels, labels), batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def loop() -> None:
        model.train()
        losses, answers = [], []
        for x, y in loader:
            shift = torch.randint(0, 32, (2,)).tolist()
            x, y = x.to(device), y.to(device)
            logits = model(torch.roll(x, shift, (2, 3)))
            loss = F.cross_entropy(logits, y, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            answers += logits.argmax(1).tolist()

    return loop


def report(name: str, loops: dict[str, Callable[[], float]], options: argparse.Namespace) -> None:
    """Let the loops take turns and print their rates and their ratios to the first one."""
    rates: dict[str, list[float]] = {label: [] for label in loops}
    for loop in loops.values():
        loop()  # first calls build oneDNN's kernels, capture and compile
    for _ in range(options.repeats):
        for label, loop in loops.items():
            rates[label].append(loop())
    first = next(iter(rates.values()))
    for label, values in rates.items():
        ratios = [value / base for value, base in zip(values, first, strict=True)]
        print(
            f"{name:9} {label:17} {statistics.median(values):7.0f}  "
            f"×{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
