"""Insertion of pools into a network that keeps its class and parameter names."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from shiftbench.errors import UsageError
from shiftbench.surgery import graph
from shiftbench.surgery.graph import Traceable
from shiftbench.surgery.layers import OneGrid

OTHER_POOLS = "allowed: pool=max, avg, stride, blur"


@dataclass(frozen=True)
class InsertionPoint:
    """The position of a pool: the layer ``name``, a step of type ``kind``."""

    name: str
    kind: str
    channels: int
    pool: nn.Module


def put(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` wherever ``old`` is registered, which may be in several places."""
    for parent in list(model.modules()):
        for leaf, child in list(parent._modules.items()):
            if child is old and parent is not new:
                parent._modules[leaf] = new


def pool_after(parts: Traceable, point: InsertionPoint) -> str:
    """Insert a pool behind the norm and the activation of a convolution.

    Returns:
        The layer before it: ``activation``, ``norm`` or ``convolution``.
    """
    model, name, pool = parts.model, point.name, point.pool
    found = _chain(parts, point)
    if found is None:
        _pool_itself(model.get_submodule(name), pool, after=True)
        return "convolution"
    scope_name, part, nodes = found
    scope, end = model.get_submodule(scope_name), nodes[-1]
    kind = "convolution" if len(nodes) == 1 else "norm"
    kind = "activation" if graph.is_activation(end, scope, point.channels) else kind
    if _beside(model, _join(scope_name, str(end.target)), part, end, pool):
        return kind
    if not parts.same_in_training(scope_name, _between(model, scope_name, [name])):
        _pool_itself(model.get_submodule(name), pool, after=True)
        return "convolution"
    leaf = _add(scope, _relative(name, scope_name), pool)
    with part.inserting_after(end):
        pooled = part.call_module(leaf, (end,))
    end.replace_all_uses_with(pooled, lambda user: user is not pooled)
    graph.rewire(scope, part)
    return kind


def pool_before(parts: Traceable, point: InsertionPoint) -> None:
    """Insert a pool in front of a layer."""
    model, name, pool = parts.model, point.name, point.pool
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if _is_sequential(parent) and _is_registered_once(model, model.get_submodule(name)):
        _insert(parent, leaf, pool, after=False)
        return
    part = parts.trace(parent_name)
    calls = _calls(part, leaf) if part else []
    if part is None or len(calls) != 1 or not parts.same_in_training(parent_name, []):
        _pool_itself(model.get_submodule(name), pool, after=False)
        return
    called = _add(parent, leaf, pool)
    with part.inserting_before(calls[0]):
        pooled = part.call_module(called, calls[0].args)
    calls[0].args = (pooled,)
    graph.rewire(parent, part)


def pool_together(parts: Traceable, points: list[InsertionPoint]) -> None:
    """Insert pools behind (``shortcut``: in front of) layers of several branches, on one grid.

    Raises:
        UsageError: If the part of the network that holds all of them cannot be rewritten.
    """
    model = parts.model
    scope_name = _common([point.name for point in points])
    scope = model.get_submodule(scope_name)
    enter = _between(model, scope_name, [point.name for point in points])
    part = parts.trace(scope_name, enter)
    # The last strided convolution selects the grid: the main branch, if the others are shortcuts.
    latest = list(reversed(points))
    ordered = sorted(latest, key=lambda point: point.kind != "conv")
    calls = [_calls(part, _relative(p.name, scope_name)) if part else [] for p in ordered]
    once = all(len(own) == 1 for own in calls)
    if part is None or not once or not parts.same_in_training(scope_name, enter):
        raise UsageError(
            f"the branches of {scope_name or 'the network'} that hold "
            f"{', '.join(point.name for point in points)} cannot be given one grid that the "
            f"content picks; {OTHER_POOLS}"
        )
    nodes = [call for [call] in calls]
    ends = [_pooled_at(part, scope, p, call) for p, call in zip(ordered, nodes, strict=True)]
    name = _relative(ordered[0].name, scope_name)
    grid = _add(scope, name, OneGrid([point.pool for point in ordered]))
    with part.inserting_after(ends[0]):
        sampled = part.call_module(grid, tuple(ends))
    for index, (point, end, call) in enumerate(zip(ordered, ends, nodes, strict=True)):
        with part.inserting_after(sampled):
            own = part.call_function(operator.getitem, (sampled, index))
        if point.kind == "shortcut":
            call.args = (own,)
        else:
            end.replace_all_uses_with(own, lambda user: user is not sampled)
    graph.sort(part)
    graph.rewire(scope, part)


