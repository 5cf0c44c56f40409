"""The graph of a part of a network: followed, and written anew under the part's own class."""

from __future__ import annotations

from collections.abc import Iterable

from torch import fx, nn

ACTIVATIONS = frozenset(
    ("relu", "relu_", "relu6", "silu", "gelu", "hardswish", "elu", "leaky_relu", "mish", "selu")
)


class _Tracer(fx.Tracer):
    """Goes into the modules of ``enter`` only; into all but layers where that is None."""

    def __init__(self, enter: Iterable[nn.Module] | None) -> None:
        super().__init__()
        self.enter = None if enter is None else {id(module) for module in enter}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if self.enter is None:
            layer = isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)  # ports have their own
            return layer or super().is_leaf_module(m, module_qualified_name)
        return id(m) not in self.enter


def trace(scope: nn.Module, enter: Iterable[nn.Module] | None = None) -> fx.Graph | None:
    """Return the graph of ``scope`` as it is run in eval mode, None where it cannot be traced.

    Args:
        scope: A network or a part of one.
        enter: The modules to go into; by default all but layers.
    """
    training = {module: module.training for module in scope.modules()}
    scope.eval()
    try:
        return _Tracer(enter).trace(scope)
    except Exception:  # what a network does in Python is its own affair
        return None
    finally:
        for module, mode in training.items():
            module.training = mode


def same_in_training(scope: nn.Module, enter: Iterable[nn.Module]) -> bool:
    """Return whether the part's own code does the same in train and in eval mode."""
    enter = list(enter)
    codes = []
    modes = [module.training for module in (scope, *enter)]
    for training in (True, False):
        for module in (scope, *enter):
            module.training = training
        try:
            codes.append(str(_Tracer(enter).trace(scope)))
        except Exception:  # as in trace
            return False
        finally:
            for module, mode in zip((scope, *enter), modes, strict=True):
                module.training = mode
    return codes[0] == codes[1]


def rewire(scope: nn.Module, graph: fx.Graph) -> None:
    """Let ``scope`` run ``graph``, its class, attributes and parameters kept.

    Raises:
        RuntimeError: If the graph uses a node before it is there.
    """
    graph.lint()
    forward = type(fx.GraphModule(scope, graph)).forward
    kind = type(scope)
    scope.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__doc__": kind.__doc__})


def sort(graph: fx.Graph) -> None:
    """Move every node behind what it uses, and leave the order alone otherwise."""
    nodes = list(graph.nodes)
    output, placed = nodes[-1], set()

    def place(node: fx.Node) -> None:
        if node in placed:
            return
        placed.add(node)
        for used in node.all_input_nodes:
            place(used)
        if node is not output:
            output.prepend(node)

    for node in nodes:
        place(node)


def chain(graph: fx.Graph, conv: fx.Node, scope: nn.Module) -> tuple[list[fx.Node], bool]:
    """Follow a convolution's output through its norm and its activation.

    Returns:
        The nodes of convolution, norm, activation, as far as they are there; and whether the next
        one may come outside of ``graph``.
    """
    nodes = [conv]
    while len(nodes[-1].users) == 1:
        [following] = nodes[-1].users
        if following.op == "output":
            return nodes, True
        if is_activation(following, scope):
            return [*nodes, following], False
        if not _is_norm(following, scope):
            break
        nodes.append(following)
    return nodes, False


def is_activation(node: fx.Node, scope: nn.Module) -> bool:
    """Return whether the node is an activation, as a module or as a function."""
    if node.op == "call_module":
        kind = type(scope.get_submodule(str(node.target)))
        return kind.__module__ == nn.ReLU.__module__ or "Swish" in kind.__name__
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_function", "call_method") and name in ACTIVATIONS


def _is_norm(node: fx.Node, scope: nn.Module) -> bool:
    if node.op != "call_module":
        return False
    module = scope.get_submodule(str(node.target))
    return "Norm" in type(module).__name__ or isinstance(module, nn.Identity)
