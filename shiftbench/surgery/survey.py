"""Survey of a network's downsampling steps in the order of execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError
from shiftbench.surgery.copying import ImageShape, noise
from shiftbench.surgery.grids import Grids
from shiftbench.surgery.positions import Positions
from shiftbench.surgery.watching import Call, given_names, tensors, titled, watch
from shiftbench.surgery.windows import Pair, pair

WINDOWS = {
    "conv2d": nn.Conv2d, "max_pool2d": nn.MaxPool2d, "max_pool2d_with_indices": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
}  # fmt: skip
ATTENTION = (
    "scaled_dot_product_attention", "multi_head_attention_forward",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd",
)  # fmt: skip
SUBSAMPLES = "it is not a Conv2d, MaxPool2d or AvgPool2d, which a pool could replace"


@dataclass(frozen=True)
class Step:
    """A layer that subsamples the feature map.

    Attributes:
        name: Name of the module.
        kind: ``conv``, ``shortcut`` (1×1 convolution), ``max`` or ``avg``.
        channels: Channels at the pool: of its input, or of its output for ``conv``.
        stride: (rows, columns).
        stem: Whether it is a convolution on the image itself.
        last: Whether it leaves a single pixel, as the pooling of a head.
    """

    name: str
    kind: str
    channels: int
    stride: Pair
    stem: bool
    last: bool


@dataclass(frozen=True)
class Reduction:
    """Subsampling in the code of a ``forward``, without a layer.

    Attributes:
        module: Name of the module.
        function: The torch function, "" if none shows it.
        pools: Whether it is a strided ``F.max_pool2d`` or ``F.avg_pool2d``.
    """

    module: str
    function: str
    pools: bool


@dataclass
class Survey:
    """The subsampling that a forward pass of a network shows.

    Attributes:
        steps: Layers with a stride, by name, in the order of execution.
        reductions: Other subsampling.
        grids: Groups of these that are merged later.
        given: By module, the arguments of its ``forward`` that every call passes; None if calls
            differ in this.
        attends: Whether it contains attention.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    reductions: list[Reduction] = field(default_factory=list)
    grids: Grids = field(default_factory=Grids)
    given: dict[str, frozenset[str] | None] = field(default_factory=dict)
    attends: bool = False


