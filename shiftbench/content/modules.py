"""Location and ownership of modules, found without importing them; without torch."""

from __future__ import annotations

import site
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

# Dependencies of shiftbench: large, and identified by their versions.
BY_VERSION = frozenset(
    ("torch", "torchvision", "timm", "numpy", "hydra", "omegaconf", "pandas", "PIL", "scipy")
)
OWN = __name__.partition(".")[0]


@cache
def spec_of(module: str) -> ModuleSpec | None:
    """Return a module's spec, without importing it or its parent packages."""
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
        except Exception:  # from a third-party finder; a namespace, see below
            continue
        if spec is not None:
            return spec
    return _namespace(module, last, path or ())


def _namespace(module: str, last: str, path: list[str] | tuple[()]) -> ModuleSpec | None:
    """Return the package that is a folder without ``__init__.py`` in a package.

    Python's own finder would import the parent package.
    """
    folders = [folder for place in path if (folder := Path(place) / last).is_dir()]
    if not folders:
        return None
    spec = ModuleSpec(module, None, is_package=True)
    spec.submodule_search_locations = [str(folder) for folder in folders]
    return spec


def place_of(module: str) -> Path | None:
    """Return a module's file or the first folder of a namespace; None without either."""
    spec = spec_of(module)
    if spec is None:
        return None
    if spec.origin not in (None, "built-in", "frozen", "namespace"):
        return Path(str(spec.origin))
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders else None


def is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to an installed package, not to the user.

    A user's module may have the name of a rarely installed standard module.
    """
    place = place_of(module)
    return place is None or any(place.is_relative_to(folder) for folder in installed_folders())


def forget_old_bytecode(module: str) -> None:
    """Remove a module's bytecode if its source changed after that was written.

    Python compares the source's size and its modification time in whole seconds, and would run
    the old code after an edit that changes neither.
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
    """Return ``version 2.1`` of an installed package, or Python's version if it has none."""
    from importlib import metadata  # it takes a tenth of the time of the shortest command

    try:
        return f"version {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"version of Python {sys.version.split()[0]}"
