"""Settings by content: digests of paths and of class names; without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftbench.content.data import data_content, is_official, test_content
from shiftbench.content.paths import existing, named_path, path_content
from shiftbench.content.sources import sources_of


@dataclass
class Origin:
    """The inputs of a run by content.

    Attributes:
        settings: Its settings, paths replaced by digests of their content, and digests of source
            files added under ``<key>.source``.
        files: Path and SHA-256 of the file or folder in each setting, by the setting's key.
        sources: SHA-256 of every third-party source file, by its module's name.
        unknown: Descriptions of what no digest covers.
        others: Prefixes of the keys whose values are passed to third-party code, ``pool.``.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Origin:
        """Return the content of the settings ``{"pool.filter_size": 3}``.

        Raises:
            OSError: If a file that one of them names cannot be read.
        """
        origin = cls()
        data = str(given.get("data._target_"))
        origin.others = tuple(_of_third_parties(given))
        for key, value in given.items():
            if key == "data.root":
                origin.settings[key] = origin._images(data, value)
            else:
                origin.settings[key] = origin._plain(key, value)
        return origin

    def _images(self, target: str, root: Any) -> Any:
        """Return the replacement for the folder of a data set."""
        path = None if root is None else Path(str(root)).expanduser()
        if is_official(target, path):
            return None  # the name of the data set determines the content of such files
        if (digest := data_content(target, path)) is None:
            return self._plain("data.root", root)
        if (tested := test_content(target, path)) is not None:
            # Separate, under a prefix of settings that cannot change weights (AFTER_TRAINING).
            self.settings["data.test.root"] = self._noted("data.test.root", str(root), tested)
        return self._noted("data.root", str(root), digest)

    def _plain(self, key: str, value: Any) -> Any:
        """Return the replacement for a value, a list of values or a mapping in a list."""
        if isinstance(value, Mapping):
            return {name: self._plain(f"{key}.{name}", part) for name, part in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._plain(f"{key}.{index}", part) for index, part in enumerate(value)]
        if not isinstance(value, str) or (key.endswith(".name") and "/" not in value):
            return value
        if (path := named_path(key, value)) is not None:
            return self._noted(key, value, path_content(path))
        if self._is_theirs(key) and (path := existing(key, value)) is not None:
            # A plain string may be a name as well as a path: both count.
            self.settings[f"{key}.content"] = self._noted(key, value, path_content(path))
            return value
        if (found := sources_of(value)) is not None:
            self.settings[f"{key}.source"] = f"sha256:{found.digest}"
            self.sources |= found.digests
            self.unknown += [reason for reason in found.unknown if reason not in self.unknown]
        return public_name(value) if key.endswith("_target_") else value

    def _is_theirs(self, key: str) -> bool:
        """Whether a setting is an argument of third-party code, whose meaning is unknown here."""
        return key.startswith(("model.kwargs.", *self.others)) and not key.endswith("_target_")

    def _noted(self, key: str, path: str, digest: str) -> str:
        self.files[key] = {"path": path, "sha256": digest}
        return f"sha256:{digest}"


def _of_third_parties(given: Mapping[str, Any]) -> Iterator[str]:
    for key, value in given.items():
        node, _, last = key.rpartition(".")
        if last == "_target_" and not str(value).startswith("shiftbench."):
            yield f"{node}."


def public_name(target: str) -> str:
    """Return a target of the package by the name that does not change when modules move.

    >>> public_name("shiftbench.pool.blur.BlurPool2d"), public_name("mine.pools.Lp")
    ('blur.BlurPool2d', 'mine.pools.Lp')
    """
    if not target.startswith("shiftbench."):
        return target
    return ".".join(target.split(".")[-2:])
