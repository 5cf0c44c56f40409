"""The source files behind a dotted name such as ``my_pools.LpPool2d``, found without running them.

A module counts with every module that it imports, as far as these belong to the same package or
lie beside it: whatever is neither installed nor a part of Python. Installed packages other than its
own are known by their version, which ``provenance.json`` has.
"""

from __future__ import annotations

import ast
import hashlib
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
# Packages that shiftbench stands on: large, and what they compute is known by their version.
BY_VERSION = frozenset(
    ("torch", "torchvision", "timm", "numpy", "hydra", "omegaconf", "pandas", "PIL", "scipy")
)
OWN = __name__.partition(".")[0]
# What loads code that no import statement names. (net.eval() is none of them.)
_LOADERS = frozenset(("import_module", "exec_module", "run_path", "spec_from_file_location"))
BY_NAME = _LOADERS | {"__import__", "exec", "eval"}
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
    if not DOTTED.fullmatch(dotted) or dotted.partition(".")[0] == OWN:
        return None
    name = _longest_module(dotted)
    return None if name is None else _closure(name)


def _longest_module(dotted: str) -> str | None:
    """Return the longest beginning of a dotted name that is a module."""
    parts = dotted.split(".")
    found = None
    for length in range(1, len(parts) + 1):
        if _spec(".".join(parts[:length])) is None:
            break
        found = ".".join(parts[:length])
    return found


@cache  # of a process, which imports a module once: an edit after that changes nothing that it runs
def _closure(name: str) -> Sources:
    package = name.partition(".")[0]
    if package in BY_VERSION or package in sys.stdlib_module_names:
        return Sources({package: _version_of(package)}, ())
    digests: dict[str, str] = {}
    unknown: dict[str, None] = {}
    waiting = [*_parents(name), name]
    if installed := _is_installed(_place_of(name)):
        digests[f"{package} (installed)"] = _version_of(package)
    while waiting and not (installed and len(digests) > MOST_MODULES):
        module = waiting.pop()
        if module in digests or not _counts(module, package):
            continue
        digests[module], imported, reasons = _read(module)
        unknown |= dict.fromkeys(reasons)
        waiting += imported
    return Sources(digests, tuple(unknown))


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _counts(module: str, package: str) -> bool:
    """Whether a module's source is part of what is behind a name of ``package``."""
    top = module.partition(".")[0]
    if top == OWN or top in sys.stdlib_module_names:
        return False
    spec = _spec(module)
    if spec is None:
        return False
    return top == package or not _is_installed(_place(spec))


def _place_of(module: str) -> Path | None:
    spec = _spec(module)
    return None if spec is None else _place(spec)


def _place(spec: ModuleSpec) -> Path | None:
    if spec.origin not in (None, "built-in", "frozen", "namespace"):
        return Path(str(spec.origin))
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders else None


def _is_installed(place: Path | None) -> bool:
    """Whether a file is Python's or of an installed package."""
    return place is None or any(place.is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    names = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = {Path(name) for name in (*names, *site.getsitepackages(), site.getusersitepackages())}
    return tuple(folders | {folder.resolve() for folder in folders})


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Return where a module is, without importing it or the packages around it."""
    parent, _, _ = module.rpartition(".")
    path = None
    if parent:
        above = _spec(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(module, path)
        except (ImportError, AttributeError, TypeError, ValueError, OSError):
            continue  # a finder of somebody's, or an unreadable entry of sys.path
        if spec is not None:
            return spec
    return None


def _read(module: str) -> tuple[str, list[str], list[str]]:
    """Return a module's digest, the modules that it may import, and what cannot be known of it."""
    spec = _spec(module)
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
    except (SyntaxError, ValueError):  # reported by whoever imports it
        return digest, [], []
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    return digest, list(_imports(tree, package)), [f"{module} {x}" for x in _unfollowed(tree)]


def _content(spec: ModuleSpec) -> bytes | None:
    """Return the bytes of a module's file, from an archive too."""
    get_data = getattr(spec.loader, "get_data", lambda name: Path(name).read_bytes())
    try:
        content: bytes = get_data(str(spec.origin))
    except OSError:
        return None
    return content


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the names of the modules, and of what may be one, that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from (*_parents(alias.name), alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _resolved(node, package)
            if base is None:
                continue
            yield from (*_parents(base), base)
            # "from . import blocks" names a module, "from .blocks import Block" does not.
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _resolved(node: ast.ImportFrom, package: str) -> str | None:
    """Return the absolute name of the module that ``from X import`` names."""
    if not node.level:
        return node.module
    parts = package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    if not package or not kept:
        return None
    return ".".join([*kept, node.module] if node.module else kept)


def _unfollowed(tree: ast.AST) -> Iterator[str]:
    """Yield what a module does that its import statements do not show, as ends of a sentence."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for name in sorted((names & BY_NAME) | (attributes & _LOADERS)):
        yield f"uses {name}, and code that is loaded that way is not followed"
    if "__file__" in names:
        yield "uses __file__, and files that it reads are not followed"


def _version_of(package: str) -> str:
    from importlib import metadata  # it takes a tenth of the time of a command that does nothing

    try:
        return f"version {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"version of Python {sys.version.split()[0]}"
