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

# Logs and bars share one console, so that their lines do not tear; results go to stdout.
console = Console(stderr=True)


# One display at a time may draw: a sweep's, with the bar of its running job inside.
_displays: list[SweepDisplay] = []
_muted: list[bool] = []


def mute() -> None:
    """Show no bars in this process: others draw on the same terminal."""
    _muted.append(True)


class SweepDisplay:
    """The line of a whole sweep: jobs done, running, failed, time left.

    Args:
        jobs: Returns every job as it stands, whoever runs it.
        shown: False for none; there is none off a terminal either.
    """

    LOOK_EVERY = 1.0  # seconds; the jobs stand in files, which are read each time

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
        """Begin to draw."""
        if self.shown:
            _displays.append(self)
            self.live.start()

    def stop(self) -> None:
        """Draw no more."""
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
    """Return how a sweep stands after so many seconds, in one line.

    What is left is reckoned from the jobs that had work to do, those at work side by side.
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
    """Return a length of time in words.

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
        return Text(rate, style="cyan", no_wrap=True)  # a second line would make the bar jump


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
    _displays[-1].inner = live  # drawn above the sweep's line, by the sweep's display
    try:
        yield Bar(live, total, description)
    finally:
        _displays[-1].inner = None


class Bar:
    """One line that moves; also the watcher of a training job."""

    def __init__(self, live: Progress, total: int, description: str) -> None:
        self.live = live
        self.description = description
        self.task = live.add_task(description, total=total)

    def step(self, items: int) -> None:
        """Count items."""
        self.live.advance(self.task, items)

    def reach(self, done: int, total: int) -> None:
        """So many of ``total`` items are done."""
        self.live.update(self.task, completed=done, total=total)

    def look(self, epoch: int, loss: float, accuracy: float) -> None:
        """Show where training stands."""
        text = f"epoch {epoch}  loss {loss:.2f}  top1 {accuracy:.2f}"
        self.live.update(self.task, description=text)

    def epoch(self, row: EpochRow) -> None:
        """Log a line for a finished epoch."""
        log.info(
            "epoch %3d  loss %.3f  train %.3f  val %.3f  %s images/s",
            row.epoch, row.train_loss, row.train_accuracy, row.val_accuracy,
            f"{row.images_per_second:,.0f}",
        )  # fmt: skip
