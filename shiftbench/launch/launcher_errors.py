"""Errors about launchers, each in one sentence: unknown ones, their settings, missing packages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from shiftbench.errors import did_you_mean, printable
from shiftbench.settings.schema import CONFIG_DIR

GROUP = "hydra/launcher"
_FOLDER = CONFIG_DIR / "hydra" / "launcher"


def missing_launcher(text: str) -> str | None:
    """Return how to install a launcher that an extra of the package provides, from Hydra's text."""
    found = re.search(r"Unknown plugin class : 'hydra_plugins\.hydra_(joblib|submitit)", text)
    if not found:
        return None
    extra = {"joblib": "parallel", "submitit": "slurm"}[found.group(1)]
    return f"this {GROUP} is not installed; pip install 'shiftbench[{extra}]'"


def unknown_launcher(error: MissingConfigException) -> str | None:
    """Return the launchers that there are, if ``error`` is about an unknown one."""
    group, _, option = str(error.missing_cfg_file or "").rpartition("/")
    if group != GROUP:
        return None
    # Hydra lists its own one, too, and those of --config-dir.
    known = sorted(error.options or ["basic", *(path.stem for path in _FOLDER.glob("*.yaml"))])
    hint = did_you_mean(option, known)
    return f"{GROUP}={printable(option)} is not known{hint}; allowed: {', '.join(known)}"


def setting_of_a_launcher(key: str, arguments: Sequence[str]) -> str | None:
    """Return which launchers have the setting ``key``, None if none has or the chosen one does.

    >>> setting_of_a_launcher("hydra.launcher.n_jobs", ["hydra.launcher.n_jobs=2"])
    'hydra.launcher.n_jobs belongs to a launcher; add hydra/launcher=joblib'
    """
    group, _, name = key.rpartition(".")
    if group != GROUP.replace("/", "."):
        return None
    having = [path.stem for path in sorted(_FOLDER.glob("*.yaml")) if name in OmegaConf.load(path)]
    chosen = [item.partition("=")[2] for item in arguments if item.startswith(f"{GROUP}=")][-1:]
    if not having or chosen in [[one] for one in having]:
        return None
    wanted = " or ".join(f"{GROUP}={one}" for one in having)
    if chosen:
        return (
            f"{printable(key)} is not a setting of {GROUP}={printable(chosen[0])}, but of {wanted}"
        )
    return f"{printable(key)} belongs to a launcher; add {wanted}"
