"""Graphs of parts of a network: tracing, and replacing a part's ``forward`` by its graph."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from shiftbench.surgery.copying import copied, name_of, trial_run

ACTIVATIONS = frozenset((
    "relu", "relu_", "relu6", "silu", "gelu", "hardswish", "hardtanh", "hardtanh_", "elu", "elu_",
    "leaky_relu", "leaky_relu_", "mish", "selu", "selu_", "celu", "softplus", "tanh", "tanh_",
    "sigmoid", "sigmoid_", "hardsigmoid", "prelu", "rrelu", "softsign", "clamp", "clamp_",
))  # fmt: skip
PROBE_SIDE = 9
Given = Mapping[str, "frozenset[str] | None"]


class _Tracer(fx.Tracer):
    """A tracer that enters only the modules of ``enter``."""

    def __init__(self, enter: Iterable[nn.Module]) -> None:
        super().__init__()
        self.enter = {id(module) for module in enter}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) not in self.enter


class Traceable:
    """The parts of a network as graphs.

    Args:
        model: The network.
        given: By module, the arguments of its ``forward`` that every call passes; the others have
            their defaults, which the graph then contains. None if calls differ in this.
    """

    def __init__(self, model: nn.Module, given: Given) -> None:
        self.model, self.given = model, given

    def trace(self, scope_name: str, enter: Iterable[nn.Module] = ()) -> fx.Graph | None:
        """Return the graph of a part in eval mode, None if it cannot be traced.

        Args:
            scope_name: The part.
            enter: The inner modules to trace into.
        """
        return self._traced(scope_name, [*enter], training=False)

    def same_in_training(self, scope_name: str, enter: Iterable[nn.Module]) -> bool:
        """Return whether a part's own code is the same in train and in eval mode."""
        graphs = [self._traced(scope_name, [*enter], mode) for mode in (True, False)]
        return None not in graphs and str(graphs[0]) == str(graphs[1])

    def _traced(self, scope_name: str, enter: list[nn.Module], training: bool) -> fx.Graph | None:
        scope, given = self.model.get_submodule(scope_name), self.given.get(scope_name)
        if given is None:  # not run, or run in several ways
            return None
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(type(scope).forward).parameters.items()
            if parameter.default is not inspect.Parameter.empty and name not in given
        }
        with _in_mode([scope, *enter], training), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                graph = _Tracer(enter).trace(scope, concrete_args=defaults or None)
            except Exception:  # a network's Python code may raise anything
                return None
        _restore_names(graph, defaults)
        return graph


@contextmanager
def _in_mode(modules: list[nn.Module], training: bool) -> Any:
    modes = [module.training for module in modules]
    for module in modules:
        module.training = training
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _restore_names(graph: fx.Graph, defaults: Mapping[str, Any]) -> None:
    """Restore the names of arguments with defaults, to which the tracer adds a number."""
    for node in graph.nodes:
        if node.op == "placeholder" and str(node.target).rpartition("_")[0] in defaults:
            node.target = str(node.target).rpartition("_")[0]


def rewire(scope: nn.Module, graph: fx.Graph) -> None:
    """Make ``scope`` run ``graph``, with its class name, attributes and parameters.

    Raises:
        RuntimeError: If the graph uses a node before its definition.
    """
    graph.lint()
    forward = type(fx.GraphModule(scope, graph)).forward
    kind = type(scope)
    about = {"forward": forward, "__doc__": kind.__doc__, "__module__": kind.__module__}
    scope.__class__ = type(kind.__name__, (kind,), about)


def sort(graph: fx.Graph) -> None:
    """Move every node behind its inputs, otherwise keeping the order."""
    nodes = list(graph.nodes)
    output, visited = nodes[-1], set()

    def visit(node: fx.Node) -> None:
        if node in visited:
            return
        visited.add(node)
        for used in node.all_input_nodes:
            visit(used)
        if node is not output:
            output.prepend(node)

    for node in nodes:
        visit(node)


def chain(
    graph: fx.Graph, conv: fx.Node, scope: nn.Module, channels: int
) -> tuple[list[fx.Node], bool]:
    """Follow a convolution's output through its norm and its activation.

    Returns:
        The nodes of convolution, norm and activation that exist; and whether the next one may lie
        outside of ``graph``.
    """
    nodes = [conv]
    while len(nodes[-1].users) == 1:
        [following] = nodes[-1].users
        if following.op == "output":
            return nodes, True
        if is_activation(following, scope, channels):
            return [*nodes, following], False
        if not _is_pointwise(following, scope, channels):
            break
        nodes.append(following)
    return nodes, False


def is_activation(node: fx.Node, scope: nn.Module, channels: int) -> bool:
    """Return whether the node is an activation, as a module or as a function."""
    if node.op == "call_module":
        module = scope.get_submodule(str(node.target))
        if not _is_pointwise(node, scope, channels) or _passes(module, channels):
            return False
        holds = any(True for _ in (*module.buffers(), *_weights(module)))
        return not holds and not _mixes_channels(module, channels)
    name = node.target if isinstance(node.target, str) else name_of(node.target)
    return node.op in ("call_function", "call_method") and name in ACTIVATIONS


def _is_pointwise(node: fx.Node, scope: nn.Module, channels: int) -> bool:
    """Return whether a module is a norm or an activation that treats all positions alike.

    Tested by behaviour, not by name: such a module has at most one weight per channel, keeps the
    map's shape and gives the same output on a part of the positions, on any map. A norm over
    positions or for a fixed map size does not, nor does a block with a convolution.
    """
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return False
    module = scope.get_submodule(str(node.target))
    held = [*module.parameters(), *module.buffers()]
    if any(tensor.ndim > 1 and max(tensor.shape) < tensor.numel() for tensor in held):
        return False
    return _treats_positions_alike(module, channels)


def _treats_positions_alike(module: nn.Module, channels: int) -> bool:
    x, trial = _probe(channels), copied(module).float().cpu()
    with trial_run(trial):
        try:
            whole = trial(x.clone())
            part = trial(x[:, :, 1::2, ::3].clone())
        except Exception:  # it expects another kind of map
            return False
    same = isinstance(whole, torch.Tensor) and whole.shape == x.shape
    return same and torch.allclose(whole[:, :, 1::2, ::3], part, rtol=1e-4, atol=1e-5)


def _passes(module: nn.Module, channels: int) -> bool:
    """Return whether a module is the identity in eval mode."""
    x, trial = _probe(channels), copied(module).float().cpu()
    with trial_run(trial):
        return bool(torch.equal(trial(x.clone()), x))


def _mixes_channels(module: nn.Module, channels: int) -> bool:
    """Return whether a channel depends on the others, e.g. in a norm without weights."""
    x, trial = _probe(channels), copied(module).float().cpu()
    others = torch.cat([x[:, :1], 2 * x[:, 1:] + 1], 1)
    with trial_run(trial):
        return not torch.equal(trial(x.clone())[:, :1], trial(others)[:, :1])


def _weights(module: nn.Module) -> list[torch.Tensor]:
    """Return the parameters except those of a PReLU."""
    prelus = {id(p) for m in module.modules() if isinstance(m, nn.PReLU) for p in m.parameters()}
    return [parameter for parameter in module.parameters() if id(parameter) not in prelus]


def _probe(channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, PROBE_SIDE, PROBE_SIDE, generator=generator)
