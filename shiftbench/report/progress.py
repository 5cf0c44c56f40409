"""Progress bars on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from shiftbench.runs.sweep_state import DONE, ENDED, FAILED, RUNNING, Job

if TYPE_CHECKING:
    from shiftbench.training.epoch_stats import EpochRow

log = logging.getLogger(__name__)

# Logs and bars share one console, so that lines do not overwrite each other; results go to stdout.
console = Console(stderr=True)


# Only one display draws at a time: a sweep's display also draws the bar of its running job.
_displays: list[SweepDisplay] = []
_muted: list[bool] = []


def mute() -> None:
    """Disable progress bars in this process, because another one draws on the same terminal."""
    _muted.append(True)


class SweepDisplay:
    """The progress line of a sweep: jobs done, running and failed, and the remaining time.

    Args:
        jobs: Returns the current state of all jobs, whichever process runs them.
        shown: Whether to draw; without a terminal, nothing is drawn in any case.
    """

    LOOK_EVERY = 1.0  # seconds; each update reads one file per job

    def __init__(self, jobs: Callable[[], Sequence[Job]], shown: bool) -> None:
        self.jobs = jobs
        self.shown = shown and console.is_terminal
        self.inner: Progress | None = None
        self.started = time.monotonic()
        self.seen = float("-inf")
        self.line = ""
        self.live = Live(
            get_renderable=self._render, console=console, transient=True, refresh_per_second=8
        )

    def start(self) -> None:
        """Start drawing."""
        if self.shown:
            _displays.append(self)
            self.live.start()

    def stop(self) -> None:
        """Stop drawing."""
        if self in _displays:
            _displays.remove(self)
            self.live.stop()

    def _render(self) -> RenderableType:
        now = time.monotonic()
        if now - self.seen >= self.LOOK_EVERY:
            self.seen = now
            self.line = standing(self.jobs(), now - self.started)
        line = Text(self.line, style="bold", no_wrap=True, overflow="ellipsis")
        return Group(self.inner.get_renderable(), line) if self.inner else line


def standing(jobs: Sequence[Job], seconds: float) -> str:
    """Return the state of a sweep after so many seconds, in one line.

    The remaining time is estimated from jobs that computed something, at the current parallelism.
    """
    count = Counter(job.state for job in jobs)
    ended = sum(count[state] for state in ENDED)
    parts = [f"sweep: {ended} of {len(jobs)} done"]
    parts += [f"{count[state]} {state}" for state in (RUNNING, FAILED) if count[state]]
    worked = [job.seconds for job in jobs if job.state == DONE]
    if worked:
        each = sum(worked) / len(worked)
        left = each * (len(jobs) - ended) / max(1, count[RUNNING])
        parts.append(f"about {duration(left)} left")
    parts.append(f"{duration(seconds)} so far")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as text.

    >>> duration(45), duration(200), duration(7300)
    ('45 s', '3 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Rate(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Return ``1,234 images/s``."""
        speed = task.finished_speed or task.speed
        rate = f"{speed:,.0f} {self.unit}/s" if speed else ""
        return Text(rate, style="cyan", no_wrap=True)  # a line break would move the bar


@contextmanager
def bar(total: int, unit: str, description: str, shown: bool) -> Iterator[Bar]:
    """Show a progress bar of ``total`` items while the block runs."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        Rate(unit),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    shown = shown and console.is_terminal and not _muted
    live = Progress(*columns, console=console, transient=True, disable=not shown, expand=True)
    if not _displays:
        with live:
            yield Bar(live, total, description)
        return
    _displays[-1].inner = live  # the sweep's display draws it above its line
    try:
        yield Bar(live, total, description)
    finally:
        _displays[-1].inner = None


class Bar:
    """A progress bar; also the listener of a training job."""

    def __init__(self, live: Progress, total: int, description: str) -> None:
        self.live = live
        self.description = description
        self.task = live.add_task(description, total=total)

    def step(self, items: int) -> None:
        """Advance by a number of items."""
        self.live.advance(self.task, items)

    def reach(self, done: int, total: int) -> None:
        """Set the number of finished items and the total."""
        self.live.update(self.task, completed=done, total=total)

    def look(self, epoch: int, loss: float, accuracy: float) -> None:
        """Show the current epoch, loss and accuracy."""
        text = f"epoch {epoch}  loss {loss:.2f}  top1 {accuracy:.2f}"
        self.live.update(self.task, description=text)

    def epoch(self, row: EpochRow) -> None:
        """Log a line for a finished epoch."""
        log.info(
            "epoch %3d  loss %.3f  train %.3f  val %.3f  %s images/s",
            row.epoch, row.train_loss, row.train_accuracy, row.val_accuracy,
            f"{row.images_per_second:,.0f}",
        )  # fmt: skip
