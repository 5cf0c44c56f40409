"""The run folder: its name, state and provenance; without torch."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from shiftbench.errors import ShiftbenchError, UnforeseenError
from shiftbench.prediction_table import PredictionTable
from shiftbench.runs import results_versions
from shiftbench.runs.identity import Identity
from shiftbench.runs.provenance import provenance
from shiftbench.runs.run_log import log_file
from shiftbench.runs.run_state import Once, write_status
from shiftbench.runtime.failures import reason_of
from shiftbench.settings.labels import Names
from shiftbench.storage.atomic import cannot_write, remove_leftovers, set_aside, write_text
from shiftbench.storage.interrupts import how_stopped
from shiftbench.storage.json_files import read_mapping, sorted_text, write_mapping
from shiftbench.storage.locks import WaitsFor, always, exclusive
from shiftbench.storage.result_files import RESULTS, digest_of_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run: its identity and its folder.

    Attributes:
        identity: The properties that distinguish it from other runs.
        names: Labels of the groups.
        out: The output folder of all runs.
    """

    identity: Identity
    names: Names
    out: Path

    @classmethod
    def of(cls, config: DictConfig, names: Names) -> Run:
        """Return the run that ``config`` describes; nothing is written."""
        out = Path(config.out).expanduser()
        return cls(Identity.of(config, names).found_in(out), names, out)

    @property
    def id(self) -> str:
        """A readable slug and a hash of everything that can change the result."""
        return self.identity.run_id

    @property
    def folder(self) -> Path:
        """``<out>/runs/<id>``."""
        return self.out / "runs" / self.id

    @property
    def trained(self) -> Path:
        """``<out>/trained/<train_id>``, shared by runs that differ only in what they measure."""
        return self.out / "trained" / self.identity.train_id

    @property
    def checkpoint(self) -> Path:
        """The path of the trained weights."""
        return self.trained / "checkpoint.pt"

    @property
    def lock(self) -> Path:
        """The file that a process locks while it works on the run."""
        return self.folder / ".lock"

    def status(self) -> dict[str, Any]:
        """Return the content of ``status.json``, ``{"state": "new"}`` if it cannot be read."""
        return self._content("status.json") or {"state": "new"}

    def _content(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file of the run, {} if it cannot be read."""
        try:
            return read_mapping(self.folder / name)
        except (OSError, ValueError):
            return {}

    def is_done(self) -> bool:
        """Whether the run is finished and its result files exist unmodified."""
        status = self.status()
        if status.get("state") != "done":
            return False
        written = status.get("files", {})
        return all(digest_of_file(self.folder / name) == written.get(name) for name in RESULTS)

    def has_begun(self) -> bool:
        """Whether data and network were built, so that training or measuring could begin."""
        return "preprocessing" in self._content("run.json")

    def note(self, **facts: Any) -> None:
        """Write ``run.json`` with facts that are known only after data and network are built."""
        content = {**json.loads(self.identity.as_json()), **facts}
        write_text(self.folder / "run.json", sorted_text(content))

    def add_provenance(self, **facts: Any) -> None:
        """Add facts to ``provenance.json`` that are known only when the run has begun."""
        write_mapping(
            self.folder / "provenance.json", {**self._content("provenance.json"), **facts}
        )

    def noted(self, name: str) -> Any:
        """Return a fact that was added to ``run.json`` under ``name``, None if there is none."""
        return self._content("run.json").get(name)

    def outdated(self) -> dict[str, tuple[int, int]]:
        """Return the parts whose results version has changed since the run: then and now."""
        made = self._content("run.json").get("versions", {})
        return results_versions.changes(made, self.identity.versions)

    def made_by(self) -> str:
        """Return the release of shiftbench that computed the run."""
        return str(self._content("provenance.json").get("shiftbench", "of an unknown release"))

    def older_than(self, started: float) -> bool:
        """Whether the results were written before ``started`` (seconds since the epoch)."""
        try:
            return (self.folder / "status.json").stat().st_mtime < started
        except OSError:
            return True

    def table_path(self, protocol: str) -> Path:
        """Return the path of the prediction table of a protocol."""
        return self.folder / "predictions" / f"{protocol}.npz"

    def table(self, protocol: str) -> PredictionTable | None:
        """Return a table that this run wrote before it was interrupted, None if there is none.

        A file that is damaged or belongs to another run is set aside.
        """
        path = self.table_path(protocol)
        if not path.exists():
            return None
        try:
            table = PredictionTable.load(path)
            if table.meta.get("run_id") == self.id:
                return table
            reason = f"{path} belongs to {table.meta.get('run_id')}"
        except ShiftbenchError as error:
            reason = str(error)
        log.warning("%s; kept as %s, measuring again", reason, set_aside(path).name)
        return None

    def set_status(self, state: str, **details: Any) -> None:
        """Write ``status.json``."""
        write_status(self.folder, state, **details)

    @contextmanager
    def alone(self, waits_for: WaitsFor = always) -> Iterator[None]:
        """Hold the lock of the run during the block.

        Args:
            waits_for: Whether to wait for a process that holds it.

        Raises:
            BusyError: If another process holds it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        waiting = f"another process works on {self.id}; waiting for it"
        with exclusive(self.lock, waiting, waits_for):
            yield

    def training_alone(self, waits_for: WaitsFor = always) -> AbstractContextManager[None]:
        """Hold the lock of the training during the block, like :meth:`alone`."""
        waiting = "another process trains this network; waiting for it"
        return exclusive(self.trained / ".lock", waiting, waits_for)

    def forget(self, since: float, trains_alone: bool = False) -> None:
        """Remove checkpoint and results, so that the run starts again; keep the log and the state.

        A checkpoint begun after ``since`` (seconds since the epoch) is kept: another job of the
        same command has just written it.

        Args:
            since: See above.
            trains_alone: Whether the caller holds the lock of the training.
        """
        patterns = ("*.csv", "predictions/*.npz", "figures/*.png")
        for pattern in patterns:
            for path in self.folder.glob(pattern):
                path.unlink()
        lock = nullcontext() if trains_alone else exclusive(self.trained / ".lock")
        with lock, suppress(FileNotFoundError):
            if self.checkpoint.stat().st_mtime < since:
                self.checkpoint.unlink()

    @contextmanager
    def recording(
        self, config: DictConfig, overrides: list[str], *, keeps_results: bool = False
    ) -> Iterator[Callable[[], None]]:
        """Record configuration, provenance, log and state of the block.

        Args:
            config: The configuration.
            overrides: Its overrides.
            keeps_results: Whether the run is finished and stays as it is, except for its log, until
                the block calls the function that it is given; otherwise this has no effect.

        Yields:
            Records the beginning, unless that was done before.
        """
        started = time.monotonic()
        begin = Once(lambda: self._prepare(config, overrides))
        if not keeps_results:
            begin()
        with log_file(self.folder / "run.log"):
            try:
                yield begin
                self._require_unchanged(config)
                files = {name: digest_of_file(self.folder / name) for name in RESULTS}
                self.set_status("done", seconds=round(time.monotonic() - started, 1), files=files)
            except ShiftbenchError as error:
                self._record_failure("failed", str(error), None, begin.is_done)
                raise
            except KeyboardInterrupt as stop:
                self._record_failure("interrupted", how_stopped(stop), None, begin.is_done)
                raise
            except Exception as error:
                reason = reason_of(error)
                self._record_failure("failed", reason, error, begin.is_done)
                path = self.folder / "run.log"
                raise UnforeseenError(f"{reason}; the traceback is in {path}") from error

    def _prepare(self, config: DictConfig, overrides: list[str]) -> None:
        try:
            made = {**provenance(), **self.identity.origin}
            remove_leftovers(self.folder)
            self._put_damaged_results_aside()
            write_text(self.folder / "run.json", self.identity.as_json())
            self.set_status("running")
            write_text(self.folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
            write_text(self.folder / "overrides", "".join(f"{item}\n" for item in overrides))
            write_mapping(self.folder / "provenance.json", made)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _require_unchanged(self, config: DictConfig) -> None:
        """Raise an error if data or weights changed while the run read them."""
        before, after = self.identity.settings, Identity.of(config, self.names).settings
        changed = [key for key in before if before[key] != after.get(key)]
        if changed:
            for name in RESULTS:
                (self.folder / name).unlink(missing_ok=True)
            raise ShiftbenchError(
                f"{', '.join(changed)} changed while the run was working, so its numbers would be "
                "of neither state; run the same command again"
            )

    def _put_damaged_results_aside(self) -> None:
        """Rename results that differ from what the finished run wrote."""
        status = self.status()
        if status.get("state") != "done":
            return
        for name in RESULTS:
            path = self.folder / name
            if path.exists() and digest_of_file(path) != status.get("files", {}).get(name):
                kept = set_aside(path)
                log.warning("%s was changed since it was written; kept as %s", path, kept.name)

    def _record_failure(
        self, state: str, reason: str, error: Exception | None, has_begun: bool
    ) -> None:
        log.debug("%s: %s", state, reason, exc_info=error)
        if not has_begun:  # the results of a finished run are still there
            return
        try:
            self.set_status(state, error=reason)
        except OSError:
            log.warning("could not write %s", self.folder / "status.json")
