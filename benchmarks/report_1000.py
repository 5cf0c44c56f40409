"""``shiftbench report`` of 1,000 runs, in a process of its own: time and peak memory.

python benchmarks/report_1000.py          # about half a minute
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from shiftbench.metric import METRICS
from shiftbench.storage.result_files import METRIC_COLUMNS, SCHEMA_VERSION, SHIFT_COLUMNS, write_csv

POOLS = ("max", "stride", "avg", "blur", "aps")
HEADS = ("flatten", "gap")
PADDINGS = ("zeros", "circular")
AUGMENTS = ("none", "crop", "shift", "full")
PROTOCOLS = {"circular": 32, "translate": 81}


def main() -> None:
    """Print a row: runs, median and range of the seconds, peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("arguments", nargs="*", help="for shiftbench report, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), options.runs)
        command = [sys.executable, "-m", "shiftbench", "report", folder, *options.arguments]
        seconds = []
        for _ in range(options.repeats):
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"| {options.runs:,} runs {' '.join(options.arguments)} | "
          f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}) | "
          f"{peak:.2f} GiB |")  # fmt: skip


def make_runs(folder: Path, count: int) -> None:
    """Write ``count`` run folders as runs leave them, with made-up numbers."""
    random = np.random.default_rng(0)
    choices = [(pool, head, padding, augment) for pool in POOLS for head in HEADS
               for padding in PADDINGS for augment in AUGMENTS]  # fmt: skip
    for number in range(count):
        seed, which = divmod(number, len(choices))
        make_run(folder / "runs", choices[which], seed, random)


def make_run(runs: Path, chosen: tuple[str, ...], seed: int, random: np.random.Generator) -> None:
    """Write one run folder."""
    pool, head, padding, augment = chosen
    config = "-".join(("shapes", "vgg", *chosen))
    run_id = f"{config}-s{seed}-{hashlib.sha256(f'{config}{seed}'.encode()).hexdigest()[:8]}"
    labels = {"experiment": "", "data": "shapes", "model": "vgg", "pool": pool, "head": head,
              "padding": padding, "augment": augment}  # fmt: skip
    settings = {f"{group}.setting{i}": i for group in ("data", "model", "train") for i in range(12)}
    settings |= {"pool._target_": pool, "head": head, "padding": padding, "augment.a": augment}
    who = {"run_id": run_id, "train_id": run_id, "config_id": config,
           "labels": {**labels, "train": "quick", "precision": "fp32", "seed": seed},
           "settings": {**settings, "seed": seed}}  # fmt: skip
    folder = runs / run_id
    metrics, shifts = _rows(random)
    common = {**labels, "run_id": run_id, "seed": seed, "params": 41582, "macs": 622592,
              "engine": "direct", "schema_version": SCHEMA_VERSION}  # fmt: skip
    write_csv(metrics.assign(**common), folder / "metrics.csv", METRIC_COLUMNS)
    write_csv(shifts.assign(run_id=run_id), folder / "shifts.csv", SHIFT_COLUMNS)
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
             for name in ("metrics.csv", "shifts.csv")}  # fmt: skip
    status = {"state": "done", "time": "2026-01-01T00:00:00+00:00", "seconds": 60, "files": files}
    provenance = {"command": ["shiftbench", f"pool={pool}"], "shiftbench": "0", "packages": {}}
    for name, content in (("run", who), ("status", status), ("provenance", provenance)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2))


def _rows(random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    metrics, shifts = [], []
    for protocol, count in PROTOCOLS.items():
        value = random.random(len(METRICS))
        metrics.append(pd.DataFrame({"protocol": protocol, "metric": list(METRICS), "value": value,
                                     "ci_low": value - 0.01, "ci_high": value + 0.01,
                                     "n_images": 1000, "n_shifts": count}))  # fmt: skip
        side = round(count**0.5)
        shifts.append(pd.DataFrame({"protocol": protocol, "dy": np.arange(count) // side,
                                    "dx": np.arange(count) % side, "n_images": 1000,
                                    "accuracy": random.random(count),
                                    "agreement": random.random(count),
                                    "mean_absolute_change": random.random(count)}))  # fmt: skip
    return pd.concat(metrics), pd.concat(shifts)


if __name__ == "__main__":
    main()
