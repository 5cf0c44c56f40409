"""Circular borders for external networks."""

from __future__ import annotations

from torch import Tensor, nn

from shiftbench.errors import ShiftbenchError, printable
from shiftbench.ops.padding import Conv2d, TorusPool
from shiftbench.surgery.anchored_layers import Anchored, AnchoredStride
from shiftbench.surgery.circularity import require_circular
from shiftbench.surgery.copying import ImageShape, copied, image_shape_of, noise, trial_run
from shiftbench.surgery.invariance import require_invariant
from shiftbench.surgery.overrides import (
    PADDING,
    EveryPosition,
    WrapsAround,
    subclass,
    wrapped_avg_pool2d,
    wrapped_max_pool2d,
)
from shiftbench.surgery.watching import Call, watch
from shiftbench.surgery.windows import pair

BORDERS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
# Positions of the arguments `padding` and, if any, `ceil_mode` of the functions.
_ARGUMENTS = {"conv2d": (4, None), "max_pool2d": (3, 5), "avg_pool2d": (3, 4), "unfold": (3, None)}


class CircularMaxPool2d(nn.MaxPool2d, TorusPool):
    """``nn.MaxPool2d`` whose border wraps around, also where ``ceil_mode`` exceeds the map.

    ``x: (N, C, H, W) -> (N, C, H/s, W/s)`` for the usual kernels.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the maxima."""
        return wrapped_max_pool2d(
            input, self.kernel_size, self.stride, self.torus_padding, self.dilation, self.ceil_mode
        )


