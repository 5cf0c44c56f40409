"""Where modules are and whose they are, found without importing them; no torch."""

from __future__ import annotations

import site
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

# Packages that shiftbench stands on: large, and what they compute is known by their version.
BY_VERSION = frozenset(
    ("torch", "torchvision", "timm", "numpy", "hydra", "omegaconf", "pandas", "PIL", "scipy")
)
OWN = __name__.partition(".")[0]


@cache
def spec_of(module: str) -> ModuleSpec | None:
    """Return where a module is, without importing it or the packages around it."""
    parent, _, last = module.rpartition(".")
    path = None
    if parent:
        above = spec_of(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(module, path)
        except Exception:  # of a finder of somebody's; a namespace, see below
            continue
        if spec is not None:
            return spec
    return _namespace(module, last, path or ())


def _namespace(module: str, last: str, path: list[str] | tuple[()]) -> ModuleSpec | None:
    """Return the package that is a folder without ``__init__.py`` in a package.

    Python's own finder wants the package around it to be imported.
    """
    folders = [folder for place in path if (folder := Path(place) / last).is_dir()]
    if not folders:
        return None
    spec = ModuleSpec(module, None, is_package=True)
    spec.submodule_search_locations = [str(folder) for folder in folders]
    return spec


def place_of(module: str) -> Path | None:
    """Return a module's file, the first folder of a namespace; None where there is neither."""
    spec = spec_of(module)
    if spec is None:
        return None
    if spec.origin not in (None, "built-in", "frozen", "namespace"):
        return Path(str(spec.origin))
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders else None


def is_installed(module: str) -> bool:
    """Whether a module is Python's or of an installed package, and not the user's own.

    A module of the user's may have the name of one of Python's that is rarely there.
    """
    place = place_of(module)
    return place is None or any(place.is_relative_to(folder) for folder in installed_folders())


def forget_old_bytecode(module: str) -> None:
    """Remove a module's bytecode if its source changed after that was written.

    Python goes by the source's size and its time of modification in whole seconds, and would run
    the old code after an edit that leaves both as they were.
    """
    spec = spec_of(module)
    if spec is None or spec.origin is None or spec.cached is None or spec.cached == spec.origin:
        return
    with suppress(OSError):  # no bytecode, or a source in an archive
        bytecode = Path(spec.cached)
        if bytecode.stat().st_mtime_ns <= Path(spec.origin).stat().st_ctime_ns:
            bytecode.unlink()


@cache
def installed_folders() -> tuple[Path, ...]:
    """Return the folders of Python's own modules and of installed packages."""
    paths = sysconfig.get_paths()
    names = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = {Path(name) for name in (*names, *site.getsitepackages(), site.getusersitepackages())}
    return tuple(folders | {folder.resolve() for folder in folders})


def version_of(package: str) -> str:
    """Return ``version 2.1`` of an installed package, Python's where it has none."""
    from importlib import metadata  # it takes a tenth of the time of a command that does nothing

    try:
        return f"version {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"version of Python {sys.version.split()[0]}"
