"""Contracts of pools, heads and protocols: defaults, plain classes, misspelt names."""

from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.head.base import Head, MakeHead
from shiftbench.pool import BlurPool2d, Downsampling, MaxPool2d, NoPool2d
from shiftbench.pool.base import MakeDownsampling, as_pool
from shiftbench.shift import Sampling, ShiftProtocol, takes_sampling


class Plain(nn.Module):
    """A pool that knows nothing of the contract."""

    max_first = True

    def __init__(self, channels, stride=2, padding="zeros"):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def phase(self, x):
        return torch.zeros(len(x), dtype=torch.long)

    def forward(self, x, phase=None):
        return self.scale * x[:, :, ::2, ::2]


def test_a_plain_module_has_the_defaults_and_keeps_what_it_says():
    made = MakeDownsampling(partial(Plain, padding="circular"))(4, stride=3)
    assert isinstance(made, Downsampling)
    assert isinstance(made, Plain)
    assert type(made).__name__ == "Plain"
    assert (made.stride, made.conv_stride, made.max_first, made.pad) == (3, 1, True, "circular")
    assert made.picks_grid
    assert not made.keeps_all_grids
    assert list(made.state_dict()) == ["scale"]  # a checkpoint of an earlier release fits


def test_what_a_maker_makes_is_known_before_it_does():
    assert MakeDownsampling(partial(NoPool2d)).kind.needs_global_head
    assert MakeDownsampling(Plain).kind.max_first
    assert not MakeDownsampling(lambda *_, **__: MaxPool2d(1)).kind.max_first


def test_a_tensor_that_the_contract_would_hide_is_refused():
    class Shifted(Plain):
        phase = None

        def __init__(self, channels, stride=2, padding="zeros"):
            super().__init__(channels)
            self.register_buffer("pad", torch.zeros(1))

    with pytest.raises(UsageError, match="Shifted holds a tensor or layer called 'pad'"):
        MakeDownsampling(Shifted)(1)


def test_layers_of_other_networks_are_pools_by_their_methods_alone():
    strided = nn.Conv2d(1, 1, 3, stride=2)
    assert as_pool(strided) is None
    blur = BlurPool2d(1)
    assert as_pool(blur) is blur
    layer = Plain(1)
    assert as_pool(layer) is None  # no stride
    layer.stride = 2
    assert as_pool(layer) is layer
    assert layer.picks_grid


def test_a_head_is_shown_every_shift_where_it_has_no_shorter_way():
    class First(Head):
        def forward(self, x):
            return x[:, :, 0, 0]

    x = torch.arange(12.0).view(1, 2, 2, 3)
    shifts = [x.roll((dy, dx), (2, 3))[:, :, 0, 0] for dy in range(2) for dx in range(3)]
    assert torch.equal(First().all_shifts(x), torch.cat(shifts))


def test_a_plain_head_is_taken_at_its_word():
    class Silent(nn.Linear):
        def __init__(self, in_chans, map_size, num_classes):
            super().__init__(in_chans, num_classes)

    class Global(Silent):
        is_global = True

    assert not MakeHead(Silent).is_global
    assert type(MakeHead(Silent)(2, (1, 1), 3)) is Silent
    assert MakeHead(partial(Global)).is_global
    assert isinstance(MakeHead(Global)(2, (1, 1), 3), Head)


@pytest.mark.parametrize(
    ("contract", "name", "meant"),
    [
        (Downsampling, "max_fist", "max_first"),
        (Downsampling, "conv_strides", "conv_stride"),
        (Downsampling, "all_phase", "all_phases"),
        (Downsampling, "foward", "forward"),
        (Downsampling, "need_global_head", "needs_global_head"),
        (Head, "isglobal", "is_global"),
        (Head, "all_shift", "all_shifts"),
        (ShiftProtocol, "axis", "axes"),
        (ShiftProtocol, "cirular", "circular"),
        (ShiftProtocol, "view", "views"),
        (ShiftProtocol, "source_size", "source_sizes"),
    ],
)
def test_a_misspelt_name_is_refused_when_the_class_is_declared(contract, name, meant):
    with pytest.raises(UsageError, match=rf"attribute '{name}', .* \(did you mean '{meant}'\?\)"):
        type("Mine", (contract,), {name: True})


@pytest.mark.parametrize(
    ("contract", "names"),
    [
        (Downsampling, ["taps", "filter_size", "phase_of", "norm", "kernel", "padding", "reset"]),
        (Head, ["fc", "levels", "pooled", "weights", "is_linear"]),
        (ShiftProtocol, ["max_shift", "offsets", "angle", "base", "margin", "steps", "draws",
                         "seed", "size", "canvas", "fraction", "moved", "rotate", "radius",
                         "path_of"]),
    ],
)  # fmt: skip
def test_helpers_may_be_called_anything_else(contract, names):
    assert type("Mine", (contract,), dict.fromkeys(names, 1))


def test_a_name_that_is_set_in_the_constructor_counts_when_the_pool_is_made():
    class Late(Downsampling):
        def __init__(self, channels, stride=2, padding="zeros"):
            super().__init__()
            self.max_fist = True

    with pytest.raises(UsageError, match="did you mean 'max_first'"):
        MakeDownsampling(Late)(1)


def test_a_misspelt_field_of_a_protocol_is_refused():
    with pytest.raises(UsageError, match="did you mean 'sampling'"):

        @takes_sampling
        @dataclass(frozen=True)
        class Mine(ShiftProtocol):
            samplng: Sampling = field(default=Sampling())
