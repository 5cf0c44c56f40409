"""Logits in the output of networks; networks to which functions refer."""

import functools
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.model.outputs import Function, as_module, give_logits, logits_of

LOGITS, MAPS = torch.rand(2, 5), torch.rand(2, 7, 3, 3)
Pair = namedtuple("Pair", ["logits", "aux_logits"])
Features = namedtuple("Features", ["features", "scores"])


@pytest.mark.parametrize(
    "answer",
    [
        LOGITS,
        LOGITS[:, :, None, None],
        {"logits": LOGITS, "features": torch.rand(2, 9)},
        {"scores": LOGITS, "maps": MAPS},
        SimpleNamespace(logits=LOGITS, hidden=torch.rand(2, 9)),
        Pair(LOGITS, torch.rand(2, 5)),
        (LOGITS, MAPS),
        (LOGITS, None),
        [MAPS, LOGITS],
        Features(MAPS, LOGITS),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_logits_are_found(answer):
    assert torch.equal(logits_of(answer, 2), LOGITS)


def test_a_single_image_that_was_squeezed_is_one_row():
    assert torch.equal(logits_of(LOGITS[0], 1), LOGITS[:1])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((LOGITS, torch.rand(2, 9)), r"tuple of \(2, 5\), \(2, 9\) for 2 images, and which"),
        ({"a": LOGITS, "b": LOGITS}, r"dict of a \(2, 5\), b \(2, 5\).*name them"),
        (MAPS, r"returned shape \(2, 7, 3, 3\) for 2 images; it must map"),
        (LOGITS[0], r"returned shape \(5,\)"),
        ((MAPS, None), "tuple of .*NoneType"),
        (None, "returned NoneType"),
        (LOGITS.numpy(), "returned ndarray"),
        (LOGITS + 1j, r"returned complex numbers of shape \(2, 5\)"),
        (LOGITS[:, :0], r"returned shape \(2, 0\)"),
        ({"loss": 0.5}, "dict of loss float"),
    ],
)
def test_no_or_several_candidates_are_an_error(answer, sentence):
    with pytest.raises(ShiftbenchError, match=sentence):
        logits_of(answer, 2)


def test_a_network_with_wrapped_logits_keeps_its_names():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x[:, :, None, None].expand(-1, -1, 2, 2)

    net = Two(3, 5)
    give_logits(net)
    x = torch.rand(2, 3)
    assert torch.equal(net(x), nn.functional.linear(x, net.weight, net.bias))
    assert list(net.state_dict()) == ["weight", "bias"]


NET = nn.Linear(3, 5)


def through_a_global(x):
    return NET(x)


def functions():
    inner = nn.Linear(3, 5)
    both = [inner, nn.ReLU()]

    def helper(x):
        return inner(x)

    class Holder:
        def __init__(self):
            self.net = inner

        def __call__(self, x):
            return self.net(x)

        def method(self, x):
            return self.net(x)

    yield "closure", lambda x: inner(x), [inner]
    yield "nested", lambda x: helper(x), [inner]
    yield "default", lambda x, net=inner: net(x), [inner]
    yield "list", lambda x: both[1](both[0](x)), both
    yield "method", inner.forward, [inner]
    yield "partial", functools.partial(lambda net, x: net(x), inner), [inner]
    yield "object", Holder(), [inner]
    yield "its method", Holder().method, [inner]
    yield "global", through_a_global, [NET]
    yield "none", lambda x: x.mean((2, 3)), []


@pytest.mark.parametrize(("name", "function", "used"), list(functions()), ids=lambda x: str(x)[:10])
def test_the_networks_of_a_function_are_found(name, function, used):
    module = as_module("model", function)
    assert isinstance(module, Function)
    assert {id(one) for one in module.used} == {id(one) for one in used}


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        (nn.Linear, "model is the class Linear; give an object"),
        (3, "model is of type int"),
        (None, "of type NoneType"),
    ],
)
def test_other_objects_are_refused(thing, sentence):
    with pytest.raises(UsageError, match=sentence):
        as_module("model", thing)


def test_a_module_is_itself():
    assert as_module("model", NET) is NET
