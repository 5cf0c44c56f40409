"""Ways to blur and subsample: a training step of each against a depthwise convolution in fp32.

    python benchmarks/blur_forms.py                    # 3 taps, stride 2, 128×32×32×32
    python benchmarks/blur_forms.py --filter-size 5 --precision bf16 --channels 64 --size 16

Forward and backward of one layer, circular border included. All forms are the same function
(checked before anything is timed); they take turns, and times are medians of ``--repeats``.
``pool=blur`` is a depthwise convolution in fp32, channels last, but matrices in training on small
maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor
from turns import print_turns, step

from shiftbench.ops import filter_taps, separable_filter
from shiftbench.ops.padding import pad2d
from shiftbench.runtime.allocator import keep_freed_memory

Form = Callable[[Tensor, Tensor], Tensor]

STRIDE = 2
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def matrices(x: Tensor, taps: Tensor) -> Tensor:
    """A matrix for each axis, which pads, filters and subsamples."""
    return separable_filter.filter2d(x, tuple(taps.tolist()), STRIDE, "circular")


def bordered(form: Form) -> Form:
    """Return ``form`` of a padded copy."""

    def whole(x: Tensor, taps: Tensor) -> Tensor:
        before, after = (len(taps) - 1) // 2, len(taps) // 2
        return form(pad2d(x, (before, after, before, after), "circular"), taps)

    return whole


def widened(x: Tensor, taps: Tensor) -> Tensor:
    """One k×k depthwise convolution, in fp32 whatever ``x`` is."""
    return depthwise(x.float(), taps).to(x.dtype)


def depthwise(x: Tensor, taps: Tensor) -> Tensor:
    """One k×k depthwise convolution."""
    kernel = torch.outer(taps, taps).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, kernel, stride=STRIDE, groups=x.shape[1])


def separable_convolutions(x: Tensor, taps: Tensor) -> Tensor:
    """Rows, then columns: two depthwise convolutions of k taps."""
    line = taps.to(x.dtype).expand(x.shape[1], 1, 1, -1)
    rows = F.conv2d(x, line, stride=(1, STRIDE), groups=x.shape[1])
    return F.conv2d(rows, line.transpose(2, 3), stride=(STRIDE, 1), groups=x.shape[1])


def slices(x: Tensor, taps: Tensor) -> Tensor:
    """A weighted sum of k strided views per axis."""
    for axis in (3, 2):
        kept = (x.shape[axis] - len(taps)) // STRIDE + 1
        views = [x.narrow(axis, i, x.shape[axis] - i) for i in range(len(taps))]
        strided = [view[(slice(None),) * axis + (slice(0, None, STRIDE),)] for view in views]
        x = sum(
            float(tap) * view.narrow(axis, 0, kept) for tap, view in zip(taps, strided, strict=True)
        )
    return x


def averages(x: Tensor, taps: Tensor) -> Tensor:
    """Averages of 2×2, one after the other: k − 1 of them make the binomial filter."""
    for _ in range(len(taps) - 2):
        x = F.avg_pool2d(x, 2, 1)
    return F.avg_pool2d(x, 2, STRIDE)


FORMS: dict[str, Form] = {
    "depthwise in fp32": bordered(widened),
    "matrices": matrices,
    "depthwise": bordered(depthwise),
    "separable": bordered(separable_convolutions),
    "slices": bordered(slices),
    "averages": bordered(averages),
}
LAYOUTS = {"channels-last": torch.channels_last, "NCHW": torch.contiguous_format}


def main() -> None:
    """Print a row for each form and memory layout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter-size", type=int, default=3)
    parser.add_argument("--precision", choices=TYPES, default="fp32")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    keep_freed_memory()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.precision}")
    shape = (options.images, options.channels, options.size, options.size)
    x = torch.randn(shape).to(TYPES[options.precision])
    taps = torch.tensor(filter_taps.binomial(options.filter_size))
    print_turns(steps(x, taps, options.forms), options.repeats)


def steps(x: Tensor, taps: Tensor, names: list[str]) -> dict[str, Callable[[], object]]:
    """Return forward and backward of the forms in both layouts."""
    wanted = bordered(depthwise)(x.double(), taps.double())
    found = {}
    for name, (layout, memory) in product(names, LAYOUTS.items()):
        if name == "depthwise" and x.dtype == torch.float32:
            continue  # the same as the first form
        form, laid = FORMS[name], x.contiguous(memory_format=memory)
        tolerance = 1e-5 if x.dtype == torch.float32 else 0.05
        torch.testing.assert_close(form(laid, taps).double(), wanted, atol=tolerance, rtol=0)
        found[f"{name}, {layout}"] = step(lambda x, form=form: form(x, taps), laid)
    return found


if __name__ == "__main__":
    main()
