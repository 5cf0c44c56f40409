"""Plans for each downsampling step: a layer at stride 1 and a pool, or why it is unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from shiftbench.errors import UsageError
from shiftbench.pool.base import Downsampling, MakeDownsampling
from shiftbench.surgery.layers import (
    Steps2d,
    StepsByContent2d,
    cells_fit,
    has_own_forward,
    shape_of,
)
from shiftbench.surgery.survey import Step, Survey
from shiftbench.surgery.unstrided import runs_unstrided, unstride
from shiftbench.surgery.windows import pair


@dataclass(frozen=True)
class Plan:
    """The replacement of a step.

    Attributes:
        step: The step.
        was: The original layer, for the report.
        reason: Why it is unchanged, "" if it is replaced.
        asked: Whether the pool itself requires no change.
        pool: The pool that subsamples.
        window_first: Whether a pooling layer's own window comes first, at stride 1.
    """

    step: Step
    was: str
    reason: str = ""
    asked: bool = False
    pool: nn.Module | None = None
    window_first: bool = False


@dataclass(frozen=True)
class Order:
    """The caller's arguments, see :func:`~shiftbench.surgery.replace_downsampling`."""

    make_pool: MakeDownsampling
    padding: str
    stem: bool


def plans(model: nn.Module, found: Survey, order: Order) -> list[Plan]:
    """Return a plan for every step except the pooling of the head.

    Replaced convolutions have stride 1 afterwards. Of convolutions in parallel branches,
    all are replaced or none.

    Raises:
        UsageError: If the pool does not subsample.
    """
    steps = [step for step in found.steps.values() if not step.last]
    own = {step.name: _plan(model, found, step, order) for step in steps}
    for group in found.grids.groups(own):
        convolutions = [own[name] for name in group if name in own and _is_conv(own[name])]
        stays = next((plan for plan in convolutions if plan.reason and not plan.asked), None)
        for plan in convolutions if stays is not None else []:
            if not plan.reason and stays is not None:
                reason = f"it meets {stays.step.name}, which stays ({stays.reason})"
                own[plan.step.name] = replace(plan, reason=reason)
    for name, plan in own.items():
        conv = model.get_submodule(name)
        if not plan.reason and isinstance(conv, nn.Conv2d):
            unstride(conv)
    return list(own.values())


_UNKNOWN_BORDER = "its border depends on its stride in an unknown way"


def _plan(model: nn.Module, found: Survey, step: Step, order: Order) -> Plan:
    module = model.get_submodule(step.name)
    plan = Plan(step, described(module))
    if reason := _untouched(module, step, found, order.stem):
        return replace(plan, reason=reason)
    pool = _pool(order, step)
    _require_subsampling(pool, step)
    if _is_conv(plan):
        if conv_strides(pool):
            return replace(plan, reason="a strided convolution is what the pool asks for",
                           asked=True)  # fmt: skip
        assert isinstance(module, nn.Conv2d)
        return replace(plan, pool=pool, reason="" if runs_unstrided(module) else _UNKNOWN_BORDER)
    assert isinstance(module, nn.MaxPool2d | nn.AvgPool2d)
    return _plan_pooling(plan, module, pool)


def _plan_pooling(plan: Plan, module: nn.MaxPool2d | nn.AvgPool2d, pool: Downsampling) -> Plan:
    kind = nn.MaxPool2d if plan.step.kind == "max" else nn.AvgPool2d
    first = _first_of(pool)
    if isinstance(first, kind):
        asked = f"it is what pool={plan.step.kind} asks for"
        return replace(plan, reason=asked, asked=True)
    at_maximum = kind is nn.MaxPool2d and isinstance(first, Downsampling)
    max_first = at_maximum and first.max_first
    declined = at_maximum and first.max_first_is_set and not first.max_first
    if max_first or (pool.picks_grid and not declined):
        return replace(plan, pool=pool, window_first=True)
    if has_own_forward(module):
        return replace(plan, reason=f"a {type(module).__name__} does more than pool")
    if isinstance(module, nn.AvgPool2d) and module.divisor_override is not None:
        return replace(plan, reason="it divides by a number of its own")
    if not cells_fit(module):
        return replace(plan, reason="no pool leaves as many cells as its border does")
    if conv_strides(pool):  # plain subsampling, known to the dense engine
        return replace(plan, pool=nn.MaxPool2d(1, plan.step.stride[0]))
    return replace(plan, pool=pool)


