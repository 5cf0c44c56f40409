"""The number of image positions in a tensor: pixels of a feature map, or tokens."""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from shiftbench.surgery.watching import Call

MOST_PREFIX_TOKENS = 5  # class and distillation tokens, registers
FINEST_DIVISION = 4
# Below this share of the previous positions, the change is not a cropped border.
SUBSAMPLED = 0.9

# Calls that reorder elements or mix positions, so that shapes are not informative.
_REORDER = frozenset((
    "reshape", "view", "permute", "transpose", "swapaxes", "movedim", "flatten", "unflatten",
    "contiguous", "unbind", "split", "chunk", "expand", "squeeze", "unsqueeze", "type_as", "to",
))  # fmt: skip
_MIX = frozenset((
    "linear", "matmul", "__matmul__", "bmm", "mm", "baddbmm", "addmm", "einsum", "softmax",
    "scaled_dot_product_attention", "multi_head_attention_forward",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd",
))  # fmt: skip
# Calls that keep one of several elements, or their mean.
_REDUCE = frozenset((
    "mean", "sum", "max", "min", "amax", "amin", "median", "index_select", "gather", "logsumexp",
))  # fmt: skip
# Calls from feature maps to feature maps of any size.
_RESIZE = frozenset((
    "lp_pool2d", "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "interpolate",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices",
    "upsample", "grid_sample", "pixel_unshuffle", "conv_transpose2d",
))  # fmt: skip
# Windows along tokens: the position of the argument ``stride``.
_ALONG_TOKENS = {"conv1d": 3, "avg_pool1d": 2, "max_pool1d": 2, "lp_pool1d": 3}

Size = tuple[int, int]


