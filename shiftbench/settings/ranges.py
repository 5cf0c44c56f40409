"""Allowed ranges of numbers in the configuration, ends included."""

from __future__ import annotations

import os

RANGES: tuple[tuple[str, float, float], ...] = (
    ("seed", 0, 2**31 - 1),
    ("threads", 1, 4 * (os.cpu_count() or 1)),  # more would only take time
    ("train.epochs", 0, 100_000),
    ("train.batch_size", 2, 65_536),
    ("train.lr", 0, 1000),
    ("train.momentum", 0, 0.9999),
    ("train.weight_decay", 0, 10),
    ("train.warmup", 0, 1),
    ("train.label_smoothing", 0, 0.9999),
    ("measure.memory_gb", 0.01, 10_000),
    ("measure.resamples", 2, 1_000_000),
)