def _first_of(pool: Downsampling) -> nn.Module:
    """Return the first of a sequence of pools, or the pool itself."""
    if isinstance(pool, Steps2d):
        return pool[0]
    return next(iter(pool.pools)) if isinstance(pool, StepsByContent2d) else pool


def _untouched(module: nn.Module, step: Step, found: Survey, stem: bool) -> str:
    """Return why a step is unchanged with any pool, "" if it can be replaced."""
    rows, columns = step.stride
    if rows != columns:
        return f"its strides are {rows} and {columns}; a pool has one"
    is_conv = step.kind == "conv" and isinstance(module, nn.Conv2d)
    patches = is_conv and pair(module.kernel_size) == step.stride
    if patches and (rows > 4 or (rows == 4 and found.attends)):
        cost = f"at every position it would cost {rows**2} times as much"
        return f"it cuts patches of {shape_of(step.stride)} that do not overlap; {cost}"
    if step.stem and not stem:
        return "the first convolution; stem=True replaces it"
    if isinstance(module, nn.MaxPool2d) and module.return_indices:
        return "its indices are used"
    return ""


def _pool(order: Order, step: Step) -> Downsampling:
    """Return a pool for a step's stride, in steps of stride 2 if it is a power of 2."""
    factors = _factors(step.stride[0])
    made = [
        order.make_pool(step.channels, stride=factor, padding=order.padding) for factor in factors
    ]
    if len(made) == 1:
        return made[0]
    if conv_strides(made[0]):
        return order.make_pool(step.channels, stride=step.stride[0], padding=order.padding)
    for pool, factor in zip(made, factors, strict=True):
        _require_subsampling(pool, replace(step, stride=(factor, factor)))
    return StepsByContent2d(made) if made[0].picks_grid else Steps2d(*made)


def _factors(stride: int) -> Sequence[int]:
    factors = []
    while stride % 2 == 0:
        factors.append(2)
        stride //= 2
    return [*factors, stride] if stride > 1 else factors


def _require_subsampling(pool: Downsampling, step: Step) -> None:
    if pair(pool.stride) != step.stride:
        raise UsageError(
            f"a {type(pool).__name__} leaves the feature maps of a trained network "
            f"{step.stride[0]} times too large; allowed: pools that subsample, e.g. pool=max, avg, "
            "stride, blur, aps"
        )


def conv_strides(pool: Downsampling) -> bool:
    """Return whether a pool leaves the subsampling to the convolution before it."""
    return pool.conv_stride > 1


def called(pool: nn.Module) -> str:
    """Return a pool's name in the report: ``BlurPool2d``, ``BlurPool2d twice``."""
    parts = [pool]
    if isinstance(pool, Steps2d | StepsByContent2d):
        parts = [*pool] if isinstance(pool, Steps2d) else [*pool.pools]
    times = {1: "", 2: " twice"}.get(len(parts), f" {len(parts)} times")
    return f"{type(parts[0]).__name__}{times}"


def _is_conv(plan: Plan) -> bool:
    return plan.step.kind in ("conv", "shortcut")


def described(module: nn.Module) -> str:
    """Return a convolution or pooling layer for a report: ``Conv2d 3×3, stride 2``."""
    stride = pair(module.stride)
    step = str(stride[0]) if stride[0] == stride[1] else shape_of(stride)
    return f"{type(module).__name__} {shape_of(pair(module.kernel_size))}, stride {step}"
