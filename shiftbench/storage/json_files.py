"""JSON files that hold one mapping: ``run.json``, ``status.json``, ``provenance.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.storage.atomic import write_text


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON in UTF-8, or not a mapping.
    """
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a mapping")
    return content


def sorted_text(content: Mapping[str, Any]) -> str:
    """Return the text of a file with sorted keys; values that JSON lacks are written as text."""
    return json.dumps(content, indent=2, sort_keys=True, default=str) + "\n"


def write_mapping(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file atomically, keys in the order of the mapping."""
    write_text(path, json.dumps(content, indent=2) + "\n")
