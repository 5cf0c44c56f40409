"""Everything that reaches into undocumented parts of Hydra; no other module may. No torch.

Hydra 1.3.8 and 1.4 are supported; ``tests/settings/test_hydra_patches.py`` holds every line of this table
against the Hydra that is installed.

| part of Hydra | what for |
| --- | --- |
| ``hydra.main(version_base=)`` | 1.3 warns where it is missing, 1.4 where it is given |
| ``Hydra.get_mode`` | skipped (a composition, 0.1 s) where nothing can set ``hydra.mode``; elsewhere an experiment's yaml may set it, which 1.4 itself does not look at |
| ``BasicSweeper.split_arguments``, ``Plugins`` | the jobs of a study's grids instead of one grid; a product of values |
| ``ConfigLoader.load_sweep_config`` | each job is composed once, not twice |
| ``ConfigLoaderImpl._load_single_config``, ``_apply_overrides_to_config`` | yaml files and typed overrides with earlier names of settings are rewritten before they are merged |
| ``GlobalHydra``, ``OverridesParser`` | values of overrides, with the options that ``glob(*)`` stands for |
| ``get_args_parser`` | flags are refused before Hydra obeys them |
| ``ArgumentParser._check_help`` (Python's) | 1.3 gives it help that is no string, which Python 3.14 rejects |
| names of modules that compose | tells Hydra's errors from those of a job |
| ``instantiate(_execution_whitelist_=)`` | 1.4 warns where it is missing, 1.3 does not know it |
| its warning for what Hydra itself makes | callbacks, launchers and sweepers may be the user's, whose names are not known beforehand: Hydra's list of what it refuses counts, as with 1.3. An error from 1.5 on |
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
# Our yaml for joblib stands on the plugin's own schema of that name, as it should.
SAME_SCHEMA = r"(?s).*is validated against ConfigStore schema"
# The modules of Hydra in whose frames an error is one of composition.
_COMPOSING = {"config_loader_impl.py", "overrides_parser.py"}


def application(job: Callable[[DictConfig], None], config_path: Path) -> Callable[[], None]:
    """Return the function that composes ``config.yaml`` by ``sys.argv`` and runs ``job``."""
    decorate = hydra.main(config_path=str(config_path), config_name="config", **VERSION_BASE)
    return decorate(job)  # type: ignore[no-any-return]


@contextmanager
def installed(
    arguments: Sequence[str], planned: Callable[[], list[list[str]] | None]
) -> Iterator[None]:
    """Change Hydra while the block runs.

    Args:
        arguments: What was typed.
        planned: Returns the overrides of every job of the sweep; Hydra's sweeper runs these
            instead of the one grid that it would span. None leaves it to Hydra.
    """
    sweeper = _sweeper()
    of_hydra = sweeper.split_arguments

    @wraps(of_hydra)
    def split(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        jobs = planned()
        return of_hydra(overrides, max_batch_size) if jobs is None else [jobs]

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


def _sweeper() -> Any:
    """Return the class of Hydra's sweeper.

    Hydra 1.3 loads the modules of its plugins a second time when it first looks for them: a class
    that was imported before is not the one that it makes.
    """
    Plugins.instance()
    return import_module("hydra._internal.core_plugins.basic_sweeper").BasicSweeper


@contextmanager
def _replaced(owner: type, name: str, value: Any) -> Iterator[None]:
    """Give a class another attribute while the block runs."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:  # it was inherited
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
    except Exception:  # is said when it is composed to be run
        return None
    return config.hydra.mode  # type: ignore[no-any-return]


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


def compose_jobs_once() -> None:
    """Let Hydra hand a job of this sweep the configuration that it was checked with.

    Hydra composes every job twice, to see whether all of them are legal before the first one
    starts, and to run them; where jobs have nothing to do, that is most of a sweep's time.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    compose = loader.load_sweep_config
    composed: dict[tuple[str, ...], Any] = {}

    def load_sweep_config(master_config: DictConfig, sweep_overrides: list[str]) -> Any:
        key = tuple(sweep_overrides)
        if key in composed:
            return composed.pop(key)  # handed out once: a job may change its own
        composed[key] = compose(master_config, sweep_overrides)
        return composed[key]

    loader.load_sweep_config = load_sweep_config


def rewrite_inputs(
    rewrite_file: Callable[[Any, dict[str, bool]], None],
    rewrite_override: Callable[[Override, DictConfig], Override],
) -> None:
    """Rewrite yaml files as they are loaded, and overrides as they are applied.

    May be called more than once; the first call counts.

    Args:
        rewrite_file: Changes the content of one file in place; its second argument is kept from
            file to file of one composition.
        rewrite_override: Returns an override as the configuration takes it.
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
    """Return the overrides as Hydra reads them, ``glob(*)`` being what there is to choose.

    Raises:
        HydraException: If one cannot be read.
    """
    running = GlobalHydra.instance()
    loader = running.config_loader() if running.is_initialized() else None
    parser = OverridesParser.create(config_loader=loader)
    return parser.parse_overrides(list(overrides))


def is_readable(override: str) -> bool:
    """Whether Hydra can read ``key=value``."""
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
    split = inspect.unwrap(_sweeper().split_arguments)  # Hydra's, even while another is installed
    [jobs] = split(parse_overrides(overrides), None)
    return [list(job) for job in jobs]


def args_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's flags."""
    with _lazy_help_allowed():
        return get_args_parser()


@contextmanager
def _lazy_help_allowed() -> Iterator[None]:
    """Let the help that Hydra 1.3 makes late pass argparse's check (Python 3.14 and later)."""
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
    """Whether ``error`` arose while Hydra put the configuration together, before any job."""
    files = {Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)}
    ours = "job.py" in files or "experiment.py" in files
    return not ours and bool(files & _COMPOSING)


def execution_policy(targets: Sequence[str], find: Callable[[str], Any]) -> dict[str, Any]:
    """Return what ``hydra.utils.instantiate`` is to be given besides the arguments.

    What a yaml names may be called, Python's own modules excepted, e.g. ``_target_: os.system``.
    (Hydra 1.3 has a list of its own of what it refuses.)

    Args:
        targets: Every ``_target_`` that the yaml names.
        find: Imports one of them; what it raises, ``instantiate`` will raise as well.
    """
    if IS_1_3:
        return {}
    return {"_execution_whitelist_": [name for target in targets for name in _names(target, find)]}


def _names(target: str, find: Callable[[str], Any]) -> list[str]:
    """Return what a target is called, none if it is of Python's standard library."""
    try:
        made = find(target)
    except Exception:
        return [target]
    while isinstance(made, partial):
        made = made.func
    module, name = (str(getattr(made, key, "")) for key in ("__module__", "__qualname__"))
    if module.partition(".")[0] in sys.stdlib_module_names:
        return []
    return [target, f"{module}.{name}"]  # Hydra compares nested ones by where they are defined
