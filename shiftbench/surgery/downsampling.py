"""Every downsampling step of somebody else's network done as one of our pools says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from shiftbench.errors import UsageError, require_one_of
from shiftbench.padding import MODES
from shiftbench.surgery.grids import shared_grids
from shiftbench.surgery.insertion import pool_after, pool_before, pool_together, put
from shiftbench.surgery.layers import Aligned2d, StrideOnePool2d, pair
from shiftbench.surgery.survey import Step, downsampling_steps, name_pooling_functions
from shiftbench.surgery.unstrided import cells_fit, unstrided

MakePool = Callable[..., nn.Module]


@dataclass(frozen=True)
class Site:
    """One step: the module's name, what it was, and what it is now or why it is as it was."""

    name: str
    was: str
    now: str


@dataclass(frozen=True)
class Replaced:
    """What :func:`replace_downsampling` did.

    Attributes:
        sites: The steps that are done otherwise now, in the order in which a picture meets them.
        kept: The steps that are as they were; ``now`` says why.
    """

    sites: tuple[Site, ...]
    kept: tuple[Site, ...]

    def lines(self) -> list[str]:
        """Return a line for each step, for a log."""
        changed = [f"{site.name}: {site.was} -> {site.now}" for site in self.sites]
        return changed + [f"{site.name}: {site.was}, kept: {site.now}" for site in self.kept]


def replace_downsampling(
    model: nn.Module, make_pool: MakePool, padding: str = "zeros", stem: bool = False
) -> tuple[nn.Module, Replaced]:
    """Return a copy of ``model`` whose downsampling steps are done by pools, and what was done.

    Weights are kept, under the same names. A strided convolution gets stride 1 and the pool
    behind its norm and activation; a strided 1×1 convolution (a shortcut) the pool in front of it
    (Zhang, arXiv 1904.11486, sec. 3.3). Max pooling becomes its maximum at stride 1 and the pool
    where the pool says ``max_first``, else the pool alone. Average pooling becomes the pool; for
    one that picks its grid by content, its average at stride 1 and the pool. A pool that leaves
    the subsampling to the convolution (``conv_stride``) leaves strided convolutions alone, and
    pooling layers keep every s-th sample of their input (Springenberg, arXiv 1412.6806, sec. 2).
    Branches that meet again share the grid that a content-picked pool keeps.

    Args:
        model: A classification network from ``(N, C, H, W)`` to logits; it is not changed.
        make_pool: Makes a pool, ``make_pool(channels, stride=2, padding=...)``.
        padding: The network's padding: ``zeros``, ``circular`` or ``reflect``.
        stem: Whether the first convolution, the one that sees the picture, is replaced, too.

    Raises:
        UsageError: If the pool does not subsample, or its grid cannot be shared by branches that
            meet again.
        ShiftbenchError: If the network does not run on a picture of any usual size.
    """
    require_one_of("padding", padding, MODES)
    changed = copy.deepcopy(model)
    name_pooling_functions(changed)
    steps = [step for step in downsampling_steps(changed) if not step.last]
    plans = [_plan(changed, step, make_pool, padding, stem) for step in steps]
    was = {plan.step.name: _described(changed.get_submodule(plan.step.name)) for plan in plans}
    now = {plan.step.name: plan.reason for plan in plans}
    for group in _groups(changed, plans):
        together = len(group) > 1
        now |= _replace_together(changed, group) if together else _replace(changed, group[0])
    todo = {plan.step.name for plan in plans if not plan.reason}
    sites = [Site(name, was[name], now[name]) for name in was]
    kept = [site for site in sites if site.name not in todo]
    done = tuple(site for site in sites if site.name in todo)
    return changed, Replaced(done, (*kept, *_not_layers(model)))


@dataclass(frozen=True)
class _Plan:
    """What takes a step's place: a layer at stride 1 (or none) and a pool, or why nothing does."""

    step: Step
    reason: str = ""
    dense: nn.Module | None = None
    pool: nn.Module = field(default_factory=nn.Identity)


def _plan(model: nn.Module, step: Step, make_pool: MakePool, padding: str, stem: bool) -> _Plan:
    module = model.get_submodule(step.name)
    reason = _untouched(model, module, step, stem)
    if reason:
        return _Plan(step, reason)
    pool = make_pool(step.channels, stride=step.stride[0], padding=padding)
    _require_subsampling(pool, step)
    if isinstance(module, nn.Conv2d):
        return _plan_conv(step, module, pool, padding)
    assert isinstance(module, nn.MaxPool2d | nn.AvgPool2d)
    kind = nn.MaxPool2d if step.kind == "max" else nn.AvgPool2d
    if isinstance(pool, kind):
        return _Plan(step, f"it is what pool={step.kind} asks for")
    max_first = kind is nn.MaxPool2d and getattr(pool, "max_first", False)
    if max_first or hasattr(pool, "phase"):
        return _Plan(step, "", StrideOnePool2d(module, padding), pool)
    if not cells_fit(module):
        return _Plan(step, "no pool leaves as many cells as its border does")
    if _conv_strides(pool):
        pool = nn.MaxPool2d(1, step.stride[0])  # plain subsampling, known to the dense engine
    return _Plan(step, "", Aligned2d(module), pool)


