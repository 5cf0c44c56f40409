"""What the settings ``data.test.*`` change in the law of the test images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shiftbench.errors import UsageError, printable, require_one_of


def changes_for_test(changes: object, known: Iterable[str], example: str) -> dict[str, Any]:
    """Return the settings of ``data.test`` that are given; a None value is as in training.

    Args:
        changes: The value of ``data.test``: a mapping, or None for no changes.
        known: Names of the settings.
        example: A mapping for the message, ``{position: uniform}``.

    Raises:
        UsageError: If it is not a mapping or has another name.
    """
    if changes is None:
        return {}
    if not isinstance(changes, Mapping):
        raise UsageError(
            f"data.test={printable(changes)} is not allowed; give a mapping such as {example}"
        )
    for key in changes:
        require_one_of("data.test", key, known)
    return {str(key): value for key, value in changes.items() if value is not None}
