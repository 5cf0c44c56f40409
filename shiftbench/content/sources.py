"""The source files behind a dotted name such as ``my_pools.LpPool2d``, found without running it.

A module is digested with every module that it imports, if these belong to the same package or lie
beside it, i.e. are neither installed nor part of Python. Other installed packages are identified by
their version, which ``provenance.json`` records.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

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

# At most this many modules of an installed package are read; its version counts, too.
MOST_MODULES = 200


@dataclass(frozen=True)
class Sources:
    """The source behind a dotted name.

    Attributes:
        digests: SHA-256 of every source file by its module's name, ``version X`` for a package
            that is identified by its version.
        unknown: Reasons why digests are incomplete: compiled modules, imports by names that are
            known only at run time.
    """

    digests: dict[str, str]
    unknown: tuple[str, ...]

    @property
    def digest(self) -> str:
        """One SHA-256 over all digests."""
        return hashlib.sha256(repr(sorted(self.digests.items())).encode()).hexdigest()


def sources_of(dotted: str) -> Sources | None:
    """Return the source files of ``dotted``, None if it has no module or one of this package.

    Args:
        dotted: Name of a class or function, ``package.module.Class``.
    """
    parts = dotted.split(".")
    if len(parts) < 2 or not all(map(str.isidentifier, parts)) or parts[0] == OWN:
        return None
    name = _longest_module(parts)
    return None if name is None else _closure(name)


def _longest_module(parts: list[str]) -> str | None:
    """Return the longest prefix of a dotted name that is a module."""
    found = None
    for length in range(1, len(parts) + 1):
        if spec_of(".".join(parts[:length])) is None:
            break
        found = ".".join(parts[:length])
    return found


@cache  # per process, which imports a module once: later edits have no effect on it
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
    """Refuse code that was edited between its digest and its import.

    Call it within seconds after all imports. Modules that have passed are not checked again, since
    an edit after their import has no effect on this process.

    Raises:
        ShiftbenchError: Naming the module.
    """
    for module in [module for module in _digested if module in sys.modules]:
        if _read(module)[0] != _digested.pop(module):
            raise ShiftbenchError(
                f"the source of {module} changed while the run was starting; run the same command "
                "again"
            )


# Digests of modules that were not imported yet.
_digested: dict[str, str] = {}


def _counts(module: str, package: str) -> bool:
    """Whether a module's source is part of the digest of a name in ``package``."""
    top = module.partition(".")[0]
    if top == OWN or spec_of(module) is None:
        return False
    return top == package or not is_installed(module)


def _read(module: str) -> tuple[str, list[str], list[str]]:
    """Return a module's digest, the modules that it may import, and what is unknown about it."""
    spec = spec_of(module)
    assert spec is not None
    if spec.origin is None or spec.loader is None:
        return "namespace", [], []
    content = _content(spec)
    if content is None:
        return "unknown", [], [f"the file of {module} cannot be read"]
    digest = hashlib.sha256(content).hexdigest()
    if not spec.origin.endswith(".py"):
        return digest, [], [f"{module} is compiled: its file counts, its imports are unknown"]
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # its import will report this
        return digest, [], []
    is_package = spec.submodule_search_locations is not None
    package = module if is_package else module.rpartition(".")[0]
    imported = [*imports(tree, package), *(handed_on(tree, module) if is_package else ())]
    return digest, imported, [f"{module} {does}" for does in unfollowed(tree)]


def _content(spec: ModuleSpec) -> bytes | None:
    """Return the bytes of a module's file, also from an archive."""
    loader: Any = spec.loader
    try:
        try:
            read = loader.get_data
        except AttributeError:  # an importer of a library's own need not have it
            return Path(str(spec.origin)).read_bytes()
        content: bytes = read(str(spec.origin))
    except OSError:
        return None
    return content
