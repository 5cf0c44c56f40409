"""Peak memory of whole commands, as the system counts it.

    python benchmarks/memory.py                 # about ten minutes on two cores

The main job; 10,000 images × 1,024 shifts; ``data=folder`` with 60,000 images, the first time
(decoding) and from its cache.

    python benchmarks/memory.py table           # about five minutes: 50,000 images × 961 shifts

A prediction table with made-up answers, in a process of its own: written by the engines' columns,
saved, loaded again, reduced to all result files. Other sizes: ``table IMAGES SHIFTS``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from shiftbench.prediction_table import PredictionTable

SMALL = ("train=none", "model.width=4", "head=gap", "padding=circular", "measure.layers=false")


def main() -> None:
    """Print seconds and GiB of each command."""
    if sys.argv[1:2] == ["simulated"]:
        simulate(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return
    if sys.argv[1:2] == ["table"]:
        images, shifts = [int(text) for text in sys.argv[2:4]] or (50_000, 961)
        # On the disk of the output folder: a folder of temporary files may be memory itself.
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            os.environ["SHIFTBENCH_CACHE"] = f"{name}/cache"
            command = [sys.executable, __file__, "simulated", name, str(images), str(shifts)]
            measured(f"made-up: {images:,} images × {shifts:,} shifts", command)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SHIFTBENCH_CACHE"] = str(folder / "cache")
        out = f"out={folder}/out"
        show("nothing: --cfg job", ["--cfg", "job"])
        show("the main job", ["model=vgg", "pool=blur", out])
        for images in (2_000, 10_000):
            show(
                f"{images:,} images × 1,024 shifts",
                [*SMALL, f"data.test_images={images}", "data.train_images=100", "shift=circular",
                 "shift.circular.sampling=all", out],
            )  # fmt: skip
        write_images(folder / "images", 60_000)
        command = ["data=folder", f"data.root={folder}/images", *SMALL, "shift=translate",
                   "data.limit_test=100", out]  # fmt: skip
        show("folder of 60,000, first time", command)
        show("folder of 60,000, from its cache", [*command, "seed=1"])


def show(label: str, arguments: list[str]) -> None:
    """Run a command of shiftbench and print what it took."""
    quiet = [] if "--cfg" in arguments else ["progress=false"]
    measured(label, [sys.executable, "-m", "shiftbench", *arguments, *quiet])


def measured(label: str, command: list[str]) -> None:
    """Run a command and print what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{label} failed: {said.splitlines()[-1]}")
    seconds = time.perf_counter() - started
    print(f"{label:36} {seconds:7.1f} s {used.ru_maxrss / 2**20:6.2f} GiB", flush=True)


def write_images(folder: Path, count: int) -> None:
    """Write JPEG files of 32 px, five sixths of them for training, ten classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    for number in range(count):
        split = "train" if number % 6 else "test"
        path = folder / split / f"class{number // 6 % 10}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number % 100]).save(path)


def simulate(folder: Path, images: int, shifts: int) -> None:
    """Write and reduce a table of made-up answers, as a run does after its forward passes."""
    from shiftbench.metric.influence import Influences
    from shiftbench.metric.result_rows import metric_rows, shift_rows, shifts_of
    from shiftbench.prediction_table import PredictionTable

    path = folder / "table.npz"
    made_up(images, shifts).save(path)
    tables = {"translate": PredictionTable.load(path)}
    shift_rows(shifts_of(tables), "made-up").to_csv(folder / "shifts.csv")
    Influences.from_tables(tables).save(folder / "images.npz")
    metric_rows(tables, {"run_id": "made-up"}, resamples=1000).to_csv(folder / "metrics.csv")


def made_up(images: int, shifts: int) -> PredictionTable:
    """Return a table whose answers are right nine times in ten, among ten classes."""
    import torch

    from shiftbench.predict.columns import Columns
    from shiftbench.prediction_table import PredictionTable

    rng = np.random.default_rng(0)
    columns = Columns(images)
    labels = rng.integers(0, 10, images).astype(np.int32)
    for start in range(0, images, 500):
        own = labels[start : start + 500, None]
        shape = len(own), shifts
        other = rng.integers(0, 10, shape, dtype=np.int32)
        top1 = np.where(rng.random(shape, dtype=np.float32) < 0.9, own, other)
        columns.put("top1", torch.from_numpy(top1), start)
        columns.put("rank_true", torch.from_numpy((top1 != own).astype(np.int32)), start)
        for name in ("p_top1", "p_base", "p_previous", "p_true", "logit_change"):
            columns.put(name, torch.from_numpy(rng.random(shape, dtype=np.float32)), start)
        columns.put("logit_scale", torch.ones(len(own)), start)
    side = round(shifts**0.5)
    grid = np.stack(np.divmod(np.arange(shifts), side), axis=1).astype(np.float32)
    previous = np.arange(shifts, dtype=np.int32) - side - 1
    previous[grid.min(axis=1) == 0] = -1
    return PredictionTable(
        **columns.arrays, labels=labels, shifts=grid, sampled=np.ones(shifts, bool),
        previous=previous, images=np.arange(images, dtype=np.uint64),
        meta={"num_classes": 10, "engine": "made-up"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
