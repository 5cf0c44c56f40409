"""Devices and precisions; what needs CUDA is skipped without it."""

import pytest
import torch

from shiftbench.devices import pick_device, use_precision
from shiftbench.errors import UsageError

CPU = torch.device("cpu")


@pytest.fixture
def flags():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield lambda: (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_single_precision_is_single_precision_on_cuda_too(flags):
    use_precision("fp32", CPU)
    assert flags() == (False, False)


def test_rounded_products_are_named(flags):
    use_precision("tf32", torch.device("cuda"))
    assert flags() == (True, True)


def test_tf32_elsewhere_is_refused():
    with pytest.raises(UsageError, match="tf32 is a format of CUDA devices, this one is cpu"):
        use_precision("tf32", CPU)


def test_a_device_that_is_not_there_is_refused():
    assert pick_device("cpu") == CPU
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="not available here"):
            pick_device("cuda")
