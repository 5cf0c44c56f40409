"""Devices and precisions; what needs CUDA is skipped without it."""

import subprocess
import sys

import pytest
import torch

from shiftbench.errors import UsageError
from shiftbench.runtime.devices import (
    pick_device,
    require_precision,
    rounds_to_tf32,
    use_precision,
    use_threads,
)

CPU = torch.device("cpu")


@pytest.fixture
def flags():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield lambda: (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_single_precision_is_single_precision_on_cuda_too(flags):
    use_precision("fp32")
    assert flags() == (False, False)


def test_rounded_products_are_named(flags):
    use_precision("tf32")
    assert flags() == (True, True)


@pytest.mark.parametrize(
    ("convolutions", "products", "rounded"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_rounding_is_seen_in_either(flags, convolutions, products, rounded):
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = products
    assert rounds_to_tf32() == rounded


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="torch has one way to set it alone"
)
def test_rounding_is_seen_however_it_was_set():
    """In its own process: torch's two ways to set it exclude each other from then on."""
    code = (
        "import torch; from shiftbench.runtime.devices import rounds_to_tf32\n"
        "for one in ('ieee', 'tf32'):\n"
        "    torch.backends.cudnn.conv.fp32_precision = 'ieee'\n"
        "    torch.backends.cuda.matmul.fp32_precision = one\n"
        "    print(rounds_to_tf32())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_tf32_elsewhere_is_refused():
    sentence = (
        "measure.precision=tf32 is a format of CUDA devices, this one is cpu; "
        "use measure.precision=fp32 or measure.precision=bf16"
    )
    with pytest.raises(UsageError, match=sentence):
        require_precision("measure.precision", "tf32", CPU)
    require_precision("precision", "tf32", torch.device("cuda"))
    require_precision("precision", "bf16", CPU)


def test_a_device_that_is_not_there_is_refused():
    assert pick_device("cpu") == CPU
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="not available here"):
            pick_device("cuda")


def test_threads_are_set_and_given_back():
    before = torch.get_num_threads()
    use_threads(None)
    assert torch.get_num_threads() == before
    use_threads(before + 2)
    assert torch.get_num_threads() == before + 2
    use_threads(None)
    assert torch.get_num_threads() == before