def survey(model: nn.Module, shape: ImageShape) -> Survey:
    """Run noise images through ``model`` and return its subsampling.

    Raises:
        ShiftbenchError: If parts of the network are TorchScript, whose layers cannot be changed.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ShiftbenchError(
                f"{titled(model, name)} is TorchScript, whose layers cannot be changed; give the "
                "network that it was made of, or measure it as it is (pool=native)"
            )
    images = noise(model, 2, shape)
    surveyor = _Surveyor(model, images)
    watch(model, images, surveyor.see, surveyor.enter)
    return surveyor.found


class _Surveyor:
    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model, self.found = model, Survey()
        self.positions = Positions(images)
        self.seen_by_first: Tensor | None = None  # input of the first convolution
        self.inside: list[tuple[str, Tensor | None, int]] = []
        self.subsampled = 0

    def enter(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Record a module's arguments."""
        first = next(tensors((args, kwargs)), None)
        self.inside.append((name, first, self.subsampled))
        given = frozenset(given_names(self.model.get_submodule(name), args, kwargs))
        same = self.found.given.setdefault(name, given) == given
        self.found.given[name] = given if same else None

    def see(self, call: Call) -> None:
        """Record the effect of a call on the number of positions."""
        step = self._step(call)
        if not call.function:
            if self.subsampled == self._leave(call.module) and self._falls_inside(call):
                step = self._reduction(call, "")
        elif not step and self._subsamples(call):
            step = self._reduction(call, call.function)
        self.found.grids.see(call, step)
        if call.function in ATTENTION or _is_softmax_over_tokens(call):
            self.found.attends = True

    def _falls_inside(self, call: Call) -> bool:
        is_linear = isinstance(self.model.get_submodule(call.module), nn.Linear)
        return not is_linear and self.positions.fall(call)

    def _leave(self, name: str) -> int:
        """Return the number of steps before the module was entered."""
        before = self.subsampled
        while self.inside:  # modules on constants are entered, but not reported
            entered, _, before = self.inside.pop()
            if entered == name:
                break
        return before

    def _step(self, call: Call) -> str:
        """Return the name of the strided layer that makes a call, "" for other calls."""
        output = call.outputs()[0] if call.outputs() else None
        if call.function not in WINDOWS or output is None or output.ndim != 4:
            return ""
        self.positions.add(output)
        stem = self._sees_image(call)
        module = self.model.get_submodule(call.module)
        if max(_stride(call)) < 2 or not isinstance(module, WINDOWS[call.function]):
            return ""
        self.subsampled += 1
        if call.module not in self.found.steps:
            self.found.steps[call.module] = _described(call, output, stem)
        return call.module

    def _sees_image(self, call: Call) -> bool:
        """Return whether a convolution has the same input as the first one."""
        if call.function != "conv2d":
            return False
        given = self.inside[-1][1] if self.inside else None
        if self.seen_by_first is None:
            self.seen_by_first = given
        return given is self.seen_by_first

    def _subsamples(self, call: Call) -> bool:
        if call.function == "pad":
            return False
        if call.function in WINDOWS:
            strides = max(_stride(call)) > 1
            if not strides and self.positions.fall(call):
                self.subsampled += 1  # without padding: fewer positions, but not every s-th
            return strides and self._is_on_maps(call)
        if call.function == "__getitem__" and not _skips(call.argument(1, "index")):
            return False
        return self.positions.fall(call)

    def _is_on_maps(self, call: Call) -> bool:
        output = call.outputs()[0]
        return output.ndim == 4 and tuple(output.shape[2:]) != (1, 1)

    def _reduction(self, call: Call, function: str) -> str:
        self.subsampled += 1
        pools = function in ("max_pool2d", "avg_pool2d")
        reduction = Reduction(call.module, function, pools)
        if reduction not in self.found.reductions:
            self.found.reductions.append(reduction)
        return f"{call.module}:{function}"


def _described(call: Call, output: Tensor, stem: bool) -> Step:
    x = call.inputs()[0]
    kind = {"conv2d": "conv", "avg_pool2d": "avg"}.get(call.function, "max")
    window = call.argument(1, "weight" if kind == "conv" else "kernel_size")
    kernel = pair(window.shape[2:] if kind == "conv" else window)
    if kind == "conv" and kernel == (1, 1):
        kind = "shortcut"
    channels = int(output.shape[1] if kind == "conv" else x.shape[1])
    whole = kernel[0] >= x.shape[2] and kernel[1] >= x.shape[3]
    last = kind in ("max", "avg") and whole and tuple(output.shape[2:]) == (1, 1)
    return Step(call.module, kind, channels, _stride(call), stem, last)


def _stride(call: Call) -> Pair:
    """Return the stride of a convolution or a pooling window."""
    if call.function == "conv2d":
        return pair(call.argument(3, "stride", 1))
    kernel = call.argument(1, "kernel_size")
    return pair(call.argument(2, "stride") or kernel)


def _skips(index: object) -> bool:
    """Return whether an index skips positions: a slice with a step, or numbers."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        (isinstance(part, slice) and part.step not in (None, 1)) or isinstance(part, list | Tensor)
        for part in parts
    )


def _is_softmax_over_tokens(call: Call) -> bool:
    if call.function != "softmax":
        return False
    output = call.outputs()[0]
    dim = call.argument(1, "dim", -1)
    over_last = dim in (-1, output.ndim - 1)
    return over_last and output.ndim >= 3 and output.shape[-1] > 1 and output.shape[-2] > 1
