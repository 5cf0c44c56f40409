"""Peak memory of whole commands, as the system counts it.

    python benchmarks/memory.py                 # about ten minutes on two cores

The main job; 10,000 images × 1,024 shifts; ``data=folder`` with 60,000 images, the first time
(decoding) and from its cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SMALL = ("train=none", "model.width=4", "head=gap", "padding=circular", "measure.layers=false")


def main() -> None:
    """Print seconds and GiB of each command."""
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
    """Run a command and print what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "shiftbench", *arguments, "progress=false"] if "--cfg" not in
        arguments else [sys.executable, "-m", "shiftbench", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
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


if __name__ == "__main__":
    main()
