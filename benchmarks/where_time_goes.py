"""Where the time of one run goes: its phases, the longest operations, and how near the ceiling.

    python benchmarks/where_time_goes.py                        # the main job
    python benchmarks/where_time_goes.py data=folder data.root=CIFAR10 train.epochs=1

Any overrides of one run may follow. The phases are what the run logs; the operations are those of
torch's profiler, own time on the CPU, and slow the run by some per cent. The ceiling is the rate of
a large matrix product (``ceiling.py``), measured in the same process after the run. Training is
counted as three forward passes.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

STARTED = time.perf_counter()


def main() -> None:
    """Run once under the profiler and print its tables."""
    import torch  # its time is one of the phases
    from ceiling import gemm
    from torch.profiler import ProfilerActivity, profile

    imported = time.perf_counter() - STARTED
    from shiftbench.cli.main import main as command_line

    with tempfile.TemporaryDirectory() as out:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            run(command_line, [*sys.argv[1:], f"out={out}", "progress=false"])
        seconds = time.perf_counter() - STARTED
        [folder] = Path(out).glob("runs/*")
        text = (folder / "run.log").read_text("utf-8")
        training = training_rate(folder)
    print(f"\n{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{imported:8.1f} s  importing torch")
    for what, took in re.findall(r"INFO (.+) took ([\d.]+) s", text):
        print(f"{float(took):8.1f} s  {what}")
    print(f"{seconds:8.1f} s  all of it, start to end\n")
    longest(profiler.key_averages())
    if training is not None:
        ceiling = gemm(torch.float32, 9)
        print(f"\n{training:8.0f} GFLOP/s in training, {100 * training / ceiling:.0f} % of the "
              f"{ceiling:.0f} of a matrix product")  # fmt: skip


def run(command_line: Callable[[list[str]], NoReturn], arguments: list[str]) -> None:
    """Run the command line in this process."""
    try:
        command_line(arguments)
    except SystemExit as end:
        if end.code:
            raise


def training_rate(folder: Path) -> float | None:
    """Return the GFLOP/s of the run's training, None if it trained nothing."""
    if not (folder / "train.csv").is_file():
        return None
    images = pd.read_csv(folder / "train.csv")["images_per_second"].median()
    if pd.isna(images):
        return None
    macs = pd.read_csv(folder / "metrics.csv")["macs"].iloc[0]
    return float(3 * 2 * macs * images / 1e9)


def longest(operations: Any) -> None:
    """Print the operations that take longest themselves."""
    total = sum(item.self_cpu_time_total for item in operations) / 1e6
    print(f"{total:8.1f} s  in torch's operations, of which")
    for item in sorted(operations, key=lambda item: -item.self_cpu_time_total)[:14]:
        own = item.self_cpu_time_total / 1e6
        print(f"{own:8.2f} s  {100 * own / total:5.1f} %  {item.key} ×{item.count:,}")


if __name__ == "__main__":
    main()
