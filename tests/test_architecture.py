"""The house: imports point one way, and what must be light is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shiftbench

PACKAGE = Path(shiftbench.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
LEAVES = ("data", "augment", "model", "pool", "head", "optimizer", "shift")
TORCH_FREE = (
    *("claims", "cli", "content", "inference", "launch", "metric", "report", "runs", "settings"),
    *("storage", "errors.py", "prediction_table.py", "processes.py", "seeds.py"),
    *("allocator.py", "failures.py", "job_slots.py", "streams.py"),  # of runtime
)


def imports(path, whole=True):
    """Names of the modules that a file imports, those under TYPE_CHECKING left out."""
    tree = ast.parse((PACKAGE / path).read_text())
    nodes = list(ast.walk(tree)) if whole else tree.body
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in nodes:
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", [m for m in MODULES if m.parts[0] in LEAVES], ids=str)
def test_leaves_import_no_sibling(path):
    siblings = [leaf for leaf in LEAVES if leaf != path.parts[0]]
    for name in imports(path):
        assert not any(name.startswith(f"shiftbench.{leaf}") for leaf in siblings), name
        assert not name.startswith(
            ("shiftbench.experiment.run", "shiftbench.cli.main", "shiftbench.experiment.build")
        )


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_build_instantiates(path):
    if path.name != "build.py":
        assert "hydra.utils" not in imports(path)


@pytest.mark.parametrize("path", [m for m in MODULES if m.parts[0] == "predict"], ids=str)
def test_predict_knows_no_metric(path):
    assert not any(name.startswith("shiftbench.metric") for name in imports(path))


@pytest.mark.parametrize(
    "path", [m for m in MODULES if m.parts[0] in TORCH_FREE or m.name in TORCH_FREE], ids=str
)
def test_the_right_half_never_imports_torch(path):
    whole = path.name != "job.py"  # it imports the experiment when there is one to run
    names = imports(path, whole)
    assert not any(name and name.split(".")[0] in ("torch", "torchvision") for name in names)


LIGHT = [
    ("import shiftbench", ("torch", "pandas", "numpy", "hydra")),
    ("import shiftbench.cli.main", ("torch", "pandas", "matplotlib", "hydra")),
    ("import shiftbench.launch.hydra_app", ("torch", "pandas", "matplotlib")),
    (
        "import shiftbench.launch.job, shiftbench.storage.result_files, shiftbench.report.terminal",
        ("torch", "pandas"),
    ),
    ("import shiftbench.cli.report_command", ("torch", "matplotlib")),
    ("import shiftbench.report.heatmap, shiftbench.prediction_table", ("torch",)),
]


@pytest.mark.parametrize(("statement", "absent"), LIGHT)
def test_light_things_load_nothing_heavy(statement, absent):
    check = f"{statement}; import sys; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_attributes_load_when_they_are_used():
    assert callable(shiftbench.measure)
    assert shiftbench.pool.BlurPool2d(4).filter_size == 3
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        shiftbench.mesure  # noqa: B018


def test_no_module_is_called_utils_and_none_is_long():
    for path in MODULES:
        assert path.stem not in ("utils", "helpers", "misc")
        assert len((PACKAGE / path).read_text().splitlines()) <= 300, path
