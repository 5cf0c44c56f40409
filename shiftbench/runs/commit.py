"""The commit of this package: of its checkout, or the one that its wheel was built from.

``hatch_build.py`` loads this module alone when a wheel is built, so it imports nothing of the
package.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

RECORDED = Path("shiftbench", "commit.txt")  # in a wheel and in a source distribution


def commit() -> str | None:
    """Return the commit, with ``-dirty`` if files were edited, None if it is not known."""
    root = Path(__file__).parents[2]
    return of_checkout(root) or recorded(root)


def of_checkout(root: Path) -> str | None:
    """Return the commit of the checkout at ``root``, None if it is none or git is not installed."""
    if not (root / ".git").exists():  # otherwise git looks for it in the folders above
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def recorded(root: Path) -> str | None:
    """Return the commit that was written when the package at ``root`` was built."""
    try:
        return (root / RECORDED).read_text("utf-8").strip() or None
    except OSError:
        return None
