"""The source files behind a dotted name such as ``my_pools.LpPool2d``, found without running them.

A module counts with every module that it imports, as far as these belong to the same package or
lie beside it: whatever is neither installed nor a part of Python. Installed packages other than its
own are known by their version, which ``provenance.json`` has.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from shiftbench.content.modules import (
    BY_VERSION,
    OWN,
    forget_old_bytecode,
    is_installed,
    spec_of,
    version_of,
)
from shiftbench.content.reading import handed_on, imports, parents, unfollowed
from shiftbench.errors import ShiftbenchError

# Of an installed package, so many modules are read; it is known by its version, too.
MOST_MODULES = 200


@dataclass(frozen=True)
class Sources:
    """The source behind a dotted name.

    Attributes:
        digests: SHA-256 of every source file by its module's name, ``version X`` for a package
            that is known by its version.
        unknown: What no digest covers, a reason each: compiled modules, imports by a name that
            only the running code knows.
    """

    digests: dict[str, str]
    unknown: tuple[str, ...]

    @property
    def digest(self) -> str:
        """One SHA-256 of all of them."""
        return hashlib.sha256(repr(sorted(self.digests.items())).encode()).hexdigest()


def sources_of(dotted: str) -> Sources | None:
    """Return the source files behind ``dotted``, None where no module or one of ours begins it.

    Args:
        dotted: Name of a class or function, ``package.module.Class``.
    """
    parts = dotted.split(".")
    if len(parts) < 2 or not all(map(str.isidentifier, parts)) or parts[0] == OWN:
        return None
    name = _longest_module(parts)
    return None if name is None else _closure(name)


def _longest_module(parts: list[str]) -> str | None:
    """Return the longest beginning of a dotted name that is a module."""
    found = None
    for length in range(1, len(parts) + 1):
        if spec_of(".".join(parts[:length])) is None:
            break
        found = ".".join(parts[:length])
    return found


@cache  # of a process, which imports a module once: an edit after that changes nothing that it runs
def _closure(name: str) -> Sources:
    package = name.partition(".")[0]
    installed = is_installed(package)
    if package in BY_VERSION or (installed and package in sys.stdlib_module_names):
        return Sources({package: version_of(package)}, ())
    digests: dict[str, str] = {}
    unknown: dict[str, None] = {}
    waiting = [*parents(name), name]
    if installed:
        digests[f"{package} (installed)"] = version_of(package)
    while waiting and not (installed and len(digests) > MOST_MODULES):
        module = waiting.pop()
        if module in digests or not _counts(module, package):
            continue
        forget_old_bytecode(module)
        digests[module], imported, reasons = _read(module)
        if module not in sys.modules:
            _digested[module] = digests[module]
        unknown |= dict.fromkeys(reasons)
        waiting += imported
    if installed and (unknown or len(digests) > MOST_MODULES):
        unknown = {f"{package} is installed, and what it loads by name counts by its version": None}
    return Sources(digests, tuple(unknown))


def require_unedited() -> None:
    """Refuse code that was edited after it was digested and before it was imported.

    To be called when everything is imported, at most seconds later. Modules that have passed are
    not looked at again: an edit after their import changes nothing that this process runs.

    Raises:
        ShiftbenchError: Naming the module.
    """
    for module in [module for module in _digested if module in sys.modules]:
        if _read(module)[0] != _digested.pop(module):
            raise ShiftbenchError(
                f"the source of {module} changed while the run was starting; run the same command "
                "again"
            )


# What was read of modules that were not imported yet.
_digested: dict[str, str] = {}


def _counts(module: str, package: str) -> bool:
    """Whether a module's source is part of what is behind a name of ``package``."""
    top = module.partition(".")[0]
    if top == OWN or spec_of(module) is None:
        return False
    return top == package or not is_installed(module)


def _read(module: str) -> tuple[str, list[str], list[str]]:
    """Return a module's digest, the modules that it may import, and what cannot be known of it."""
    spec = spec_of(module)
    assert spec is not None
    if spec.origin is None or spec.loader is None:
        return "namespace", [], []
    content = _content(spec)
    if content is None:
        return "unknown", [], [f"the file of {module} cannot be read"]
    digest = hashlib.sha256(content).hexdigest()
    if not spec.origin.endswith(".py"):
        return digest, [], [f"{module} is compiled: its file counts, what it imports is not known"]
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # as whoever imports it will say
        return digest, [], []
    is_package = spec.submodule_search_locations is not None
    package = module if is_package else module.rpartition(".")[0]
    imported = [*imports(tree, package), *(handed_on(tree, module) if is_package else ())]
    return digest, imported, [f"{module} {does}" for does in unfollowed(tree)]


def _content(spec: ModuleSpec) -> bytes | None:
    """Return the bytes of a module's file, from an archive too."""
    # A loader of an archive or of an importer of its own; that of an extension has none.
    get_data = getattr(spec.loader, "get_data", lambda name: Path(name).read_bytes())
    try:
        content: bytes = get_data(str(spec.origin))
    except OSError:
        return None
    return content
