"""All uses of undocumented parts of Hydra, which no other module may access; without torch.

Hydra 1.3.8 and 1.4 are supported; ``tests/settings/test_hydra_patches.py`` checks every line of
this table with the installed version of Hydra.

| part of Hydra | purpose |
| --- | --- |
| ``hydra.main(version_base=)`` | 1.3 warns if it is missing, 1.4 if it is given |
| ``Hydra.get_mode`` | skipped (a composition, 0.1 s) if nothing can set ``hydra.mode``; otherwise an experiment's yaml may set it, which 1.4 itself ignores |
| ``BasicSweeper.split_arguments``, ``Plugins`` | the jobs of a study's grids instead of those of one grid, and later again those that other processes had; a product of values |
| ``ConfigLoader.load_sweep_config`` | each job is composed once instead of twice |
| ``Hydra.run``, ``multirun``, ``compose_config`` | ``--plan`` composes jobs without running them, as Hydra's sweeper would write files |
| ``ConfigLoaderImpl._load_single_config``, ``_apply_overrides_to_config`` | yaml files and typed overrides with earlier names of settings are rewritten before they are merged |
| ``GlobalHydra``, ``OverridesParser`` | values of overrides, with ``glob(*)`` expanded |
| ``get_args_parser`` | flags are refused before Hydra acts on them |
| ``ArgumentParser._check_help`` (Python's) | 1.3 passes a help object that is not a string, which Python 3.14 rejects |
| names of modules that compose | distinguishes Hydra's errors from those of a job |
| ``instantiate(_execution_whitelist_=)`` | 1.4 warns if it is missing, 1.3 does not have it |
| its warning for objects that Hydra itself creates | callbacks, launchers and sweepers may be the user's own, with names that are not known in advance: Hydra's list of refused names applies, as with 1.3. An error from 1.5 on |
"""  # noqa: E501

from __future__ import annotations

import argparse
import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

IS_1_3 = hydra.__version__.startswith("1.3.")
VERSION_BASE = {"version_base": "1.3"} if IS_1_3 else {}  # for hydra.main and hydra.initialize
# The yaml for joblib in this package extends the plugin's schema of the same name, as intended.
SAME_SCHEMA = r"(?s).*is validated against ConfigStore schema"
# Modules of Hydra: an error raised in one of their frames is a composition error.
_COMPOSING = {"config_loader_impl.py", "overrides_parser.py"}


def application(job: Callable[[DictConfig], None], config_path: Path) -> Callable[[], None]:
    """Return the function that composes ``config.yaml`` by ``sys.argv`` and runs ``job``."""
    decorate = hydra.main(config_path=str(config_path), config_name="config", **VERSION_BASE)
    return decorate(job)  # type: ignore[no-any-return]