def _plan_conv(step: Step, conv: nn.Conv2d, pool: nn.Module, padding: str) -> _Plan:
    if _conv_strides(pool):
        return _Plan(step, "a strided convolution is what the pool asks for")
    dense = unstrided(conv, padding)
    if dense is None:
        return _Plan(step, "its border depends on its stride in a way that is not known")
    return _Plan(step, "", dense, pool)


def _untouched(model: nn.Module, module: nn.Module, step: Step, stem: bool) -> str:
    """Return why a step stays as it is whatever the pool, "" where it does not."""
    rows, columns = step.stride
    if rows != columns:
        return f"its strides are {rows} and {columns}; a pool has one"
    patches = pair(getattr(module, "kernel_size", 0)) == step.stride and step.kind == "conv"
    if patches and (rows > 4 or (rows == 4 and _attends(model))):
        return "it cuts the picture into patches; a transformer has no map before them"
    if step.stem and not stem:
        return "the first convolution; stem=True replaces it"
    own_forward = type(module).forward not in (nn.MaxPool2d.forward, nn.AvgPool2d.forward)
    if step.kind in ("max", "avg") and own_forward and not hasattr(module, "torus_padding"):
        return f"a {type(module).__name__} does more than pool"
    if getattr(module, "return_indices", False):
        return "its indices are used"
    return ""


def _attends(model: nn.Module) -> bool:
    return any("Attention" in type(module).__name__ for module in model.modules())


def _require_subsampling(pool: nn.Module, step: Step) -> None:
    stride = pair(getattr(pool, "stride", step.stride))
    if stride != step.stride:
        raise UsageError(
            f"a {type(pool).__name__} leaves the maps of a trained network "
            f"{step.stride[0]} times too large; allowed: pools that subsample, as "
            "pool=max, avg, stride, blur, aps"
        )


def _conv_strides(pool: nn.Module) -> bool:
    return int(getattr(pool, "conv_stride", 1)) > 1


def _groups(model: nn.Module, plans: list[_Plan]) -> list[list[_Plan]]:
    """Return the plans that are carried out, those on one grid together.

    Raises:
        UsageError: If a step on a grid by content meets one on a fixed grid.
    """
    todo = {plan.step.name: plan for plan in plans if not plan.reason}
    if not any(hasattr(plan.pool, "phase") for plan in todo.values()):
        return [[plan] for plan in todo.values()]
    groups = shared_grids(model, [plan.step.name for plan in plans])
    for group in groups:
        fixed = [name for name in group if name not in todo]
        if fixed and len(fixed) < len(group):
            raise UsageError(
                f"{fixed[0]} keeps a fixed grid ({_reason(plans, fixed[0])}) and meets a branch "
                "whose grid the content would pick; allowed: pool=max, avg, stride, blur"
            )
    return [[todo[name] for name in group] for group in groups if group[0] in todo]


def _reason(plans: list[_Plan], name: str) -> str:
    return next(plan.reason for plan in plans if plan.step.name == name)


def _replace(model: nn.Module, plan: _Plan) -> dict[str, str]:
    """Carry out one plan; return what the step is now, by its name."""
    step, pool = plan.step, plan.pool
    assert plan.dense is not None
    called = type(pool).__name__
    if step.kind in ("max", "avg"):
        put(model, step.name, nn.Sequential(plan.dense, pool))
        return {step.name: _pooling_now(plan)}
    put(model, step.name, plan.dense)
    if step.kind == "shortcut":
        pool_before(model, step.name, pool)
        return {step.name: f"{called}, then stride 1"}
    return {step.name: f"stride 1, {called} behind the {pool_after(model, step.name, pool)}"}


def _replace_together(model: nn.Module, group: list[_Plan]) -> dict[str, str]:
    """Carry out the plans of branches that meet again; their pools share a grid."""
    now = {}
    for plan in group:
        assert plan.dense is not None
        put(model, plan.step.name, plan.dense)
        place = {"conv": "stride 1, then ", "shortcut": "stride 1 behind "}.get(plan.step.kind, "")
        others = [other.step.name for other in group if other is not plan]
        now[plan.step.name] = (
            f"{place or 'its window at stride 1, then '}{type(plan.pool).__name__} "
            f"on one grid with {', '.join(others)}"
        )
    pool_together(model, {plan.step.name: (plan.step.kind, plan.pool) for plan in group})
    return now


def _pooling_now(plan: _Plan) -> str:
    window = "maximum" if plan.step.kind == "max" else "average"
    first = f"{window} at stride 1, then " if isinstance(plan.dense, StrideOnePool2d) else ""
    plain = isinstance(plan.pool, nn.MaxPool2d) and plan.pool.kernel_size == 1
    return first + ("every s-th sample" if plain else type(plan.pool).__name__)


def _described(module: nn.Module) -> str:
    (rows, columns), (step, _) = pair(module.kernel_size), pair(module.stride)
    return f"{type(module).__name__} {rows}×{columns}, stride {step}"


def _not_layers(model: nn.Module) -> list[Site]:
    """Return what subsamples by indexing, as far as it is known."""
    return [
        Site(name, type(module).__name__, "it takes every second token of each row by indexing")
        for name, module in model.named_modules()
        if "PatchMerging" in type(module).__name__
    ]
