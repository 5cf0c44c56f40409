"""Conversion of pooling functions in the code of a network to modules."""

from __future__ import annotations

import torch.nn.functional as F
from torch import fx, nn

from shiftbench.surgery import graph
from shiftbench.surgery.graph import Traceable
from shiftbench.surgery.survey import Survey
from shiftbench.surgery.windows import pair


def name_pooling_functions(model: nn.Module, found: Survey) -> bool:
    """Convert the strided ``F.max_pool2d`` and ``F.avg_pool2d`` calls in ``model`` to modules.

    Parts of the network whose graph cannot be traced are unchanged.

    Returns:
        Whether there were any.
    """
    parts, named = Traceable(model, found.given), False
    for scope_name in dict.fromkeys(r.module for r in found.reductions if r.pools):
        part = parts.trace(scope_name)
        if part is None or not parts.same_in_training(scope_name, []):
            continue
        calls = [node for node in part.nodes if _strides(node)]
        for number, node in enumerate(calls):
            _name(model.get_submodule(scope_name), part, node, number)
        if calls:
            graph.rewire(model.get_submodule(scope_name), part)
            named = True
    return named


def _name(scope: nn.Module, part: fx.Graph, node: fx.Node, number: int) -> None:
    pool = _as_module(node)
    name = f"{'max' if isinstance(pool, nn.MaxPool2d) else 'avg'}_pool_{number}"
    scope.add_module(name, pool.train(scope.training))
    x = node.args[0] if node.args else node.kwargs["input"]
    with part.inserting_after(node):
        called = part.call_module(name, (x,))
    node.replace_all_uses_with(called)
    part.erase_node(node)


def _strides(node: fx.Node) -> bool:
    """Return whether the node is a strided pooling function with plain numbers as arguments."""
    if node.op != "call_function" or node.target not in (F.max_pool2d, F.avg_pool2d):
        return False
    if any(isinstance(used, fx.Node) for used in (*node.args[1:], *node.kwargs.values())):
        return len(node.all_input_nodes) == 1 and "input" in node.kwargs
    return max(pair(_as_module(node).stride)) > 1


def _as_module(node: fx.Node) -> nn.Module:
    kind = nn.MaxPool2d if node.target is F.max_pool2d else nn.AvgPool2d
    given = {name: value for name, value in node.kwargs.items() if name != "input"}
    return kind(*node.args[1:], **given)  # type: ignore[arg-type]
