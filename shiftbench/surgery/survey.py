"""What a network's downsampling steps are, and in which order a picture meets them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import graph
from shiftbench.surgery.layers import pair

# A network that takes pictures of one size only says so by failing at the others.
SIDES = (224, 32, 299, 256, 64, 28, 384)
STRIDED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Step:
    """A layer that makes the map smaller.

    Attributes:
        name: Of the module.
        kind: ``conv``, ``shortcut`` (1×1 convolution), ``max`` or ``avg``.
        channels: Of its input, or of its output for ``conv``: where the pool comes.
        stride: (rows, columns).
        stem: Whether it is the convolution that sees the picture.
        last: Whether it leaves a single pixel: the pooling of a head.
    """

    name: str
    kind: str
    channels: int
    stride: tuple[int, int]
    stem: bool
    last: bool


def downsampling_steps(model: nn.Module) -> list[Step]:
    """Return the layers of ``model`` with a stride, in the order in which a picture meets them.

    Raises:
        ShiftbenchError: If the network takes none of the usual sizes of pictures.
    """
    reason = ""
    for device in ("meta", None):  # on "meta" nothing is computed, but not every network runs there
        for side in SIDES:
            try:
                return list(_steps_at(model, side, device))
            except Exception as error:  # whatever somebody's network raises
                reason = reason or str(error).partition("\n")[0]
    raise ShiftbenchError(
        f"the network runs on no square picture of {', '.join(map(str, SIDES))} px ({reason}), so "
        "its downsampling steps are not known; measure it as it is"
    )


def _steps_at(model: nn.Module, side: int, device: str | None) -> Iterator[Step]:
    parameter = next(model.parameters())
    probe = copy.deepcopy(model).to(device or parameter.device).eval()
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    convolutions: list[str] = []

    def watch(name: str, module: nn.Module) -> None:
        def after(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(module, nn.Conv2d):
                convolutions.append(name)
            shapes.setdefault(name, (inputs[0].shape, output.shape))

        module.register_forward_hook(after)

    for name, module in probe.named_modules():
        if isinstance(module, STRIDED):
            watch(name, module)
    chans = next(m.in_channels for m in probe.modules() if isinstance(m, nn.Conv2d))
    picture = torch.zeros(1, chans, side, side, dtype=parameter.dtype)
    with torch.no_grad():
        probe(picture.to(device or parameter.device))
    for name, (x, y) in shapes.items():
        module = probe.get_submodule(name)
        stride, kind = pair(module.stride), _kind(module)
        if max(stride) > 1:
            channels = y[1] if kind == "conv" else x[1]
            last = kind in ("max", "avg") and tuple(y[2:]) == (1, 1)
            yield Step(name, kind, channels, stride, name == convolutions[0], last)


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        return "shortcut" if pair(module.kernel_size) == (1, 1) else "conv"
    return "max" if isinstance(module, nn.MaxPool2d) else "avg"


def name_pooling_functions(model: nn.Module) -> None:
    """Make modules of the strided ``F.max_pool2d`` and ``F.avg_pool2d`` calls in ``model``.

    A network whose graph cannot be traced is left as it is.
    """
    whole = graph.trace(model)
    for scope_name in dict.fromkeys(_homes_of_functions(whole) if whole else ()):
        scope = model.get_submodule(scope_name)
        part = graph.trace(scope, enter=[])
        if part is None or not graph.same_in_training(scope, enter=[]):
            continue
        for number, node in enumerate([n for n in part.nodes if _pools(n)]):
            pool = _as_module(node)
            name = f"{'max' if isinstance(pool, nn.MaxPool2d) else 'avg'}_pool_{number}"
            scope.add_module(name, pool)
            with part.inserting_after(node):
                called = part.call_module(name, (node.args[0],))
            node.replace_all_uses_with(called)
            part.erase_node(node)
        graph.rewire(scope, part)


def _homes_of_functions(whole: torch.fx.Graph) -> Iterator[str]:
    for node in whole.nodes:
        if _pools(node):
            stack = list(node.meta.get("nn_module_stack", {}))
            yield stack[-1] if stack else ""


def _pools(node: torch.fx.Node) -> bool:
    """Return whether the node is a strided pooling function with plain numbers as arguments."""
    if node.op != "call_function" or node.target not in (F.max_pool2d, F.avg_pool2d):
        return False
    module = _as_module(node)
    return module is not None and max(pair(module.stride)) > 1


def _as_module(node: torch.fx.Node) -> nn.Module:
    kind = nn.MaxPool2d if node.target is F.max_pool2d else nn.AvgPool2d
    given = {k: v for k, v in node.kwargs.items() if k not in ("input", "return_indices")}
    return kind(*node.args[1:], **given)  # type: ignore[arg-type]
