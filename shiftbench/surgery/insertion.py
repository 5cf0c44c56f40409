"""Pools put into a network, its classes and the names of its parameters kept."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx, nn

from shiftbench.errors import UsageError
from shiftbench.surgery import graph
from shiftbench.surgery.layers import OneGrid


def put(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` where ``name`` is."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def pool_after(model: nn.Module, name: str, pool: nn.Module) -> str:
    """Put ``pool`` behind the norm and the activation of the convolution ``name``.

    Returns:
        Behind what it is now: ``activation``, ``norm`` or ``convolution``.
    """
    found = _chain(model, name)
    if found is None:
        _pool_itself(model.get_submodule(name), pool, after=True)
        return "convolution"
    scope_name, part, nodes = found
    scope, end = model.get_submodule(scope_name), nodes[-1]
    kind = "convolution" if len(nodes) == 1 else "norm"
    kind = "activation" if graph.is_activation(end, scope) else kind
    if _beside(model, _join(scope_name, str(end.target)), part, end, pool):
        return kind
    if not graph.same_in_training(scope, _between(model, scope_name, [name])):
        _pool_itself(model.get_submodule(name), pool, after=True)
        return "convolution"
    leaf = _add(scope, _relative(name, scope_name), pool)
    with part.inserting_after(end):
        pooled = part.call_module(leaf, (end,))
    end.replace_all_uses_with(pooled, lambda user: user is not pooled)
    graph.rewire(scope, part)
    return kind


def pool_before(model: nn.Module, name: str, pool: nn.Module) -> None:
    """Put ``pool`` in front of the layer ``name``."""
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if _is_sequential(parent):
        _insert(parent, leaf, pool, after=False)
        return
    part = graph.trace(parent, [])
    calls = _calls(part, leaf) if part else []
    if part is None or len(calls) != 1 or not graph.same_in_training(parent, []):
        _pool_itself(model.get_submodule(name), pool, after=False)
        return
    called = _add(parent, leaf, pool)
    with part.inserting_before(calls[0]):
        pooled = part.call_module(called, calls[0].args)
    calls[0].args = (pooled,)
    graph.rewire(parent, part)


def pool_together(model: nn.Module, pools: dict[str, tuple[str, nn.Module]]) -> None:
    """Put pools behind (``shortcut``: in front of) the layers of several branches, on one grid.

    Args:
        model: The network.
        pools: By the layer's name: the kind of its step, and its pool.

    Raises:
        UsageError: If the part of the network that holds all of them cannot be written anew.
    """
    scope_name = _common(list(pools))
    scope = model.get_submodule(scope_name)
    enter = _between(model, scope_name, list(pools))
    part = graph.trace(scope, enter)
    # The last strided convolution picks: the main branch, where the others are shortcuts.
    backwards = list(pools)[::-1]
    names = sorted(backwards, key=lambda name: pools[name][0] != "conv")
    calls = [_calls(part, _relative(name, scope_name)) if part else [] for name in names]
    if part is None or any(len(c) != 1 for c in calls) or not graph.same_in_training(scope, enter):
        raise UsageError(
            f"the branches of {scope_name or 'the network'} cannot be given one grid that the "
            "content picks; allowed: pool=max, avg, stride, blur"
        )
    ends = [
        _pooled_at(part, scope, pools[n][0], call) for n, [call] in zip(names, calls, strict=True)
    ]
    grid = _add(scope, _relative(names[0], scope_name), OneGrid([pools[name][1] for name in names]))
    with part.inserting_after(ends[0]):
        sampled = part.call_module(grid, tuple(ends))
    for index, (name, end, [call]) in enumerate(zip(names, ends, calls, strict=True)):
        with part.inserting_after(sampled):
            own = part.call_function(operator.getitem, (sampled, index))
        if pools[name][0] == "shortcut":
            call.args = (own,)
        else:
            end.replace_all_uses_with(own, lambda user: user is not sampled)
    graph.sort(part)
    graph.rewire(scope, part)


def _pooled_at(part: fx.Graph, scope: nn.Module, kind: str, call: fx.Node) -> fx.Node:
    """Return the node whose output is pooled."""
    if kind == "shortcut":
        return call.all_input_nodes[0]
    return graph.chain(part, call, scope)[0][-1] if kind == "conv" else call


def _chain(model: nn.Module, name: str) -> tuple[str, fx.Graph, list[fx.Node]] | None:
    """Return convolution, norm, activation in the smallest part of the network that holds them."""
    best = None
    for scope_name in _ancestors(name):
        scope = model.get_submodule(scope_name)
        part = graph.trace(scope, _between(model, scope_name, [name]))
        calls = _calls(part, _relative(name, scope_name)) if part else []
        if part is None or len(calls) != 1:
            break
        nodes, goes_on = graph.chain(part, calls[0], scope)
        if best is None or len(nodes) > len(best[2]):
            best = scope_name, part, nodes
        if not goes_on:
            break
    return best


def _beside(model: nn.Module, name: str, part: fx.Graph, end: fx.Node, pool: nn.Module) -> bool:
    """Put ``pool`` behind the module ``name`` without a new graph; return whether that went."""
    if end.op != "call_module" or len(_calls(part, str(end.target))) != 1:
        return False
    module = model.get_submodule(name)
    registered = [n for n, m in model.named_modules(remove_duplicate=False) if m is module]
    if len(registered) > 1:
        return False
    if not module.state_dict():
        put(model, name, nn.Sequential(module, pool))
        return True
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if _is_sequential(parent):
        _insert(parent, leaf, pool, after=True)
        return True
    return False


def _is_sequential(module: nn.Module) -> bool:
    return type(module).forward is nn.Sequential.forward


def _insert(parent: nn.Module, leaf: str, pool: nn.Module, after: bool) -> None:
    """Put ``pool`` beside the child ``leaf`` of a sequence, whose children keep their names."""
    children = list(parent.named_children())
    for name, _ in children:
        delattr(parent, name)
    for name, child in children:
        parts = [(name, child)]
        if name == leaf:
            parts.insert(len(parts) if after else 0, (f"{leaf}_pool", pool))
        for key, module in parts:
            parent.add_module(key, module)


def _pool_itself(layer: nn.Module, pool: nn.Module, after: bool) -> None:
    """Let a layer pool its own output or input: for places that no graph shows."""
    kind: Any = type(layer)

    def forward(self: Any, input: Tensor) -> Tensor:
        output: Tensor
        if after:
            output = self.pool(kind.forward(self, input))
        else:
            output = kind.forward(self, self.pool(input))
        return output

    layer.add_module("pool", pool)
    layer.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__doc__": kind.__doc__})


def _add(scope: nn.Module, name: str, pool: nn.Module) -> str:
    """Make ``pool`` a child of ``scope``; return what it is called."""
    leaf = f"{name.replace('.', '_')}_pool"
    scope.add_module(leaf, pool)
    return leaf


def _calls(part: fx.Graph, name: str) -> list[fx.Node]:
    return [node for node in part.nodes if node.op == "call_module" and node.target == name]


def _between(model: nn.Module, scope_name: str, names: list[str]) -> list[nn.Module]:
    """Return the modules inside of the scope that hold one of ``names``."""
    inner = (outer for name in names for outer in _ancestors(name) if len(outer) > len(scope_name))
    return [model.get_submodule(outer) for outer in dict.fromkeys(inner)]


def _ancestors(name: str) -> Iterator[str]:
    """Yield the names of the modules around ``name``, the smallest first, the whole ("") last."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _common(names: list[str]) -> str:
    """Return the name of the smallest module that holds all of ``names``."""
    around = [set(_ancestors(name)) for name in names]
    return max(set.intersection(*around), key=len)


def _relative(name: str, scope_name: str) -> str:
    return name.removeprefix(f"{scope_name}.") if scope_name else name


def _join(scope_name: str, name: str) -> str:
    return f"{scope_name}.{name}" if scope_name else name
