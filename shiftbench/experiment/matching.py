"""Networks widened to the multiply-adds of another one (``model.match_macs``)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from shiftbench.errors import UsageError, did_you_mean, printable
from shiftbench.model.cost import cost
from shiftbench.settings.labels import load_option
from shiftbench.settings.schema import CONFIG_DIR, PADDINGS

log = logging.getLogger(__name__)

WIDEST = 4096


def matched(
    config: DictConfig,
    image_shape: tuple[int, int, int],
    make: Callable[[DictConfig], nn.Module],
) -> DictConfig:
    """Return a configuration with the width that ``model.match_macs`` asks for.

    It names a pool or a padding: the network with this pool (with its default settings) or padding
    instead of its own has the multiply-adds that are to be matched. Of all widths, the one whose
    multiply-adds are nearest is taken; those of a step of one channel differ by some per cent.

    Args:
        config: The configuration.
        image_shape: ``(C, H, W)`` of the images.
        make: Makes the network of a configuration.

    Raises:
        UsageError: If it names neither a pool nor a padding, or no width is wide enough.
    """
    wanted = OmegaConf.select(config, "model.match_macs")
    if wanted is None:
        return config
    goal = _macs(_other(config, str(wanted)), image_shape, make)

    def macs(width: int) -> int:
        return _macs(_with_width(config, width), image_shape, make)

    low, high = 0, 1
    while macs(high) < goal:
        low, high = high, 2 * high
        if high > WIDEST:
            raise UsageError(
                f"model.match_macs={wanted} needs more than {WIDEST} channels; choose a smaller "
                "network"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if macs(middle) < goal else (low, middle)
    width = min((one for one in (low, high) if one), key=lambda one: abs(macs(one) - goal))
    log.info(
        "model.width=%d has %.3f times the multiply-adds of %s", width, macs(width) / goal, wanted
    )
    return _with_width(config, width)


def _other(config: DictConfig, wanted: str) -> DictConfig:
    """Return the configuration of the network whose multiply-adds are to be matched."""
    other = config.copy()
    pools = sorted(path.stem for path in CONFIG_DIR.glob("pool/*.yaml"))
    if wanted in PADDINGS:
        other.padding = wanted
    elif wanted in pools:
        other.pool = OmegaConf.create(load_option("pool", wanted, [CONFIG_DIR]))
    else:
        raise UsageError(
            f"model.match_macs={printable(wanted)} is neither a pool nor a padding"
            f"{did_you_mean(wanted, [*pools, *PADDINGS])}; allowed: the names of "
            f"shiftbench list pool, {', '.join(PADDINGS)}"
        )
    return other


def _with_width(config: DictConfig, width: int) -> DictConfig:
    other = config.copy()
    with open_dict(other):
        other.model.width = width
    return other


def _macs(
    config: DictConfig, image_shape: tuple[int, int, int], make: Callable[[DictConfig], nn.Module]
) -> int:
    return cost(make(config), image_shape).macs
