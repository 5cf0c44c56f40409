"""Progress bars on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
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

if TYPE_CHECKING:
    from shiftbench.train import EpochRow

log = logging.getLogger(__name__)

# Logs and bars share one console, so that their lines do not tear; results go to stdout.
console = Console(stderr=True)


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
    disable = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=disable, expand=True) as live:
        yield Bar(live, total, description)


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
