"""Execution of plans: first plain subsampling in place of the pools, then the pools."""

from __future__ import annotations

from torch import nn

from shiftbench.errors import UsageError
from shiftbench.ops.padding import TorusPool
from shiftbench.pool.base import Downsampling
from shiftbench.surgery.graph import Traceable
from shiftbench.surgery.insertion import (
    OTHER_POOLS,
    InsertionPoint,
    pool_after,
    pool_before,
    pool_together,
    put,
)
from shiftbench.surgery.layers import Aligned2d, OneGrid, StrideOnePool2d, Subsample2d
from shiftbench.surgery.overrides import EveryPosition
from shiftbench.surgery.planning import Plan, called
from shiftbench.surgery.survey import Survey

Pooling = nn.MaxPool2d | nn.AvgPool2d


class Rewriting:
    """The steps of one network during the rewrite.

    Args:
        model: The network, strided convolutions at stride 1; it is changed.
        found: Its subsampling.
        todo: The plans to execute.
    """

    def __init__(self, model: nn.Module, found: Survey, todo: list[Plan]) -> None:
        self.model, self.found = model, found
        self.plans = {plan.step.name: plan for plan in todo}
        self.points = {name: _point(plan) for name, plan in self.plans.items()}
        self.windows: dict[str, tuple[Pooling, StrideOnePool2d]] = {}
        self.parts = Traceable(model, found.given)

    def insert(self) -> dict[str, str]:
        """Insert plain subsampling in place of the pools; return the new steps by name.

        Raises:
            UsageError: If a content-dependent grid cannot be shared.
        """
        now: dict[str, str] = {}
        for group in self._groups():
            for name in group:
                if self.plans[name].step.kind in ("max", "avg"):
                    self._window(name, alone=len(group) == 1)
            now |= self._together(group) if len(group) > 1 else {group[0]: self._alone(group[0])}
        return now

    def fill(self, padding: str) -> None:
        """Insert the pools."""
        for name, point in self.points.items():
            pool = self.plans[name].pool
            assert pool is not None
            put(self.model, point.pool, _at_home(pool, self.model))
        for name, (pool, window) in self.windows.items():
            if self.plans[name].window_first:
                window.padding = "circular" if isinstance(pool, TorusPool) else padding
            else:
                put(self.model, window, Aligned2d(pool))
        for module in list(self.model.modules()):
            if isinstance(module, OneGrid):
                for pool in module.pools[1:]:
                    pool.follow_main_branch()  # type: ignore[operator]
            if isinstance(module, EveryPosition) and padding == "circular":
                module.pad = "circular"

    def _window(self, name: str, alone: bool) -> None:
        """Replace a pooling layer by its window at stride 1, with its pool if it is alone."""
        layer = self.model.get_submodule(name)
        assert isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)
        window = StrideOnePool2d(layer, "zeros")
        self.windows[name] = layer, window
        pool = self.points[name].pool
        put(self.model, layer, nn.Sequential(window, pool) if alone else window)

    def _alone(self, name: str) -> str:
        """Insert the pool of one step; return a description of the new step."""
        plan, point = self.plans[name], self.points[name]
        if plan.step.kind in ("max", "avg"):
            return _pooling_now(plan)
        if plan.step.kind == "shortcut":
            pool_before(self.parts, point)
            return f"{_pool(plan)}, then stride 1"
        return f"stride 1, {_pool(plan)} behind the {pool_after(self.parts, point)}"

    def _together(self, group: list[str]) -> dict[str, str]:
        """Insert the pools of branches that are merged later, which share a grid."""
        now = {}
        for name in group:
            plan = self.plans[name]
            before = {"conv": "stride 1, then", "shortcut": "stride 1 behind"}.get(
                plan.step.kind, "its window at stride 1, then"
            )
            others = ", ".join(other for other in group if other != name)
            now[name] = f"{before} {_pool(plan)} on one grid with {others}"
        pool_together(self.parts, [self.points[name] for name in group])
        return now

    def _groups(self) -> list[list[str]]:
        """Return the steps by the grid that they share, each alone if grids are fixed.

        Raises:
            UsageError: If a step on a content-dependent grid is merged with one on a fixed grid.
        """
        pools = [plan.pool for plan in self.plans.values()]
        if not any(isinstance(pool, Downsampling) and pool.picks_grid for pool in pools):
            return [[name] for name in self.plans]
        grids = self.found.grids
        if any(grids.conflict):
            raise UsageError(
                f"the branches through {grids.conflict[0]} and {grids.conflict[1]} are subsampled "
                f"in different steps, so they cannot share a grid that the content picks; "
                f"{OTHER_POOLS}"
            )
        groups = grids.groups(self.plans)
        for group in groups:
            fixed = next((name for name in group if name not in self.plans), None)
            if fixed is not None:
                raise UsageError(
                    f"{fixed.rstrip(':')} keeps a fixed grid and meets a branch whose grid the "
                    f"content would pick; {OTHER_POOLS}"
                )
        return groups


def _point(plan: Plan) -> InsertionPoint:
    step, pool = plan.step, plan.pool
    assert pool is not None
    return InsertionPoint(step.name, step.kind, step.channels, Subsample2d(step.stride[0], pool))


def _pool(plan: Plan) -> str:
    assert plan.pool is not None
    return called(plan.pool)


def _pooling_now(plan: Plan) -> str:
    window = "maximum" if plan.step.kind == "max" else "average"
    first = f"{window} at stride 1, then " if plan.window_first else ""
    plain = isinstance(plan.pool, nn.MaxPool2d) and plan.pool.kernel_size == 1
    return first + ("every s-th sample" if plain else _pool(plan))


def _at_home(pool: nn.Module, model: nn.Module) -> nn.Module:
    """Return the pool on the network's device, in its mode; parameters in the network's type."""
    pool.train(model.training)
    parameter = next(model.parameters(), None)
    if parameter is None:
        return pool
    is_learned = next(pool.parameters(), None) is not None and parameter.is_floating_point()
    return pool.to(parameter.device, parameter.dtype if is_learned else None)
