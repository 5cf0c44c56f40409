"""What Hydra 1.3 composes twice, composed once; no torch. Reaches into Hydra's private parts.

A composition takes a tenth of a second: most of what a command costs that has nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import DictConfig


@contextmanager
def mode_is_plain(arguments: Sequence[str]) -> Iterator[None]:
    """Spare Hydra the composition in which it looks for ``hydra.mode``, where none can be set."""
    get_mode = Hydra.get_mode
    if not may_set_mode(arguments):
        setattr(Hydra, "get_mode", lambda *_, **__: None)  # noqa: B010
    try:
        yield
    finally:
        setattr(Hydra, "get_mode", get_mode)  # noqa: B010


def may_set_mode(arguments: Sequence[str]) -> bool:
    """Whether something that was typed could make a sweep of a run, but for ``-m``.

    An experiment may, Hydra's own keys, and flags, which may bring other yaml files.

    >>> may_set_mode(["pool=blur", "seed=0,1", "-m"])
    False
    >>> may_set_mode(["experiment=theory"]), may_set_mode(["--config-dir", "mine"])
    (True, True)
    """
    return any(
        argument.lstrip("+~").startswith(("experiment", "hydra", "-"))
        for argument in arguments
        if argument not in ("-m", "--multirun")
    )


def compose_once(loader: Any) -> None:
    """Let Hydra's loader hand a job the configuration that it was checked with.

    Hydra composes every job twice, to see whether all of them are legal before the first one
    starts, and to run them; where jobs have nothing to do, that is most of a sweep's time.
    """
    compose = loader.load_sweep_config
    composed: dict[tuple[str, ...], Any] = {}

    def load_sweep_config(master_config: DictConfig, sweep_overrides: list[str]) -> Any:
        key = tuple(sweep_overrides)
        if key in composed:
            return composed.pop(key)  # handed out once: a job may change its own
        composed[key] = compose(master_config, sweep_overrides)
        return composed[key]

    loader.load_sweep_config = load_sweep_config