class CircularAvgPool2d(nn.AvgPool2d, TorusPool):
    """``nn.AvgPool2d`` whose border wraps around, also where ``ceil_mode`` exceeds the map."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the means."""
        return wrapped_avg_pool2d(
            input, self.kernel_size, self.stride, self.torus_padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


def circular(
    model: nn.Module, image_shape: ImageShape | None = None
) -> tuple[nn.Module, list[str]]:
    """Return a copy of ``model`` in which every border wraps around, and the layers changed.

    Weights are kept, but the result is another network and must be reported as such. Layers and
    blocks keep their class names, and a layer that is used in several places is still one layer.
    Borders that a ``forward`` pads by functions (``F.pad``, ``F.avg_pool2d``) are found by running
    it. The result is checked: a circular shift of noise images must shift every feature map and
    must not change the logits, unless the head depends on positions
    (:func:`~shiftbench.surgery.circularity.require_circular`). Of an anchored network, no circular
    shift may change the logits (:func:`~shiftbench.surgery.invariance.require_invariant`).

    Args:
        model: The network; it is not changed.
        image_shape: ``(C, H, W)`` of the images; by default common sizes are tried.

    Raises:
        ShiftbenchError: If a layer does not wrap around, or the network does not take the images.
    """
    changed = copied(model)
    shape = image_shape_of(changed, image_shape)
    names = wrap_borders(changed, shape)
    _require_running(changed, shape)
    if any(isinstance(module, Anchored) for module in changed.modules()):
        require_invariant(changed, shape)
    else:
        require_circular(changed, model, shape)
    return changed, names


def wrap_borders(model: nn.Module, shape: ImageShape) -> list[str]:
    """Make the borders of ``model`` wrap around, unchecked; return the names of its layers."""
    names = {name for name, module in model.named_modules() if _wrap(module)}
    names |= _wrap_functions(model, shape)
    return [name for name, _ in model.named_modules() if name in names]


def _wrap(module: nn.Module) -> bool:
    """Make the border of a layer wrap around; return whether this changed it."""
    if isinstance(module, EveryPosition):
        return _wrap_own(module)
    if isinstance(module, nn.Conv2d):
        return _runs_as(module, nn.Conv2d) and _wrap_conv(module)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return not isinstance(module, TorusPool) and _wrap_pool(module)
    if isinstance(module, BORDERS):
        wraps = min(module.padding) >= 0 < max(module.padding)
        if wraps:
            subclass(module, WrapsAround)
        return wraps
    return _wrap_own(module)


def _wrap_own(module: nn.Module) -> bool:
    """Change the border of this package's pools and stride-1 maximum."""
    changed = False
    for attribute in ("pad", "padding"):
        if getattr(module, attribute, None) in ("zeros", "reflect"):
            setattr(module, attribute, "circular")
            changed = True
    return changed


def _wrap_conv(conv: nn.Conv2d) -> bool:
    padding = conv.padding
    if conv.padding_mode == "circular" or padding == "valid" or not any(padding):
        return False
    taps = zip(conv.dilation, conv.kernel_size, strict=True)
    reach = [step * (size - 1) for step, size in taps]
    if padding == "same" and not any(amount % 2 for amount in reach):
        conv.padding = tuple(amount // 2 for amount in reach)
    conv.padding_mode = "circular"
    if type(conv) is nn.Conv2d:
        conv.__class__ = Conv2d
    elif not isinstance(conv, Conv2d):
        subclass(conv, Conv2d)
    return True


def _wrap_pool(pool: nn.MaxPool2d | nn.AvgPool2d) -> bool:
    kind = nn.MaxPool2d if isinstance(pool, nn.MaxPool2d) else nn.AvgPool2d
    overlaps = pair(pool.kernel_size) != pair(pool.stride)
    reaches_over = any(pair(pool.padding)) or (pool.ceil_mode and overlaps)
    positions = isinstance(pool, nn.MaxPool2d) and pool.return_indices
    if not reaches_over or positions or not _runs_as(pool, kind):
        return False
    circular = CircularMaxPool2d if kind is nn.MaxPool2d else CircularAvgPool2d
    pool.torus_padding, pool.padding = pair(pool.padding), 0  # type: ignore[assignment]
    if type(pool) is kind:
        pool.__class__ = circular
    else:
        subclass(pool, circular)
    return True


def _runs_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a subclass instance runs like ``kind``, whatever it adds."""
    own = type(module)
    plain = (nn.Conv2d._conv_forward, Conv2d._conv_forward)
    forwards = not issubclass(own, nn.Conv2d) or own._conv_forward in plain
    # Anchoring moves the map that the layer's own code is given.
    forward: object = own.forward
    if isinstance(module, AnchoredStride):
        forward = super(AnchoredStride, module).forward.__func__  # type: ignore[attr-defined]
    return forward is kind.forward and forwards


def _wrap_functions(model: nn.Module, shape: ImageShape) -> set[str]:
    """Make borders that modules pad by functions wrap around; return the modules' names."""
    found: set[str] = set()

    def see(call: Call) -> None:
        if call.function in PADDING and _pads(call):
            found.add(call.module)

    watch(model, noise(model, 2, shape), see)
    for name in found:
        subclass(model.get_submodule(name), WrapsAround)
    return found


def _require_running(model: nn.Module, shape: ImageShape) -> None:
    """Refuse a network that does not run with circular borders.

    Raises:
        ShiftbenchError: With its reason.
    """
    try:
        with trial_run(model):
            model(noise(model, 2, shape))
    except Exception as error:  # e.g. the padded tensor was not a feature map
        reason = printable(" ".join(str(error).split()) or type(error).__name__, 200)
        raise ShiftbenchError(
            f"padding=circular cannot be given to this network: it does not run with borders that "
            f"wrap around ({reason}); measure it with its own borders (padding=zeros)"
        ) from error


def _pads(call: Call) -> bool:
    """Return whether a function pads with anything but the opposite side of the map."""
    if call.function == "pad":
        return bool(call.argument(2, "mode") != "circular") and call.inputs()[0].ndim == 4
    if call.function == "unfold" and call.outputs()[0].ndim != 3:  # the method of that name
        return False
    padding, ceil_mode = _ARGUMENTS[call.function]
    border = call.argument(padding, "padding") or 0
    if border == "same" or (border != "valid" and any(pair(border))):
        return True
    # Overlapping windows exceed the edge by ``ceil_mode``; cells are cropped there.
    reaches_over = ceil_mode is not None and call.argument(ceil_mode, "ceil_mode")
    kernel, stride = call.argument(1, "kernel_size"), call.argument(2, "stride")
    return bool(reaches_over) and pair(stride or kernel) != pair(kernel)
