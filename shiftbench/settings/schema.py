"""The schema of the configuration, its range checks, and the folder of its yaml files."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import II, MISSING, DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from shiftbench.errors import (
    UsageError,
    did_you_mean,
    in_yaml,
    printable,
    require_one_of,
    require_within,
)  # fmt: skip
from shiftbench.settings.ranges import RANGES

_PACKAGED = Path(__file__).parents[1] / "configs"  # in a wheel
CONFIG_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "configs"

GROUPS = (
    "data", "model", "pool", "head", "activation", "augment", "shift", "metric", "train",
    "optimizer", "infer", "experiment",
)  # fmt: skip
PADDINGS = ("zeros", "circular", "reflect", "full")
PRECISIONS = ("fp32", "tf32", "bf16")
SCHEDULES = ("onecycle", "cosine")
ENGINES = ("auto", "direct", "dense")
SCALES = ("smoke", "cpu", "gpu")
CAPTURES = ("auto", "true", "false")

# Settings that cannot change a result are not part of a run's identity.
NOT_IDENTITY = (
    "device", "threads", "deterministic", "out", "force", "fail_fast", "progress", "figures",
    "data.workers", "data.memory_limit_gb", "measure.batch_size", "measure.memory_gb",
    "train.capture",  # the same bits
    "optimizer.default_lr", "optimizer.default_weight_decay",  # contained in train.lr
)  # fmt: skip
# Groups of which a run may have several options, each under its own name: shift=[circular,crop].
LISTS = ("shift", "metric")
# Groups of which a run always has one.
_CHOSEN = ("data", "model", "pool", "activation", "augment", "optimizer", "infer")
# Keys of an optimizer's yaml that define defaults of the train group.
DEFAULT_RATES = ("default_lr", "default_weight_decay")
# As in sgd.yaml, relu.yaml and single.yaml, for a user's own configuration without these groups.
_SGD = {
    "_target_": "shiftbench.optimizer.sgd.Sgd", "default_lr": 0.1, "default_weight_decay": 5e-4,
}  # fmt: skip
_SINGLE = {"_target_": "shiftbench.infer.single.Single"}
_RELU = {"_target_": "shiftbench.activation.relu.ReLU", "_partial_": True}
# Keys that select the runs of a study; no part of a run's identity, as no result depends on them.
STUDY_KEYS = ("study.", "scale")


@dataclass
class Train:
    """Settings of the training; ``epochs=0`` means no training."""

    epochs: int = 0
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "onecycle"
    warmup: float = 0.25
    label_smoothing: float = 0.1
    capture: Any = "auto"
    compile: bool = False


def _train() -> Train:
    """Return the defaults of ``train``, with the rates of the optimizer's yaml."""
    return Train(lr=II("optimizer.default_lr"), weight_decay=II("optimizer.default_weight_decay"))


@dataclass
class Measure:
    """Settings of the measurement."""

    engine: str = "auto"
    precision: str = "fp32"
    batch_size: Any = "auto"
    memory_gb: float = 1.0
    resamples: int = 1000
    layers: bool = True


@dataclass
class Study:
    """The definition of a study, see ``configs/experiment``.

    Attributes:
        claims: The published findings that it decides, by key or readable name:
            ``[A1, wider_blur_more_consistent]``.
        scales: The values of each ``scale=NAME``, to which the rest of the yaml refers. A scale
            with ``smoke: true`` only tests the commands; its results are not meaningful, which
            reports state.
        grids: Parts of the sweep, each a full grid as ``{part: {pool: "max,blur"}}``.
    """

    claims: list[str] = field(default_factory=list)
    scales: dict[str, Any] = field(default_factory=dict)
    grids: dict[str, Any] = field(default_factory=dict)


@dataclass
class Config:
    """Every key of ``configs/config.yaml``; the groups' own keys are open."""

    data: Any = MISSING
    model: Any = MISSING
    pool: Any = MISSING
    head: Any = None
    augment: Any = MISSING
    shift: dict[str, Any] = field(default_factory=dict)
    metric: dict[str, Any] = field(default_factory=dict)
    optimizer: Any = field(default_factory=lambda: dict(_SGD))
    activation: Any = field(default_factory=lambda: dict(_RELU))
    infer: Any = field(default_factory=lambda: dict(_SINGLE))
    train: Train = field(default_factory=_train)
    measure: Measure = field(default_factory=Measure)
    padding: str = "zeros"
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    precision: str = "fp32"
    deterministic: bool = True
    checkpoint: str | None = None
    out: str = "outputs"
    force: bool = False
    fail_fast: bool = False
    progress: bool = True
    figures: bool = True
    scale: str = "cpu"
    study: Study = field(default_factory=Study)


@cache  # Hydra 1.4 warns if a name is registered again
def register() -> None:
    """Register the schema with Hydra; may be called more than once."""
    from hydra.core.config_store import ConfigStore  # late: `list` and `report` start without it

    from shiftbench.settings.sampling import read_earlier_names

    ConfigStore.instance().store(name="schema", node=Config)
    read_earlier_names()