@contextmanager
def installed(
    arguments: Sequence[str], planned: Callable[[], list[list[list[str]]] | None]
) -> Iterator[None]:
    """Patch Hydra while the block runs.

    Args:
        arguments: The command's arguments.
        planned: Returns batches of jobs, each with its overrides, which Hydra's sweeper runs
            instead of its single grid; None selects Hydra's grid. Batches may be added meanwhile.
    """
    sweeper = _sweeper()
    of_hydra = sweeper.split_arguments

    @wraps(of_hydra)
    def split(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        batches = planned()
        return of_hydra(overrides, max_batch_size) if batches is None else batches

    mode = _composed_mode if may_set_mode(arguments) else _no_mode
    with (
        warnings.catch_warnings(),
        _lazy_help_allowed(),
        _replaced(Hydra, "get_mode", mode),
        _replaced(sweeper, "split_arguments", staticmethod(split)),
    ):
        warnings.filterwarnings("ignore", SAME_SCHEMA)
        warnings.filterwarnings("ignore", r"(?s)hydra\.utils\.instantiate\(\) resolved _target_=")
        yield


@contextmanager
def execution_replaced(run: Callable[..., None], multirun: Callable[..., None]) -> Iterator[None]:
    """Call ``run(hydra, config_name=, overrides=, ...)``, or ``multirun``, in place of Hydra's."""
    with _replaced(Hydra, "run", run), _replaced(Hydra, "multirun", multirun):
        yield


def _sweeper() -> Any:
    """Return the class of Hydra's sweeper.

    Hydra 1.3 loads the modules of its plugins again when it first searches for plugins: a class
    that was imported before is not the one that it instantiates.
    """
    Plugins.instance()
    return import_module("hydra._internal.core_plugins.basic_sweeper").BasicSweeper


@contextmanager
def _replaced(owner: type, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a class while the block runs."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:  # the attribute was inherited
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _no_mode(*_: object, **__: object) -> None:
    return None


def _composed_mode(
    self: Hydra, config_name: str | None, overrides: list[str], **_: object
) -> RunMode | None:
    """Return the ``hydra.mode`` of the composed configuration, as Hydra 1.3 does."""
    try:
        config = self.compose_config(
            config_name=config_name, overrides=overrides, run_mode=RunMode.MULTIRUN,
            with_log_configuration=False, validate_sweep_overrides=False,
        )  # fmt: skip
    except Exception:  # is reported when the job itself is composed
        return None
    return config.hydra.mode  # type: ignore[no-any-return]


def may_set_mode(arguments: Sequence[str]) -> bool:
    """Whether an argument other than ``-m`` could turn a run into a sweep.

    Experiments, Hydra's own keys, and flags, which may add other yaml files, could do so.

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


def compose_jobs_once() -> None:
    """Make Hydra reuse the configuration with which a job of this sweep was checked.

    Hydra composes every job twice, once to validate all of them before the first one starts, and
    once to run it; if most runs are finished already, this dominates the time of a sweep.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    compose = loader.load_sweep_config
    composed: dict[tuple[str, ...], Any] = {}

    def load_sweep_config(master_config: DictConfig, sweep_overrides: list[str]) -> Any:
        key = tuple(sweep_overrides)
        if key in composed:
            return composed.pop(key)  # used once only, since a job may modify its configuration
        composed[key] = compose(master_config, sweep_overrides)
        return composed[key]

    loader.load_sweep_config = load_sweep_config


def rewrite_inputs(
    rewrite_file: Callable[[Any, dict[str, bool]], None],
    rewrite_override: Callable[[Override, DictConfig], Override],
) -> None:
    """Rewrite yaml files as they are loaded, and overrides as they are applied.

    May be called more than once; only the first call has an effect.

    Args:
        rewrite_file: Modifies the content of one file in place; its second argument is shared by
            all files of one composition.
        rewrite_override: Returns an override with the names of the configuration.
    """
    patched: Any = ConfigLoaderImpl
    if vars(patched).get("_shiftbench_rewrites"):
        return
    load, apply = patched._load_single_config, patched._apply_overrides_to_config

    def load_single_config(self: Any, default: Any, repo: Any) -> Any:
        loaded = load(self, default, repo)
        rewrite_file(loaded.config, vars(self).setdefault("_shiftbench_notes", {}))
        return loaded

    def apply_overrides_to_config(overrides: list[Override], cfg: DictConfig) -> None:
        apply([rewrite_override(override, cfg) for override in overrides], cfg)

    patched._load_single_config = load_single_config
    patched._apply_overrides_to_config = staticmethod(apply_overrides_to_config)
    patched._shiftbench_rewrites = True


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Return the overrides as Hydra parses them, with ``glob(*)`` expanded to the options.

    Raises:
        HydraException: If one cannot be parsed.
    """
    running = GlobalHydra.instance()
    loader = running.config_loader() if running.is_initialized() else None
    parser = OverridesParser.create(config_loader=loader)
    return parser.parse_overrides(list(overrides))


def is_readable(override: str) -> bool:
    """Whether Hydra can parse ``key=value``."""
    try:
        parse_overrides([override])
    except HydraException:
        return False
    return True


def product(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of every job of one grid.

    >>> product(["pool=max,blur", "seed=0"])
    [['pool=max', 'seed=0'], ['pool=blur', 'seed=0']]
    """
    split = inspect.unwrap(_sweeper().split_arguments)  # Hydra's own, even while patched
    [jobs] = split(parse_overrides(overrides), None)
    return [list(job) for job in jobs]


def args_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's flags."""
    with _lazy_help_allowed():
        return get_args_parser()


@contextmanager
def _lazy_help_allowed() -> Iterator[None]:
    """Make argparse accept the lazy help object of Hydra 1.3 (Python 3.14 and later)."""
    check: Any = getattr(argparse.ArgumentParser, "_check_help", None)
    if check is None or not IS_1_3:
        yield
        return

    def check_help(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            check(parser, action)

    with _replaced(argparse.ArgumentParser, "_check_help", check_help):
        yield


def is_composing(error: BaseException) -> bool:
    """Whether ``error`` was raised while Hydra composed the configuration, before any job."""
    files = {Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)}
    ours = "job.py" in files or "experiment.py" in files
    return not ours and bool(files & _COMPOSING)


def execution_policy(targets: Sequence[str], find: Callable[[str], Any]) -> dict[str, Any]:
    """Return additional keyword arguments for ``hydra.utils.instantiate``.

    Every target of a yaml file may be called, except those of Python's standard library, e.g.
    ``_target_: os.system``. (Hydra 1.3 has its own list of refused targets.)

    Args:
        targets: Every ``_target_`` in the yaml file.
        find: Imports a target; ``instantiate`` will raise the same exceptions.
    """
    if IS_1_3:
        return {}
    return {"_execution_whitelist_": [name for target in targets for name in _names(target, find)]}


def _names(target: str, find: Callable[[str], Any]) -> list[str]:
    """Return the names of a target, none if it belongs to Python's standard library."""
    try:
        made = find(target)
    except Exception:
        return [target]
    while isinstance(made, partial):
        made = made.func
    module, name = (str(getattr(made, key, "")) for key in ("__module__", "__qualname__"))
    if module.partition(".")[0] in sys.stdlib_module_names:
        return []
    return [target, f"{module}.{name}"]  # Hydra compares nested targets by where they are defined