class Positions:
    """Counts positions by shape, given the sizes of the previous feature maps.

    Args:
        images: ``(N, C, H, W)``.
    """

    def __init__(self, images: Tensor) -> None:
        self.batch, self.image = len(images), (int(images.shape[2]), int(images.shape[3]))
        self.sizes = {self.image}
        # Positions of tensors with ambiguous shapes, or those of their inputs.
        self._inherited: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def add(self, maps: Tensor) -> None:
        """Record the size of feature maps ``(N, C, h, w)``."""
        self.sizes.add((int(maps.shape[2]), int(maps.shape[3])))

    def fall(self, call: Call) -> bool:
        """Return whether a call reduces the number of positions, but not to one.

        Windows with a known stride are not handled here.
        """
        inputs, outputs = call.inputs(), call.outputs()
        if call.function in _ALONG_TOKENS:
            stride = call.argument(_ALONG_TOKENS[call.function], "stride")
            return _fewer([t.shape[-1] for t in inputs[:1]], [outputs[0].shape[-1]], stride)
        if call.function in _RESIZE and inputs[0].ndim == 4 == outputs[0].ndim:
            return _fewer([inputs[0][0, 0].numel()], [outputs[0][0, 0].numel()])
        if call.function == "unfold" and outputs[0].ndim == 3 and inputs[0].ndim == 4:
            return _fewer([inputs[0][0, 0].numel()], [outputs[0].shape[2]])
        orders = call.function in _MIX or call.function in _REORDER
        inherited = max((self._count(tensor) for tensor in inputs), default=0)
        after = [self._alike(tensor, inputs) or self._left(tensor, inherited, orders)
                 for tensor in outputs]  # fmt: skip
        # In attention modules, heads and channels may look like a small map; the effect of a whole
        # module is observed when it returns, except for the network's own code.
        whole = not call.module and call.function and call.function not in _MIX
        if call.function in _REDUCE or (whole and outputs[0].ndim == 4):
            before = [inherited]
        else:
            before = [] if orders else [self._count(t) for t in inputs if self.of(t) is not None]
        falls = _fewer(before, [count for count in after if count])
        if call.function == "__getitem__":
            falls = falls or _skips_tokens(inherited, inputs[0], outputs[0])
        if falls:
            self.sizes.update(size for size in map(self.of, outputs) if size is not None)
        return falls

    def _count(self, tensor: Tensor) -> int:
        """Return the positions of a tensor or of its inputs, 0 if unknown."""
        size = self.of(tensor)
        inherited: int = self._inherited.get(tensor, 0)
        return inherited or (size[0] * size[1] if size is not None else 0)

    def _alike(self, tensor: Tensor, inputs: list[Tensor]) -> int:
        """Return the positions of an input of the same shape as an output, 0 if there is none."""
        count = next((self._count(t) for t in inputs if t.shape == tensor.shape), 0)
        if count:
            self._inherited[tensor] = count
        return count if self.of(tensor) is not None else 0

    def _left(self, tensor: Tensor, before: int, at_most: bool) -> int:
        """Return the positions of an output, 0 if its shape is ambiguous.

        Args:
            tensor: The output.
            before: Positions of the inputs.
            at_most: Whether the call cannot increase their number.
        """
        self._note_patches(tensor)
        size = self.of(tensor)
        count = size[0] * size[1] if size is not None else 0
        if tensor.ndim == 3 and any(map(partial(_is_row, before), tensor.shape[1:])):
            count = before  # the other axis may have the same length
        unlikely = at_most and 0 < before < count
        self._inherited[tensor] = before if unlikely or not count else count
        return 0 if unlikely else count

    def of(self, tensor: Tensor) -> Size | None:
        """Return the rows and columns of the positions, None if the shape is ambiguous.

        Known are ``(N, C, h, w)``, ``(N, h, w, C)`` and tokens ``(N, L, C)`` or ``(N, C, L)`` with
        a few more in front, where the sizes are those of a previous map, or a half, a third or a
        quarter of it; of maps, also every whole part of the image.
        """
        if tensor.ndim not in (3, 4) or tensor.shape[0] != self.batch:
            return None
        if tensor.ndim == 4:
            first, second, third = (int(side) for side in tensor.shape[1:])
            return next(filter(self._is_map, ((second, third), (first, second))), None)
        sizes = {height * width: (height, width) for height, width in self._known()}
        found = [
            int(length) - prefix
            for length in tensor.shape[1:]
            for prefix in range(MOST_PREFIX_TOKENS + 1)
            if length - prefix in sizes and length - prefix > 1
        ]
        return sizes[max(found)] if found else None

    def _is_map(self, size: Size) -> bool:
        by = self.image[0] // max(1, size[0])
        whole = by > 1 and (size[0] * by, size[1] * by) == self.image
        return whole or size in self._known()

    def _known(self) -> set[Size]:
        return {(1, 1)} | {
            (-(-height // by), -(-width // by))
            for height, width in self.sizes
            for by in range(1, FINEST_DIVISION + 1)
        }

    def _note_patches(self, tensor: Tensor) -> None:
        """Record the number of patches of the image: ``(N, C, h, p, w, q)``."""
        if tensor.ndim == 6 and tensor.shape[0] == self.batch:
            _, _, rows, high, columns, wide = tensor.shape
            if (rows * high, columns * wide) == self.image:
                self.sizes.add((int(rows), int(columns)))


def _fewer(before: list[int], after: list[int], stride: object = 2) -> bool:
    if not before or not after or stride in (1, (1,)):
        return False
    return 1 < max(after) < SUBSAMPLED * max(before)


def _is_row(positions: int, length: int) -> bool:
    """Return whether an axis holds this many tokens, with a few extra ones in front."""
    return 0 <= length - positions <= MOST_PREFIX_TOKENS and positions > 1


def _skips_tokens(before: int, tokens: Tensor, kept: Tensor) -> bool:
    """Return whether fewer are kept along the axis ``(N, L, C)`` or ``(N, C, L)`` of tokens."""
    axes = zip(tokens.shape[1:], kept.shape[1:], strict=False)
    lengths = [part for whole, part in axes if part < whole and _is_row(before, whole)]
    return tokens.ndim == 3 == kept.ndim and _fewer([before], lengths)