def check(config: DictConfig) -> None:
    """Refuse values out of range, each in one sentence.

    Raises:
        UsageError: With the key, the value and the allowed values.
    """
    check_scale(config)
    _check_whole(config)
    _check_paths(config)
    require_one_of("padding", config.padding, PADDINGS)
    require_one_of("precision", config.precision, PRECISIONS)
    require_one_of("measure.precision", config.measure.precision, PRECISIONS)
    require_one_of("measure.engine", config.measure.engine, ENGINES)
    require_one_of("train.schedule", config.train.schedule, SCHEDULES)
    require_one_of("train.capture", in_yaml(config.train.capture).lower(), CAPTURES)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", config.device):
        raise UsageError(
            f"device={printable(config.device)} is not known; allowed: auto, cpu, cuda, cuda:1, mps"
        )
    for key, low, high in RANGES:
        if (value := OmegaConf.select(config, key)) is not None:
            require_within(key, value, low, high)
    _check_views(config.measure.batch_size)
    if not config.shift:
        raise UsageError("shift=[] leaves nothing to measure; name one, e.g. shift=circular")
    _check_groups(config)


def check_scale(config: DictConfig) -> None:
    """Refuse a ``scale`` that the study does not define; other values may refer to it.

    Raises:
        UsageError: With the scales of the study.
    """
    if "scale" in config and "study" in config:  # missing keys are reported by _check_whole
        scales = list(config.study.get("scales") or SCALES)
        require_one_of("scale", config.scale, scales)


def is_smoke(config: DictConfig) -> bool:
    """Whether the study's scale is marked ``smoke: true``."""
    scales = OmegaConf.select(config, "study.scales") or {}
    chosen = scales.get(config.get("scale"))
    return isinstance(chosen, Mapping) and bool(chosen.get("smoke"))


def _check_whole(config: DictConfig) -> None:
    """Refuse a configuration with missing keys, or with unusable values or paths."""
    lacking = [key for key in Config.__dataclass_fields__ if key not in set(config.keys())]
    if lacking:
        raise UsageError(
            f"the configuration has no {', '.join(map(str, lacking))}; leave ~ and --config-name "
            "away, or begin the defaults of your own with shiftbench's: - config"
        )
    for extra in map(str, config):
        if extra not in Config.__dataclass_fields__:
            hint = did_you_mean(extra, Config.__dataclass_fields__)
            raise UsageError(f"{printable(extra)} is not a setting{hint}; see shiftbench --cfg job")
    try:
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key
        raise UsageError(f"{key} has no value; give one, e.g. {key}=VALUE") from error
    except (OmegaConfBaseException, RecursionError) as error:
        key = (isinstance(error, OmegaConfBaseException) and error.full_key) or "a setting"
        found = re.search(r"\w[^:\n\"]* not found", str(error))
        reason = f" ({printable(found.group(), 200)})" if found else ""
        raise UsageError(f"{key} cannot be resolved{reason}; give it a plain value") from error


def _check_views(number: Any) -> None:
    # As a string where it comes from an environment variable.
    is_number = type(number) in (int, str) and str(number).isdecimal()
    if number != "auto" and not (is_number and 1 <= int(number) <= 65_536):
        raise UsageError(
            f"measure.batch_size={in_yaml(number)} is not a number of views; "
            "give a whole number from 1 to 65536, or auto"
        )


def _check_paths(config: DictConfig) -> None:
    if not config.out.strip():
        raise UsageError("out is empty; give a folder, e.g. out=outputs")
    for key in ("out", "checkpoint", "data.root"):
        path = OmegaConf.select(config, key)
        try:
            kind = Path(path or ".").expanduser().stat().st_mode
        except OSError:
            continue  # does not exist: is created, or reported where it is read
        except (RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"{key}={printable(path)} is not a path; give another") from error
        # Reading a device file would not end.
        if key == "checkpoint" and path and not stat.S_ISREG(kind):
            raise UsageError(
                f"checkpoint={printable(path)} cannot be read (it is not a file); "
                "give the path of a checkpoint.pt"
            )


def _check_groups(config: DictConfig) -> None:
    """Refuse groups that were not composed from one of their options."""
    nodes = {key: config[key] for key in _CHOSEN}
    for group in LISTS:
        if "_target_" in config[group]:
            raise UsageError(
                f"an option of {group} has no name in the configuration; begin its yaml with the "
                f"line '# @package {group}.NAME', NAME being that of the file"
            )
        nodes |= {f"{group}.{name}": node for name, node in config[group].items()}
    for key, node in nodes.items():
        if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
            group = key.partition(".")[0]
            raise UsageError(
                f"{printable(key)} is not an option of {group}; "
                f"name one as {group}=OPTION, see shiftbench list {group}"
            )


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``("a.b.c", value)`` for every leaf of nested mappings."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def as_typed(overrides: Any) -> list[str]:
    """Return Hydra's list of overrides, with interpolations unresolved."""
    items: Any = OmegaConf.to_container(overrides)
    return [str(item) for item in items]
