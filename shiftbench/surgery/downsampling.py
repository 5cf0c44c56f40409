"""Every downsampling step of an external network done as one of our pools says."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from shiftbench.errors import ShiftbenchError, require_one_of
from shiftbench.ops.padding import MODES
from shiftbench.surgery.copying import ImageShape, copied, image_shape_of
from shiftbench.surgery.equality import before_difference
from shiftbench.surgery.functions import name_pooling_functions
from shiftbench.surgery.planning import MakePool, Order, plans
from shiftbench.surgery.rewriting import Rewriting
from shiftbench.surgery.survey import SUBSAMPLES, Survey, survey
from shiftbench.surgery.watching import titled


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
        sites: The steps that are done otherwise now, in the order in which an image meets them.
        kept: What subsamples as before, but for the head's global pooling; ``now`` says why.
    """

    sites: tuple[Site, ...]
    kept: tuple[Site, ...]

    def lines(self) -> list[str]:
        """Return a line for each step, for a log."""
        changed = [f"{site.name}: {site.was} -> {site.now}" for site in self.sites]
        return changed + [f"{site.name}: {site.was}, kept: {site.now}" for site in self.kept]


def replace_downsampling(
    model: nn.Module,
    make_pool: MakePool,
    padding: str = "zeros",
    stem: bool = False,
    image_shape: ImageShape | None = None,
) -> tuple[nn.Module, Replaced]:
    """Return a copy of ``model`` whose downsampling steps are done by pools, and what was done.

    Weights are kept, under the same names. A strided convolution gets stride 1 and the pool
    behind its norm and activation; a strided 1×1 convolution (a shortcut) the pool in front of it
    (Zhang, arXiv 1904.11486, sec. 3.3). Max pooling becomes its maximum at stride 1 and the pool
    where the pool says ``max_first``, else the pool alone. Average pooling becomes the pool; for
    one that picks its grid by content, its average at stride 1 and the pool. A pool that leaves
    the subsampling to the convolution (``conv_stride``) leaves strided convolutions alone, and
    pooling layers keep every s-th sample of their input (Springenberg, arXiv 1412.6806, sec. 2).
    A stride of 4 becomes two pools of stride 2. Branches that meet again share the grid that a
    content-picked pool keeps; of convolutions in parallel, all are replaced or none.

    Before the pools are put in, the rewritten network is checked on two noise images: with plain
    subsampling in the pools' places it has to return its own logits, layer by layer.

    Args:
        model: A classification network from ``(N, C, H, W)`` to logits; it is not changed.
        make_pool: Makes a pool, ``make_pool(channels, stride=2, padding=...)``.
        padding: The network's padding: ``zeros``, ``circular`` or ``reflect``.
        stem: Whether the convolutions that see the image are replaced, too.
        image_shape: ``(C, H, W)`` of the images; by default the usual ones are tried.

    Raises:
        UsageError: If the pool does not subsample, or its grid cannot be shared by branches that
            meet again.
        ShiftbenchError: If the network does not take the images, or what it computes would change
            at a layer though nothing is filtered.
    """
    require_one_of("padding", padding, MODES)
    original = copied(model)
    shape = image_shape_of(original, image_shape)
    changed = copied(original)
    found = survey(changed, shape)
    if name_pooling_functions(changed, found):
        found = survey(changed, shape)
    planned = plans(changed, found, Order(make_pool, padding, stem))
    todo = [plan for plan in planned if not plan.reason]
    rewriting = Rewriting(changed, found, todo)
    now = rewriting.insert()
    sites = tuple(Site(plan.step.name, plan.was, now[plan.step.name]) for plan in todo)
    if sites:
        _require_own_answers(original, changed, sites, shape)
    rewriting.fill(padding)
    kept = [Site(plan.step.name, plan.was, plan.reason) for plan in planned if plan.reason]
    return changed, Replaced(sites, (*kept, *_reductions(changed, found)))


def _require_own_answers(
    original: nn.Module, rewritten: nn.Module, sites: tuple[Site, ...], shape: ImageShape
) -> None:
    """Refuse a rewritten network that computes something else where nothing is filtered.

    Raises:
        ShiftbenchError: Naming the step and the layer behind which it does.
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


def _reductions(model: nn.Module, found: Survey) -> list[Site]:
    """Return what subsamples in the code of a module, one line for each module."""
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
