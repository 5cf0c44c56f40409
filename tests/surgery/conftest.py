"""Images for the networks of the tests of surgery."""

import pytest
import torch


@pytest.fixture
def x():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
