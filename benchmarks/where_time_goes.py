"""Where the time of one run goes: its phases, and the operations that take longest.

    python benchmarks/where_time_goes.py                        # the main job
    python benchmarks/where_time_goes.py data=folder data.root=CIFAR10 train.epochs=1

Any overrides of one run may follow. The phases are what the run logs; the operations are those of
torch's profiler, own time on the CPU, and slow the run by some per cent.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.perf_counter()


def main() -> None:
    """Run once under the profiler and print both tables."""
    import torch  # its time is one of the phases
    from torch.profiler import ProfilerActivity, profile

    imported = time.perf_counter() - STARTED
    from shiftbench import cli

    with tempfile.TemporaryDirectory() as out:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            run(cli, [*sys.argv[1:], f"out={out}", "progress=false"])
        seconds = time.perf_counter() - STARTED
        [log] = Path(out).glob("runs/*/run.log")
        text = log.read_text("utf-8")
    print(f"\n{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{imported:8.1f} s  importing torch")
    for what, took in re.findall(r"INFO (.+) took ([\d.]+) s", text):
        print(f"{float(took):8.1f} s  {what}")
    print(f"{seconds:8.1f} s  all of it, start to end\n")
    operations = profiler.key_averages()
    total = sum(item.self_cpu_time_total for item in operations) / 1e6
    print(f"{total:8.1f} s  in torch's operations, of which")
    longest = sorted(operations, key=lambda item: -item.self_cpu_time_total)[:14]
    for item in longest:
        own = item.self_cpu_time_total / 1e6
        print(f"{own:8.2f} s  {100 * own / total:5.1f} %  {item.key} ×{item.count:,}")


def run(cli: object, arguments: list[str]) -> None:
    """Run the command line in this process."""
    try:
        cli.main(arguments)  # type: ignore[attr-defined]
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    main()
