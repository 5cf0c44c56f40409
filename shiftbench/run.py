"""The run folder: its name, its state, what it was made with; no torch."""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from shiftbench import __version__
from shiftbench.config import NOT_IDENTITY, Names, flatten, short_hash, slug
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.files import write_text

log = logging.getLogger(__name__)

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pandas")


@dataclass(frozen=True)
class Run:
    """One run: where it lives and what it is called.

    Attributes:
        id: Readable slug and a hash of everything that can change the result.
        folder: ``<out>/runs/<id>``.
        names: Labels of the groups.
    """

    id: str
    folder: Path
    names: Names

    @classmethod
    def of(cls, config: DictConfig, names: Names) -> Run:
        """Return the run that ``config`` describes; nothing is written."""
        identity = run_id(config, names)
        return cls(identity, Path(config.out).expanduser() / "runs" / identity, names)

    def status(self) -> dict[str, Any]:
        """Return what ``status.json`` says, ``{"state": "new"}`` where there is none to read."""
        try:
            content = json.loads((self.folder / "status.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {"state": "new"}
        return content if isinstance(content, dict) else {"state": "new"}

    def is_done(self) -> bool:
        """Whether the run is finished and its results are there."""
        results = (self.folder / "metrics.csv", self.folder / "shifts.csv")
        return self.status().get("state") == "done" and all(path.is_file() for path in results)

    def set_status(self, state: str, **details: Any) -> None:
        """Write ``status.json``."""
        content = {"state": state, "time": _now(), **details}
        write_text(self.folder / "status.json", json.dumps(content, indent=2) + "\n")

    def forget(self) -> None:
        """Remove the checkpoint and the results, so that the run starts anew; keep the log."""
        patterns = ("checkpoint.pt", "*.csv", "status.json", "predictions/*.npz", "figures/*.png")
        for pattern in patterns:
            for path in self.folder.glob(pattern):
                path.unlink()

    @contextmanager
    def recording(self, config: DictConfig, overrides: list[str]) -> Iterator[None]:
        """Keep configuration, provenance, log and state of what happens inside the block."""
        self._prepare(config, overrides)
        with _log_file(self.folder / "run.log"):
            try:
                yield
                self.set_status("done")
            except ShiftbenchError as error:
                self._record_failure("failed", str(error), None)
                raise
            except KeyboardInterrupt:
                self._record_failure("interrupted", "stopped by Ctrl-C", None)
                raise
            except Exception as error:
                reason = _reason(error)
                self._record_failure("failed", reason, error)
                place = self.folder / "run.log"
                raise ShiftbenchError(f"{reason}; the traceback is in {place}") from error

    def _prepare(self, config: DictConfig, overrides: list[str]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.set_status("running")
            write_text(self.folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
            write_text(self.folder / "overrides", "".join(f"{item}\n" for item in overrides))
            write_text(self.folder / "provenance.json", json.dumps(provenance(), indent=2) + "\n")
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.folder} ({error.strerror or error}); "
                "choose another folder with out=PATH"
            ) from error

    def _record_failure(self, state: str, reason: str, error: Exception | None) -> None:
        log.debug("%s: %s", state, reason, exc_info=error)
        try:
            self.set_status(state, error=reason)
        except OSError:
            log.warning("could not write %s", self.folder / "status.json")


def _reason(error: Exception) -> str:
    """Return one line for an error that nobody foresaw, or that the machine made."""
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}; finished files are whole, out=PATH chooses another folder"
    first = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first[0]}"


def run_id(config: DictConfig, names: Names) -> str:
    """Return a readable slug and a hash of every setting that can change the result."""
    content = OmegaConf.to_container(config, resolve=True)
    settings = {
        key: value
        for key, value in flatten(content)  # type: ignore[arg-type]
        if key not in NOT_IDENTITY
    }
    if settings.get("checkpoint"):
        settings["checkpoint"] = _digest(Path(settings["checkpoint"]).expanduser())
    parts = (names.data, names.model, names.pool, names.head, config.padding, names.augment)
    text = json.dumps(settings, sort_keys=True, default=str)
    readable = "-".join(slug(part) for part in parts)[:100]
    return f"{readable}-s{config.seed}-{short_hash(text)}"


def _digest(path: Path) -> str:
    """Return the hash of a file's content, so that a checkpoint counts by what is in it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"checkpoint={path} cannot be read ({error.strerror}); give the path of a checkpoint.pt"
        ) from error


def provenance() -> dict[str, Any]:
    """Return what a result was made with: command, versions, machine, commit."""
    return {
        "time": _now(),
        "command": ["shiftbench", *sys.argv[1:]],
        "shiftbench": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "processor": _processor()},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the checkout's commit, None outside a checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("shiftbench")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
