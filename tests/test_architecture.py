"""The house: imports point one way, and what must be light is light."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import shiftbench

PACKAGE = Path(shiftbench.__file__).parent
CHECKOUT = Path(__file__).parents[1]  # not PACKAGE.parent: the package may be installed elsewhere
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
GROUND = ("__version__", "contracts", "errors", "lazy", "seeds")  # what every package may import
MAY_IMPORT = {
    "storage": "",
    "ops": "",
    "runtime": "",
    "preprocessing": "",
    "inference": "",
    "optimizer": "pool",  # a pool may exempt its parameters from weight decay
    "prediction_table": "storage",
    "settings": "storage",
    "content": "storage",
    "activation": "ops",
    "augment": "ops",
    "head": "ops",
    "infer": "ops",
    "pool": "ops",
    "shift": "ops",
    "data": "content ops preprocessing storage",
    "model": "ops preprocessing storage",
    "metric": "inference prediction_table storage",
    "surgery": "model ops pool",
    # storage: columns of a table that are too large for memory
    # infer: averages over shifts have a dense form
    "predict": "data head infer model ops pool prediction_table runtime settings shift storage",
    "training": "augment data model optimizer pool predict runtime storage",
    "runs": "content metric prediction_table runtime settings storage",
    "claims": "inference metric settings storage",
    "report": "claims inference metric prediction_table runs runtime settings storage",
    "experiment": "activation content data head infer metric model optimizer pool predict "
    "prediction_table preprocessing report runs runtime settings shift storage surgery training",
    "launch": "experiment metric report runs runtime settings storage",
    "cli": "claims data experiment launch predict prediction_table report runs runtime settings "
    "storage",
    "api": "data experiment infer metric model predict prediction_table settings shift surgery",
    "__init__": "runtime",
    "__main__": "cli",
}
"""The rule of every package and of every module beside them; contracts import only ground."""
WITHOUT_TORCH = (
    *("claims", "cli", "content", "inference", "launch", "metric", "report", "runs", "settings"),
    *("storage", "errors", "lazy", "prediction_table", "seeds"),
    # of runtime
    *(
        "allocator",
        "busy_cores",
        "env",
        "failures",
        "gpu_memory",
        "job_slots",
        "keep_last",
        "streams",
    ),
)


def package_of(path):
    return path.parts[0].removesuffix(".py")


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


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_package_imports_what_its_rule_allows(path):
    own = package_of(path)
    allowed = {own, *GROUND, *MAY_IMPORT.get(own, "").split()}
    for name in imports(path):
        if name and name.startswith("shiftbench."):
            assert name.split(".")[1] in allowed, name


def test_the_rules_have_no_circle_and_name_what_there_is():
    list(TopologicalSorter({k: v.split() for k, v in MAY_IMPORT.items()}).static_order())
    assert {*MAY_IMPORT, *GROUND} == {package_of(path) for path in MODULES} | {"__version__"}


def test_ten_modules_at_most_are_at_the_root():
    assert len([path for path in MODULES if len(path.parts) == 1]) <= 10


def test_the_guide_has_a_row_for_every_package():
    guide = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
    rows = "".join(line.split("|")[1] for line in guide.splitlines() if line.startswith("| `"))
    for name in MAY_IMPORT:
        assert name.startswith("__") or f"{name}/" in rows or f"{name}.py" in rows, name


@pytest.mark.parametrize("package", ["launch", "runs", "runtime", "storage", "training"])
def test_the_guide_names_every_module(package):
    """Of packages whose modules are no options of a config group."""
    guide = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+)`", guide))
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
    assert modules <= named


DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "outputs/reference/**/*.md")
    for path in sorted(CHECKOUT.glob(pattern))
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(CHECKOUT))
def test_files_that_documents_name_exist(path):
    text = path.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    named = [CHECKOUT / name for name in re.findall(r"\bshiftbench/[\w/]+\.py\b", text)]
    files = [*(path.parent / link for link in links), *named]
    assert not [file for file in files if not file.exists()]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_build_instantiates(path):
    if path.name != "build.py":
        assert "hydra.utils" not in imports(path)


PRIVATE = ("hydra._internal", "hydra.core.global_hydra", "hydra.core.override_parser",
           "hydra.core.plugins", "hydra.plugins")  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_one_module_reaches_into_hydra(path):
    if path.name != "hydra_patches.py":
        assert not any(name and name.startswith(PRIVATE) for name in imports(path))


@pytest.mark.parametrize("path", [m for m in MODULES if m.parts[0] == "predict"], ids=str)
def test_predict_knows_no_metric(path):
    assert not any(name.startswith("shiftbench.metric") for name in imports(path))


@pytest.mark.parametrize(
    "path", [m for m in MODULES if {package_of(m), m.stem} & set(WITHOUT_TORCH)], ids=str
)
def test_packages_without_torch_never_import_it(path):
    whole = path.name != "job.py"  # it imports the experiment when there is one to run
    names = imports(path, whole)
    assert not any(name and name.split(".")[0] in ("torch", "torchvision") for name in names)


LIGHT = [
    ("import shiftbench", ("torch", "pandas", "numpy", "hydra")),
    ("import shiftbench.cli.main", ("torch", "pandas", "matplotlib", "hydra")),
    ("import shiftbench.launch.hydra_app", ("torch", "pandas", "matplotlib")),
    (
        "import shiftbench.launch.job, shiftbench.storage.result_files\n"
        "import shiftbench.report.tables.run_table",
        ("torch", "pandas"),
    ),
    ("import shiftbench.cli.report_command", ("torch", "matplotlib")),
    ("import shiftbench.report.figures.shift_plane, shiftbench.prediction_table", ("torch",)),
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
