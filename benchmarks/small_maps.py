"""Training a convolution on small circular maps: in the frequency domain against a padded copy.

    python benchmarks/small_maps.py                      # both precisions, about a minute
    python benchmarks/small_maps.py --sides 4,8 --channels 64,128 --items 64

Forward and backward of one 3×3 layer, as many channels out as in, channels last; the two take
turns. Where ``shiftbench.ops.fourier_conv`` would not go this way the row ends in "not taken".
"""

from __future__ import annotations

import argparse
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor
from turns import print_turns, step

from shiftbench.ops import fourier_conv
from shiftbench.ops.padding import pad2d
from shiftbench.runtime.allocator import keep_freed_memory


def main() -> None:
    """Print two rows for each size of maps, channels and batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default="2,4,6,8")
    parser.add_argument("--channels", default="32,64,128")
    parser.add_argument("--items", default="64,256")
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    keep_freed_memory()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    choices = [map(int, text.split(",")) for text in
               (options.sides, options.channels, options.items)]  # fmt: skip
    for dtype, side, channels, items in product((torch.float32, torch.bfloat16), *choices):
        x = torch.rand(items, channels, side, side).to(dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3) / (9 * channels) ** 0.5
        weight = weight.contiguous(memory_format=torch.channels_last)
        name = f"{str(dtype)[6:]} {items}×{channels}×{side}×{side}"
        taken = "" if fourier_conv.pays(x, weight) else ", not taken"
        print_turns(
            {f"{name} padded": step(padded, x, weight),
             f"{name} torus{taken}": step(fourier_conv.conv2d, x, weight)},
            options.repeats,
        )  # fmt: skip


def padded(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve a padded copy."""
    return F.conv2d(pad2d(x, (1, 1, 1, 1), "circular"), weight.to(x.dtype))


if __name__ == "__main__":
    main()
