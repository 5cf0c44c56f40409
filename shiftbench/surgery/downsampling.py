"""Replacement of every downsampling step of an external network by a pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from shiftbench.errors import ShiftbenchError, require_one_of
from shiftbench.ops.padding import MODES
from shiftbench.pool.base import downsampling
from shiftbench.surgery.copying import ImageShape, copied, image_shape_of
from shiftbench.surgery.equality import before_difference
from shiftbench.surgery.functions import name_pooling_functions
from shiftbench.surgery.planning import Order, plans
from shiftbench.surgery.rewriting import Rewriting
from shiftbench.surgery.survey import SUBSAMPLES, Survey, survey
from shiftbench.surgery.watching import titled


@dataclass(frozen=True)
class Site:
    """One step: the module's name, its original form, and its new form or why it is unchanged."""

    name: str
    was: str
    now: str


@dataclass(frozen=True)
class Replaced:
    """The changes of :func:`replace_downsampling`, or of :func:`~shiftbench.surgery.anchored`.

    Attributes:
        sites: The replaced or anchored steps, in the order of execution.
        kept: The unchanged subsampling, except the head's global pooling, and with anchoring all
            else that is left alone; ``now`` says why.
    """

    sites: tuple[Site, ...]
    kept: tuple[Site, ...]

    def lines(self) -> list[str]:
        """Return a line for each step, for a log."""
        changed = [f"{site.name}: {site.was} -> {site.now}" for site in self.sites]
        return changed + [f"{site.name}: {site.was}, kept: {site.now}" for site in self.kept]


def replace_downsampling(
    model: nn.Module,
    make_pool: Callable[..., nn.Module],
    padding: str = "zeros",
    stem: bool = False,
    image_shape: ImageShape | None = None,
) -> tuple[nn.Module, Replaced]:
    """Return a copy of ``model`` with pools as downsampling steps, and the list of changes.

    Weights are kept, under the same names. A strided convolution gets stride 1 and the pool
    behind its norm and activation; a strided 1×1 convolution (a shortcut) the pool in front of it
    (Zhang, arXiv 1904.11486, sec. 3.3). Max pooling becomes its maximum at stride 1 and the pool
    if the pool sets ``max_first``, otherwise only the pool. Average pooling becomes the pool; for
    one that selects its grid by content, its average at stride 1 and the pool. With a pool that
    leaves the subsampling to the convolution (``conv_stride``), strided convolutions are unchanged
    and pooling layers keep every s-th sample of their input (Springenberg, arXiv 1412.6806,
    sec. 2). A stride of 4 becomes two pools of stride 2. Branches that are merged later share the
    grid that a content-dependent pool selects; of parallel convolutions, all are replaced or none.

    Before the pools are inserted, the rewritten network is checked on two noise images: with plain
    subsampling in place of the pools it must return its own logits, layer by layer.

    Args:
        model: A classification network from ``(N, C, H, W)`` to logits; it is not changed.
        make_pool: Makes a pool, ``make_pool(channels, stride=2, padding=...)``.
        padding: The network's padding: ``zeros``, ``circular`` or ``reflect``.
        stem: Whether convolutions on the image itself are replaced, too.
        image_shape: ``(C, H, W)`` of the images; by default common sizes are tried.

    Raises:
        UsageError: If the pool does not subsample, or merged branches cannot share its grid.
        ShiftbenchError: If the network rejects the images, or if the rewrite changes the output of
            a layer even without a filter.
    """
    require_one_of("padding", padding, MODES)
    original = copied(model)
    shape = image_shape_of(original, image_shape)
    changed = copied(original)
    found = survey(changed, shape)
    if name_pooling_functions(changed, found):
        found = survey(changed, shape)
    planned = plans(changed, found, Order(downsampling(make_pool), padding, stem))
    todo = [plan for plan in planned if not plan.reason]
    rewriting = Rewriting(changed, found, todo)
    now = rewriting.insert()
    sites = tuple(Site(plan.step.name, plan.was, now[plan.step.name]) for plan in todo)
    if sites:
        _require_own_answers(original, changed, sites, shape)
    rewriting.fill(padding)
    kept = [Site(plan.step.name, plan.was, plan.reason) for plan in planned if plan.reason]
    return changed, Replaced(sites, (*kept, *reductions(changed, found)))


def _require_own_answers(
    original: nn.Module, rewritten: nn.Module, sites: tuple[Site, ...], shape: ImageShape
) -> None:
    """Refuse a rewritten network whose outputs change even without a filter.

    Raises:
        ShiftbenchError: Naming the step and the first layer that differs.
    """
    run = before_difference(original, rewritten, shape)
    if not run:
        return
    by_name = {site.name: site for site in sites}
    site = next((by_name[name] for name in reversed(run) if name in by_name), sites[0])
    raise ShiftbenchError(
        f"the downsampling of {site.name} ({site.was}) cannot be replaced: with plain subsampling "
        f"in the pool's place ({site.now}), {titled(original, run[-1])} does not return what it "
        "did; measure the network with its own downsampling (pool=native)"
    )


def reductions(model: nn.Module, found: Survey) -> list[Site]:
    """Return the subsampling in the code of modules, one line for each module."""
    functions: dict[str, list[str]] = {}
    for reduction in found.reductions:
        functions.setdefault(reduction.module, []).append(reduction.function)
    sites = []
    for name, names in functions.items():
        was = f"{_in_code(names)} of {type(model.get_submodule(name)).__name__}"
        sites.append(Site(name or "the network", was, SUBSAMPLES))
    return sites


def _in_code(functions: list[str]) -> str:
    named = ["indexing" if name == "__getitem__" else name for name in functions if name]
    return " and ".join(dict.fromkeys(named)) or "the code"
