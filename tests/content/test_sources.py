"""The source behind a dotted name: every file that it imports from around it counts."""

import os
import subprocess
import sys
import textwrap
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from shiftbench.content import sources
from shiftbench.content.modules import installed_folders, spec_of
from shiftbench.content.sources import sources_of
from shiftbench.errors import ShiftbenchError


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """A folder on the path, and a process that has not read it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for function in (sources._closure, spec_of, installed_folders):
        function.cache_clear()
    sources._digested.clear()
    return tmp_path


def forget():
    sources._closure.cache_clear()
    spec_of.cache_clear()


def write(folder, **files):
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def digest(dotted):
    forget()
    return sources_of(dotted).digest


EDITS = {
    "the module": ("net", "import torch\ndef make(): return 2\n"),
    "a module beside it": ("layers", "WIDTH = 8\n"),
    "a module imported in a function": ("late", "DEPTH = 3\n"),
    "what that one imports": ("deep", "K = 5\n"),
}


@pytest.mark.parametrize(("name", "text"), EDITS.values(), ids=EDITS)
def test_an_edit_is_detected(fresh, name, text):
    write(
        fresh,
        net="import layers\ndef make():\n    from late import DEPTH\n    return DEPTH\n",
        layers="WIDTH = 4\n", late="import deep\nDEPTH = 2\n", deep="K = 3\n", apart="X = 1\n",
    )  # fmt: skip
    before = digest("net.make")
    write(fresh, apart="X = 2\n")
    assert digest("net.make") == before
    write(fresh, **{name: text})
    assert digest("net.make") != before


IMPORTS = (
    "from .blocks import Block",
    "from . import blocks",
    "import mypkg.blocks",
    "from mypkg import blocks",
    "from mypkg.blocks import *",
    "from .parts import Block",
    "try:\n    from .blocks import Block\nexcept ImportError:\n    Block = None",
)


@pytest.mark.parametrize("line", IMPORTS)
def test_the_files_of_a_package_count(fresh, line):
    (fresh / "mypkg" / "parts").mkdir(parents=True)
    (fresh / "mypkg" / "__init__.py").write_text("")
    (fresh / "mypkg" / "parts" / "__init__.py").write_text("from ..blocks import Block\n")
    (fresh / "mypkg" / "blocks.py").write_text("class Block: taps = 3\n")
    (fresh / "mypkg" / "net.py").write_text(f"{line}\nclass Net: pass\n")
    before = digest("mypkg.net.Net")
    (fresh / "mypkg" / "blocks.py").write_text("class Block: taps = 5\n")
    assert digest("mypkg.net.Net") != before


def test_a_reexported_name_leads_to_its_file(fresh):
    (fresh / "mypkg").mkdir()
    (fresh / "mypkg" / "__init__.py").write_text("from .impl import make\n")
    (fresh / "mypkg" / "impl.py").write_text("def make(): return 1\n")
    before = digest("mypkg.make")
    (fresh / "mypkg" / "impl.py").write_text("def make(): return 2\n")
    assert digest("mypkg.make") != before
    assert set(sources_of("mypkg.make").digests) == {"mypkg", "mypkg.impl"}


def test_a_folder_without_init_is_a_package(fresh):
    """And so is one in it."""
    for folder, name in (("plain", "plain.net.Net"), ("plain/deep", "plain.deep.net.Net")):
        (fresh / folder).mkdir()
        (fresh / folder / "net.py").write_text("class Net: a = 1\n")
        before = digest(name)
        (fresh / folder / "net.py").write_text("class Net: a = 2\n")
        assert digest(name) != before


def test_nothing_is_run(fresh):
    write(fresh, net="raise SystemExit('imported')\n")
    assert sources_of("net.make") is not None
    assert "net" not in sys.modules


def test_installed_packages_count_by_their_version(fresh):
    write(fresh, net="import torch, numpy\nfrom torchvision.models import resnet18\n")
    assert set(sources_of("net.make").digests) == {"net"}
    [(name, version)] = sources_of("torch.nn.ReLU").digests.items()
    assert name == "torch"
    assert version.startswith("version 2.")


def test_names_of_this_package_and_plain_strings_have_no_source():
    assert sources_of("shiftbench.pool.blur.BlurPool2d") is None
    assert sources_of("resnet50.a1_in1k") is None
    assert sources_of("DEFAULT") is None
    assert sources_of("no.such.module") is None


UNKNOWN = {
    "import_module": "import importlib\nx = importlib.import_module('a' + 'b')\n",
    "exec": "exec('x = 1')\n",
    "__file__": "from pathlib import Path\nx = (Path(__file__).parent / 'taps.txt').exists()\n",
    "run_module": "import runpy\nx = runpy.run_module('blocks')\n",
    "CDLL": "import ctypes\nx = ctypes.CDLL('./kernel.so')\n",
    "sys.path": "import sys\nsys.path.insert(0, 'lib')\nimport blocks\n",
    "addsitedir": "import site\nsite.addsitedir('lib')\nimport blocks\n",
    "__path__": "__path__.append('lib')\n",
    "load": "import torch\nx = torch.load('weights.pt')\n",
    "open": "x = open('taps.txt').read()\n",
    "read_text": "from pathlib import Path\nx = Path('taps.txt').read_text()\n",
    "importlib.resources": "from importlib import resources\nx = resources.files('data')\n",
    "environ": "import os\nx = os.environ['TAPS']\n",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_unknown_parts_are_reported(fresh, what):
    write(fresh, net=UNKNOWN[what])
    [reason] = sources_of("net.make").unknown
    assert "net" in reason
    assert what in reason


def test_a_loader_under_another_name_is_one(fresh):
    write(fresh, net="from importlib import import_module as get\nx = get('blocks')\n")
    assert "import_module" in sources_of("net.make").unknown[0]


def test_star_of_a_package_leads_to_the_modules_that_it_lists(fresh):
    (fresh / "mypkg").mkdir()
    (fresh / "mypkg" / "__init__.py").write_text("__all__ = ['blocks']\n")
    (fresh / "mypkg" / "blocks.py").write_text("taps = 3\n")
    write(fresh, net="from mypkg import *\nmake = blocks\n")
    before = digest("net.make")
    (fresh / "mypkg" / "blocks.py").write_text("taps = 5\n")
    assert digest("net.make") != before


@pytest.mark.parametrize("name", ["test", "übung"], ids=["one of Python's", "not ASCII"])
def test_a_module_may_have_any_name(fresh, name):
    (fresh / f"{name}.py").write_text("def make(): return 1\n")
    before = digest(f"{name}.make")
    (fresh / f"{name}.py").write_text("def make(): return 2\n")
    assert digest(f"{name}.make") != before


def test_an_edit_of_equal_size_and_time_is_executed(fresh):
    """Python itself would run the bytecode of the module as it was."""
    code = "from shiftbench.content.sources import sources_of\n" \
           "print(sources_of('net.make').digest)\nimport net\nprint(net.make())\n"  # fmt: skip
    outputs = []
    for value in (1, 2):
        path = fresh / "net.py"
        path.write_text(f"def make(): return {value}\n")
        os.utime(path, (10**9, 10**9))
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(fresh), *sys.path]),
                 "PYTHONDONTWRITEBYTECODE": ""},
        )  # fmt: skip
        outputs.append(done.stdout.split())
    assert [result for _, result in outputs] == ["1", "2"]
    assert outputs[0][0] != outputs[1][0]


def test_an_edit_before_the_import_is_refused_and_one_after_it_is_not(fresh, monkeypatch):
    write(fresh, net="def make(): return 1\n", late="def make(): return 1\n")
    digest("net.make")
    monkeypatch.setitem(sys.modules, "net", object())  # imported as it was
    sources.require_unedited()
    write(fresh, net="def make(): return 2\n")
    sources.require_unedited()
    digest("late.make")
    write(fresh, late="def make(): return 2\n")
    monkeypatch.setitem(sys.modules, "late", object())
    with pytest.raises(ShiftbenchError, match="late changed while the run was starting"):
        sources.require_unedited()


def test_putting_a_network_into_eval_mode_is_not_evaluating_code(fresh):
    write(fresh, net="def make(net):\n    net.eval()\n    return net\n")
    assert sources_of("net.make").unknown == ()


def test_a_compiled_module_counts_by_its_file(fresh):
    path = fresh / f"fast{EXTENSION_SUFFIXES[0]}"
    path.write_bytes(b"\x7fELF one")
    before = digest("fast.make")
    assert "compiled" in sources_of("fast.make").unknown[0]
    path.write_bytes(b"\x7fELF two")
    assert digest("fast.make") != before


def test_a_module_in_an_archive_is_read(fresh, monkeypatch):
    with zipfile.ZipFile(fresh / "all.zip", "w") as archive:
        archive.writestr("packed.py", "def make(): return 1\n")
    monkeypatch.syspath_prepend(str(fresh / "all.zip"))
    forget()
    assert set(sources_of("packed.make").digests) == {"packed"}
    assert sources_of("packed.make").unknown == ()


def test_the_editable_install_of_a_project_is_followed(fresh, tmp_path):
    """Its finder stands in sys.meta_path; it is asked in a process of its own."""
    (tmp_path / "src" / "theirs").mkdir(parents=True)
    (tmp_path / "src" / "theirs" / "__init__.py").write_text("def make(): return 1\n")
    code = f"""
import importlib.util, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "theirs":
            place = {str(tmp_path / "src" / "theirs")!r}
            return importlib.util.spec_from_file_location(
                name, place + "/__init__.py", submodule_search_locations=[place])
sys.meta_path.append(Finder)
from shiftbench.content.sources import sources_of
print(sorted(sources_of("theirs.make").digests))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['theirs']"