def _pooled_at(part: fx.Graph, scope: nn.Module, point: InsertionPoint, call: fx.Node) -> fx.Node:
    """Return the node whose output is pooled."""
    if point.kind == "shortcut":
        return call.all_input_nodes[0]
    if point.kind != "conv":
        return call
    return graph.chain(part, call, scope, point.channels)[0][-1]


def _chain(parts: Traceable, point: InsertionPoint) -> tuple[str, fx.Graph, list[fx.Node]] | None:
    """Return convolution, norm, activation in the smallest part of the network with them."""
    best = None
    for scope_name in _ancestors(point.name):
        scope = parts.model.get_submodule(scope_name)
        if isinstance(scope, nn.ModuleList | nn.ModuleDict):  # run by its parent module
            continue
        part = parts.trace(scope_name, _between(parts.model, scope_name, [point.name]))
        calls = _calls(part, _relative(point.name, scope_name)) if part else []
        if part is None or len(calls) != 1:
            break
        nodes, goes_on = graph.chain(part, calls[0], scope, point.channels)
        if best is None or len(nodes) > len(best[2]):
            best = scope_name, part, nodes
        if not goes_on:
            break
    return best


def _beside(model: nn.Module, name: str, part: fx.Graph, end: fx.Node, pool: nn.Module) -> bool:
    """Insert ``pool`` behind the module ``name`` without a new graph; return the success."""
    if end.op != "call_module" or len(_calls(part, str(end.target))) != 1:
        return False
    module = model.get_submodule(name)
    if not _is_registered_once(model, module):
        return False
    if not module.state_dict():
        put(model, module, nn.Sequential(module, pool))
        return True
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if _is_sequential(parent):
        _insert(parent, leaf, pool, after=True)
        return True
    return False


def _is_registered_once(model: nn.Module, module: nn.Module) -> bool:
    return sum(m is module for _, m in model.named_modules(remove_duplicate=False)) == 1


def _is_sequential(module: nn.Module) -> bool:
    return type(module).forward is nn.Sequential.forward


def _insert(parent: nn.Module, leaf: str, pool: nn.Module, after: bool) -> None:
    """Insert ``pool`` beside the child ``leaf`` of a sequence, keeping the children's names."""
    children = dict(parent._modules)  # a layer may occur twice in it
    parent._modules.clear()
    for name, child in children.items():
        if name == leaf and not after:
            parent._modules[f"{leaf}_pool"] = pool
        parent._modules[name] = child
        if name == leaf and after:
            parent._modules[f"{leaf}_pool"] = pool


def _pool_itself(layer: nn.Module, pool: nn.Module, after: bool) -> None:
    """Make a layer pool its own output or input, for positions that no graph shows."""
    kind: Any = type(layer)

    def forward(self: Any, input: Tensor) -> Tensor:
        output: Tensor
        if after:
            output = self.surgery_pool(kind.forward(self, input))
        else:
            output = kind.forward(self, self.surgery_pool(input))
        return output

    layer.add_module("surgery_pool", pool)
    layer.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__doc__": kind.__doc__})


def _add(scope: nn.Module, name: str, pool: nn.Module) -> str:
    """Make ``pool`` a child of ``scope``; return its name."""
    leaf = f"{name.replace('.', '_')}_pool"
    scope.add_module(leaf, pool)
    return leaf


def _calls(part: fx.Graph, name: str) -> list[fx.Node]:
    return [node for node in part.nodes if node.op == "call_module" and node.target == name]


def _between(model: nn.Module, scope_name: str, names: list[str]) -> list[nn.Module]:
    """Return the modules inside of the scope that contain one of ``names``."""
    inner = (outer for name in names for outer in _ancestors(name) if len(outer) > len(scope_name))
    return [model.get_submodule(outer) for outer in dict.fromkeys(inner)]


def _ancestors(name: str) -> Iterator[str]:
    """Yield the names of the parent modules of ``name``, from the smallest to the whole ("")."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _common(names: list[str]) -> str:
    """Return the name of the smallest module that contains all of ``names``."""
    around = [set(_ancestors(name)) for name in names]
    return max(set.intersection(*around), key=len)


def _relative(name: str, scope_name: str) -> str:
    return name.removeprefix(f"{scope_name}.") if scope_name else name


def _join(scope_name: str, name: str) -> str:
    return f"{scope_name}.{name}" if scope_name else name
