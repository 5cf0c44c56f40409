"""Build hook: a wheel and a source distribution name the commit that they were built from."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RecordCommit(BuildHookInterface):  # type: ignore[type-arg]
    """Adds ``shiftbench/commit.txt``; an editable install asks git instead."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to what is built, if this is a checkout; nothing is written to it."""
        root = Path(self.root)
        # By its path: importing the package would need its dependencies.
        spec = importlib.util.spec_from_file_location("commit", root / "shiftbench/runs/commit.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = None if version == "editable" else module.of_checkout(root)
        if found is None:
            return
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, "commit.txt")
        path.write_text(f"{found}\n", "utf-8")
        build_data["force_include"][str(path)] = module.RECORDED.as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary file."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()
