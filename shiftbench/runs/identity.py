"""Run IDs: a slug and a hash of every setting that can change the result."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from shiftbench.content.origin import Origin
from shiftbench.errors import UsageError
from shiftbench.runs import results_versions
from shiftbench.settings.labels import Names
from shiftbench.settings.sampling import earlier_names
from shiftbench.settings.schema import NOT_IDENTITY, STUDY_KEYS, flatten, is_smoke
from shiftbench.settings.slugs import short_hash, slug
from shiftbench.storage.atomic import names_a_file
from shiftbench.storage.json_files import sorted_text

# Settings without effect on the weights: a sweep over them trains once. A data set's ``test``
# defines the differences of its test images, on which neither weights nor means depend.
AFTER_TRAINING = ("shift.", "metric.", "measure.", "infer.", "data.test.")
# The fixed values of runs before these groups existed: a run with these values keeps its id.
_BEFORE = {
    "optimizer": {"optimizer._target_": "shiftbench.optimizer.sgd.Sgd"},
    "activation": {
        "activation._target_": "shiftbench.activation.relu.ReLU", "activation._partial_": True,
    },
    "infer": {"infer._target_": "shiftbench.infer.single.Single"},
    "metric": {"metric.standard._target_": "shiftbench.metric.options.standard"},
}  # fmt: skip
# Likewise the values that single settings of this package's options have always had.
_ADDED = {
    "model.placement": "after", "model.match_macs": None, "model.anchor": False,
    "pool.taps": None, "pool.gain": 1, "pool.max_first": None,
}  # fmt: skip
_TEST_LABEL = re.compile(r"\btest\.\w+=(\[[^]]*]|[^],]*)")  # of shapes[test.position=uniform]


@dataclass(frozen=True)
class Identity:
    """The properties that distinguish one run from another.

    Attributes:
        run_id: Readable slug, seed, and a hash of every setting that can change the result.
        train_id: Likewise for the settings that can change the trained weights.
        config_id: Hash of every setting except the seed; runs that share it are repetitions.
        labels: Labels of the run in tables, by group.
        settings: Every setting that can change the result, ``{"pool.filter_size": 3}``; paths are
            replaced by the SHA-256 of their content.
        versions: Results versions of the parts that compute the run.
        origin: Paths and digests of ``files``, digests of third-party ``sources``, and what is
            ``unknown``.
        smoke: Whether the study declares its results as not meaningful, see ``Study``; this has no
            effect on them.
    """

    run_id: str
    train_id: str
    config_id: str
    labels: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, int] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict, compare=False)
    smoke: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, config: DictConfig, names: Names) -> Identity:
        """Return the identity of a composed configuration.

        Raises:
            UsageError: If ``checkpoint`` names a file that cannot be read.
        """
        origin = _settings(config)
        settings = origin.settings
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
            versions=results_versions.current(settings),
            origin={"files": origin.files, "sources": origin.sources, "unknown": origin.unknown},
            smoke=is_smoke(config),
        )  # fmt: skip

    def found_in(self, out: Path) -> Identity:
        """Return the same identity under the name of its existing folders, if there are any.

        The readable part of a name contains the name of the data, which depends on its path; the
        hash alone identifies the run.
        """
        return replace(
            self,
            run_id=_known(out / "runs", self.run_id, self.settings),
            train_id=_known(out / "trained", self.train_id, None),
        )

    def as_json(self) -> str:
        """Return the text of ``run.json``; paths are in ``provenance.json``."""
        content = asdict(self)
        content["sources"] = content.pop("origin").get("sources", {})
        return sorted_text(content)


def _readable(config: DictConfig, names: Names) -> str:
    parts = (names.data, names.model, names.pool, names.head, config.padding, names.augment)
    return f"{'-'.join(slug(part) for part in parts)[:100]}-s{config.seed}"


def counting(config: DictConfig) -> dict[str, Any]:
    """Return every setting that can change the result, ``{"pool.filter_size": 3}``.

    Groups and settings that were added later are left out if they have the value that was fixed
    before.
    """
    content: Any = OmegaConf.to_container(config, resolve=True)
    content["shift"] = earlier_names(content.get("shift") or {})
    given = {
        key: value
        for key, value in flatten(content)
        if key not in NOT_IDENTITY and not key.startswith(STUDY_KEYS)
    }
    # Before there was a choice, a network was measured in the precision of its training.
    if given.get("measure.precision") == given.get("precision"):
        given.pop("measure.precision", None)
    if given.get("train.compile") is False:  # it rounds otherwise
        del given["train.compile"]
    for group, before in _BEFORE.items():
        chosen = {key: value for key, value in given.items() if key.partition(".")[0] == group}
        if chosen == before or chosen == {group: {}}:
            given = {key: value for key, value in given.items() if key not in chosen}
    return {key: value for key, value in given.items() if not _is_as_before(key, given)}


def _is_as_before(key: str, given: Mapping[str, Any]) -> bool:
    """Whether a setting says what its option did before there was this setting.

    A third-party option may have had a setting of this name all along.
    """
    own = str(given.get(f"{key.partition('.')[0]}._target_")).startswith("shiftbench.")
    return own and key in _ADDED and given[key] == _ADDED[key]


def _settings(config: DictConfig) -> Origin:
    """Return every setting that can change the result, files by their content."""
    given = counting(config)
    for key in ("checkpoint", "model.weights"):
        named = given.get(key)
        if named and (key == "checkpoint" or names_a_file(str(named))):
            _require_file(Path(str(named)).expanduser())
    try:
        return Origin.of(given)
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be read ({error.strerror}); check its path and permissions"
        ) from error


def _require_file(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(
            f"the weights {path} cannot be read ({error.strerror}); "
            "give the path of a checkpoint.pt: checkpoint=PATH"
        ) from error


def _known(folder: Path, name: str, settings: Mapping[str, Any] | None) -> str:
    """Return the name of the existing folder that differs from ``name`` at most in its slug."""
    if (folder / name).is_dir():
        return name
    ending = re.search(r"-s[0-9]+-[0-9a-f]+$", name)
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return name
    same = sorted(one for one in names if ending and one.endswith(ending.group()))
    found = (one for one in same if settings is None or _settings_of(folder / one) == settings)
    return next(found, name)


def _settings_of(run: Path) -> Any:
    try:
        return json.loads((run / "run.json").read_text("utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hash(settings: Mapping[str, Any]) -> str:
    return short_hash(json.dumps(settings, sort_keys=True, default=str))
