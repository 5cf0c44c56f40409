"""What the jobs of a command need, counted and estimated; without torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

TRAINING = "training"
DIRECT, DENSE, AT_MOST = "direct", "dense", "direct at most"
BYTES_PER_VIEW = 28  # of a prediction table: seven columns of four bytes


@dataclass(frozen=True)
class Work:
    """A part of the work of one job, or the sum of such parts.

    Attributes:
        what: ``training``, or the name of the protocol.
        engine: The engine that measures; ``direct at most`` where this is known only after the
            network ran, '' for training.
        count: Trainings, or prediction tables.
        views: Images × shifts; for training, augmented images over all epochs.
        passes: Forward passes that take as many multiply-adds; a step of training counts as three.
        macs: Multiply-adds.
        seconds: Estimated time, NaN if nothing was timed.
        disk: Bytes of prediction tables before compression, or of checkpoints.
    """

    what: str
    engine: str
    count: int
    views: int
    passes: float
    macs: float
    seconds: float
    disk: float


@dataclass(frozen=True)
class Plan:
    """What the jobs of a command need.

    Attributes:
        jobs: Number of jobs.
        done: Those that are finished already and would be skipped.
        refused: The sentence of each job that would fail because of its settings.
        trained: Trainings that are finished already.
        training_jobs: Jobs to run whose networks are trained.
        work: Parts of the work of all other jobs.
        networks: Distinct architectures among these.
        timed: Those of them that were timed.
        device: Where they were timed.
        memory: Peak memory in bytes while batches were timed, the data included.
        tables: Bytes in memory of the prediction tables of the job with the largest ones.
    """

    jobs: int
    done: int
    refused: tuple[str, ...] = ()
    trained: int = 0
    training_jobs: int = 0
    work: tuple[Work, ...] = field(default_factory=tuple)
    networks: int = 0
    timed: int = 0
    device: str = ""
    memory: float = 0.0
    tables: float = 0.0

    @property
    def trainings(self) -> int:
        """Trainings to run; runs that differ only in what they measure share one."""
        return sum(part.count for part in self.work if part.what == TRAINING)

    def rows(self) -> list[Work]:
        """Return the work summed over jobs: training first, then by protocol and engine."""
        keys = dict.fromkeys((part.what, part.engine) for part in self.work)
        names = list(dict.fromkeys([TRAINING, *(part.what for part in self.work)]))
        ordered = sorted(keys, key=lambda key: names.index(key[0]))
        return [
            added((one for one in self.work if (one.what, one.engine) == key), *key)
            for key in ordered
        ]

    def total(self) -> Work:
        """Return the sum of all work; ``views`` and ``count`` add different things."""
        return added(self.work, "all", "")


def added(parts: Iterable[Work], what: str, engine: str) -> Work:
    """Return the sum of parts under a common name."""
    listed = list(parts)
    return Work(
        what, engine, sum(one.count for one in listed), sum(one.views for one in listed),
        sum(one.passes for one in listed), sum(one.macs for one in listed),
        sum(one.seconds for one in listed), sum(one.disk for one in listed),
    )  # fmt: skip
