"""A module's imports, and actions that its import statements do not show; without torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator

# Functions that load code without an import statement. (net.eval() is not one of them.)
_LOADERS = {
    "import_module", "exec_module", "run_path", "run_module", "spec_from_file_location",
    "__import__", "CDLL", "LoadLibrary", "load_library", "load_inline",
}  # fmt: skip
_BUILTIN_LOADERS = {"exec", "eval"}
# Names that change where modules are found.
_PATHS = {("sys", "path"), ("sys", "meta_path"), ("sys", "path_hooks"), ("site", "addsitedir")}
# Functions that read files or settings that no setting of the run names. ``load`` is torch.load,
# numpy.load, pickle.load, torch.hub.load, torch.jit.load and the like.
_READERS = {
    "open", "load", "load_file", "safe_load", "read_text", "read_bytes", "read_csv",
    "read_json", "read_pickle", "read_parquet", "loadtxt", "loadmat", "genfromtxt", "fromfile",
    "memmap", "imread", "get_data", "get_resource", "open_text", "open_binary",
    "load_state_dict_from_url", "load_url", "safe_open", "from_pretrained", "hf_hub_download",
    "urlopen", "urlretrieve", "environ", "getenv", "check_output",
}  # fmt: skip


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the names of all modules that a module imports or may import.

    Args:
        tree: The module.
        package: Its package; its own name if it is one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from (*parents(alias.name), alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _resolved(node, package)
            if base is None:
                continue
            yield from (*parents(base), base)
            # "from . import blocks" names a module, "from .blocks import Block" does not.
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def handed_on(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield what ``from package import *`` may import: the modules in ``__all__``."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield f"{package}.{part.value}"


def parents(name: str) -> list[str]:
    """Return the parent packages of a module.

    >>> parents("a.b.c")
    ['a', 'a.b']
    """
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _resolved(node: ast.ImportFrom, package: str) -> str | None:
    """Return the absolute name of the module that ``from X import`` names."""
    if not node.level:
        return node.module
    parts = package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    if not package or not kept:
        return None
    return ".".join([*kept, node.module] if node.module else kept)


def unfollowed(tree: ast.AST) -> Iterator[str]:
    """Yield actions of a module that its import statements do not show, as predicates."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    # Under any imported name.
    names |= {one.name for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    used = names | {node.attr for node in attributes}
    for name in sorted((used & _LOADERS) | (names & _BUILTIN_LOADERS)):
        yield f"uses {name}, and code that is loaded that way is not followed"
    dotted = {(node.value.id, node.attr) for node in attributes if isinstance(node.value, ast.Name)}
    places = {f"{module}.{name}" for module, name in dotted & _PATHS} | (names & {"__path__"})
    for place in sorted(places):
        yield f"uses {place}, and modules that are found that way are not followed"
    if readers := sorted((used & _READERS) | (names & {"__file__"}) | _resources(nodes)):
        yield f"uses {', '.join(readers)}, and what it reads that way is not followed"


def _resources(nodes: list[ast.AST]) -> set[str]:
    """Return ``importlib.resources`` if a module imports it."""
    wanted = "importlib.resources"
    for node in nodes:
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{one.name}" for one in node.names]
        if any(f"{name}.".startswith(f"{wanted}.") for name in names):
            return {wanted}
    return set()
