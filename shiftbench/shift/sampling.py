"""Which offsets of a grid are tested: the ``sampling`` node of a protocol."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar, cast

from shiftbench.errors import UsageError, require_one_of, require_within
from shiftbench.shift.peer import PEERS
from shiftbench.shift.plan import PATHS, Grid, Plan, drawn, exhaustive, replayed, sequence

MODES = ("auto", "all", "draws", "path")
MOST_EXHAUSTIVE = 128
Protocol = TypeVar("Protocol", bound=type)


@dataclass(frozen=True)
class AxisSampling:
    """How a protocol selects from its grid of offsets; a step of the path is on the last axis.

    Args:
        mode: ``all`` tests every offset, ``draws`` tests ``draws`` of them per image; ``auto`` is
            ``all`` for at most 128 offsets and ``draws`` otherwise. ``path`` tests a sequence of
            ``steps`` steps around the base view, from −⌊steps/2⌋ to +⌈steps/2⌉.
        draws: Number of offsets per image, drawn without replacement.
        steps: Number of steps per image for ``top1_change`` if offsets are drawn.
        seed: Seed of the draws; the random stream is independent of all others.
    """

    mode: str = "auto"
    draws: int = 32
    steps: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        require_one_of("shift sampling", self.mode, self.modes())
        require_within("shift seed", self.seed, 0, 2**32 - 1)  # range of NumPy's legacy stream
        if self.draws < 2:
            raise UsageError(f"shift draws={self.draws} is too few; a pair of views needs 2")
        if self.steps < 0:
            raise UsageError(f"shift steps={self.steps} is negative; allowed: 0 or more")

    @classmethod
    def modes(cls) -> tuple[str, ...]:
        """Return the values of ``mode``."""
        return MODES

    def plan(self, n_images: int, grid: Grid, protocol: str) -> Plan:
        """Return the plan for ``n_images`` images on the grid of the named protocol.

        Raises:
            UsageError: If the grid has too few offsets.
        """
        size, step = len(grid) - grid.first, self._step(grid)
        if size < 2:
            raise UsageError(f"shift.{protocol} leaves a single offset; a pair of views needs 2")
        if self.mode == "path":
            return exhaustive(sequence(grid, self.steps, step, protocol), step)
        shows_all = self.mode == "all" or self.draws >= size
        if shows_all or (self.mode == "auto" and size <= MOST_EXHAUSTIVE):
            return exhaustive(grid, step)
        return drawn(n_images, grid, step, (self.draws, self.steps, self.seed), protocol)

    def flat(self) -> dict[str, Any]:
        """Return the fields under the names that they have among the fields of a protocol."""
        own = asdict(self)
        return {"sampling": own.pop("mode"), **own}

    def _step(self, grid: Grid) -> tuple[int, ...]:
        return (*(0,) * (grid.offsets.shape[1] - 1), 1)


@dataclass(frozen=True)
class Sampling(AxisSampling):
    """How a protocol selects from its grid of offsets (dy, dx), with one-pixel steps.

    Args:
        mode: As in :class:`AxisSampling`, like ``draws``, ``steps`` and ``seed``.
        path: Direction of a one-pixel step of the content: ``diagonal`` (down and to the right),
            ``reverse_diagonal`` (up and to the left), ``horizontal``, ``vertical``.
    """

    path: str = "diagonal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("shift path", self.path, PATHS)

    def _step(self, grid: Grid) -> tuple[int, ...]:
        return PATHS[self.path]


@dataclass(frozen=True)
class PeerSampling(Sampling):
    """Sampling with an additional mode, the draws of a publication (``mode: peer``).

    Args:
        mode: As in :class:`Sampling`, or ``peer``; ``seed`` is then the seed of the generator that
            the publication used.
        peer: The publication whose draws ``mode: peer`` reproduces, a key of
            :data:`~shiftbench.shift.peer.PEERS`.
        batch: Number of images that share such a draw; None is the published number.
    """

    peer: str | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.peer is not None or self.mode == "peer":
            require_one_of("shift peer", self.peer, PEERS)
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"shift batch={self.batch} is too few; allowed: 1 or more, or null")

    @classmethod
    def modes(cls) -> tuple[str, ...]:
        """Return the values of ``mode``."""
        return (*MODES, "peer")

    def plan(self, n_images: int, grid: Grid, protocol: str) -> Plan:
        """Return the plan, see :meth:`Sampling.plan`."""
        if self.mode != "peer" or len(grid) - grid.first < 2:
            return super().plan(n_images, grid, protocol)
        return replayed(n_images, grid, str(self.peer), self.batch, self.seed)


def takes_sampling(protocol: Protocol) -> Protocol:
    """Let the constructor of a dataclass accept the fields of its ``sampling`` directly.

    ``Circular(sampling="draws", draws=5)`` is ``Circular(sampling=Sampling("draws", draws=5))``, as
    in releases before the ``sampling`` node; a mapping, as from a yaml, is accepted as well.
    """
    own = {field.name: field.default for field in fields(protocol)}
    default = cast(AxisSampling, own["sampling"])
    makes: Callable[..., None] = vars(protocol)["__init__"]

    @functools.wraps(makes)
    def init(self: Any, *args: Any, **given: Any) -> None:
        names = {field.name for field in fields(default)} - own.keys()
        flat = {name: given.pop(name) for name in names & given.keys()}
        makes(self, *args, **given)
        object.__setattr__(self, "sampling", _sampling(default, self.sampling, flat))

    setattr(protocol, "__init__", init)  # noqa: B010 (mypy takes the plain assignment for unsound)
    return protocol


def _sampling(default: AxisSampling, given: object, flat: Mapping[str, Any]) -> AxisSampling:
    if isinstance(given, Mapping):
        given = type(default)(**{str(name): value for name, value in given.items()})
    elif isinstance(given, str):
        given = replace(default, mode=given, **flat)
        flat = {}
    if not isinstance(given, AxisSampling):
        raise UsageError(
            f"a protocol's sampling={given} is not a mapping; give one, e.g. "
            f"{{mode: draws, draws: 8}}"
        )
    return replace(given, **flat) if flat else given
