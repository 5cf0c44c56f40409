"""Who a run is: the names that change whenever a setting changes that can change the result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from shiftbench.config import NOT_IDENTITY, STUDY_KEYS, flatten, short_hash, slug
from shiftbench.errors import UsageError
from shiftbench.files import names_a_file
from shiftbench.naming import Names

# What is decided only once the weights are there: sweeping over it trains once. A data set's
# ``test`` says what is different about its test images, which no weight and no mean depends on.
AFTER_TRAINING = ("shift.", "measure.", "data.test.")
_TEST_LABEL = re.compile(r"\btest\.\w+=(\[[^]]*]|[^],]*)")  # of shapes[test.position=uniform]


@dataclass(frozen=True)
class Identity:
    """What tells one run from another.

    Attributes:
        run_id: Readable slug, seed, and a hash of every setting that can change the result.
        train_id: The same of the settings that can change the trained weights.
        config_id: Hash of every setting but the seed: runs that share it are repetitions.
        labels: What the run is called in tables, group by group.
        settings: Every setting that can change the result, ``{"pool.filter_size": 3}``.
    """

    run_id: str
    train_id: str
    config_id: str
    labels: dict[str, Any]
    settings: dict[str, Any]

    @classmethod
    def of(cls, config: DictConfig, names: Names) -> Identity:
        """Return the identity of a composed configuration.

        Raises:
            UsageError: If ``checkpoint`` names a file that cannot be read.
        """
        settings = _settings(config)
        training = {key: settings[key] for key in settings if not key.startswith(AFTER_TRAINING)}
        repeated = {key: settings[key] for key in settings if key != "seed"}
        trained = replace(names, data=_TEST_LABEL.sub("", names.data))
        return cls(
            run_id=f"{_readable(config, names)}-{_hash(settings)}",
            train_id=f"{_readable(config, trained)}-{_hash(training)}",
            config_id=_hash(repeated),
            labels={**asdict(names), "padding": config.padding, "precision": config.precision,
                    "seed": config.seed},
            settings=settings,
        )  # fmt: skip

    def as_json(self) -> str:
        """Return the text of ``run.json``."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, default=str) + "\n"


def _readable(config: DictConfig, names: Names) -> str:
    parts = (names.data, names.model, names.pool, names.head, config.padding, names.augment)
    return f"{'-'.join(slug(part) for part in parts)[:100]}-s{config.seed}"


def _settings(config: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(config, resolve=True)
    settings = {
        key: value
        for key, value in flatten(content)  # type: ignore[arg-type]
        if key not in NOT_IDENTITY and not key.startswith(STUDY_KEYS)
    }
    for key in ("checkpoint", "model.weights"):
        named = settings.get(key)
        if named and (key == "checkpoint" or names_a_file(str(named))):
            path = Path(str(named)).expanduser()
            settings[key] = f"sha256:{_digest(path, _stamp(path))}"
    return settings


def _hash(settings: Mapping[str, Any]) -> str:
    return short_hash(json.dumps(settings, sort_keys=True, default=str))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return about.st_mtime_ns, about.st_size


@lru_cache(maxsize=64)
def _digest(path: Path, stamp: tuple[int, int]) -> str:
    """Return the hash of a file's content, so that a checkpoint counts by what is in it.

    ``stamp`` lets the jobs of a sweep read a file once, and again when it has changed.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the weights {path} cannot be read ({error.strerror}); "
        "give the path of a checkpoint.pt, as checkpoint=PATH"
    )
