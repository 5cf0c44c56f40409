"""A network that is measured, probed or counted comes back as it was, and torch with it."""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import shiftbench
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.model.cost import cost
from shiftbench.model.evaluating import evaluating, initialise
from shiftbench.surgery import circular, replace_downsampling


class Merging(nn.Linear):
    """Adds its update to its weight in eval mode and takes it out in train mode, as LoRA does."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.update = nn.Parameter(torch.full((outputs, inputs), 0.5))
        self.merged = False

    def train(self, mode=True):
        if mode == self.merged:
            self.weight.data += -self.update.data if mode else self.update.data
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        return super().forward(x) if self.merged else super().forward(x) + x @ self.update.T


class Busy(nn.Module):
    """Everything that a forward pass may leave behind."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.frozen = nn.BatchNorm2d(8)
        self.normed = nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.dropout = nn.Dropout(0.5)
        self.linear = Merging(8, 5)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(8))
        self.memory = torch.zeros(3)
        self.calls, self.scale, self.shapes, self.named = 0, None, [], {}
        self.conv.bias.requires_grad_(False)
        self.noise = False

    def forward(self, x):
        self.calls += 1
        self.seen += len(x)
        self.memory.add_(1)
        self.shapes.append(x.shape)
        if self.scale is None:
            self.scale = torch.ones(())
        self.named.setdefault("ones", torch.ones(8))
        y = self.normed(self.frozen(self.conv(x)).relu())
        self.mean = 0.9 * self.mean + 0.1 * y.mean((0, 2, 3))
        if self.noise:
            torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        return self.linear(self.dropout(y.mean((2, 3)) * self.scale * self.named["ones"]))


def busy(memory_format=torch.contiguous_format):
    torch.manual_seed(0)
    net = Busy().to(memory_format=memory_format).train()
    net.frozen.eval()
    net.register_forward_hook(lambda module, inputs, output: None)
    net.conv.register_forward_pre_hook(lambda module, inputs: None)
    net.linear.register_full_backward_hook(lambda module, grad_in, grad_out: None)
    net.noise = True
    return net


def tensor_state(tensor):
    return (id(tensor), tensor.detach().clone(), tensor.requires_grad, tensor.stride(),
            tensor.dtype, tensor.device, tensor.is_inference(), tensor.grad)  # fmt: skip


def snapshot(model):
    """What can be said of a network and of torch, by name."""
    state = {}
    for name, module in model.named_modules():
        state[name] = (type(module), module.training, list(vars(module)))
        for key, value in vars(module).items():
            held = {"": value}
            if isinstance(value, dict | list):
                held |= dict(value.items() if isinstance(value, dict) else enumerate(value))
            for inner, part in held.items():
                known = tensor_state(part) if isinstance(part, torch.Tensor) else id(part)
                state[name, key, inner] = known
    state["torch"] = (
        torch.get_rng_state(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_default_dtype(), torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(),
    )  # fmt: skip
    state["others"] = (repr(np.random.get_state()), random.getstate(), list(warnings.filters))  # noqa: NPY002
    return state


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


IMAGES = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])

WAYS = {
    "measure": lambda net: shiftbench.measure(net, IMAGES, LABELS, "translate", resamples=2),
    "dense": lambda net: shiftbench.measure(net, IMAGES, LABELS, "circular", resamples=2),
    "padding": lambda net: shiftbench.measure(
        net, IMAGES, LABELS, "translate", padding="circular", resamples=2
    ),
    "probe": lambda net: shiftbench.probe(net, IMAGES, shifts=[(0, 1)]),
    "cost": lambda net: cost(net, (3, 16, 16)),
    "circular": circular,
}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("way", WAYS)
def test_everything_is_as_it_was(way, memory_format):
    net = busy(memory_format)
    before = snapshot(net)
    WAYS[way](net)
    after = snapshot(net)
    assert list(before) == list(after)
    assert [key for key in before if not same(before[key], after[key])] == []


def test_a_network_whose_pools_are_replaced_in_a_copy_is_as_it_was():
    net = busy()
    before = snapshot(net)
    replace_downsampling(net, shiftbench.pool.BlurPool2d)
    after = snapshot(net)
    changed = [key for key in before if not same(before[key], after[key])]
    assert set(changed) <= {"torch", "others"}


def test_everything_is_as_it_was_when_measuring_fails():
    net = busy()
    before = snapshot(net)
    with pytest.raises(ShiftbenchError, match="labels must be 0 to 4"):
        shiftbench.measure(net, IMAGES, LABELS + 1, "translate")
    with pytest.raises(UsageError, match="does not take images of 1×16×16"):
        shiftbench.measure(net, IMAGES[:, :1], LABELS, "translate")
    after = snapshot(net)
    assert [key for key in before if not same(before[key], after[key])] == []


class Restless(nn.Module):
    """A network that does to itself and to torch what it should leave alone."""

    def __init__(self):
        super().__init__()
        self.conv, self.backbone = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.backbone.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        self.backbone.requires_grad_(not mode)
        return self

    def forward(self, x):
        self.seen += 1
        with torch.no_grad():
            self.conv.weight.clamp_(-0.1, 0.1)
        self.conv.bias.requires_grad_(False)
        self.backbone.to(torch.float64, memory_format=torch.channels_last)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        return self.backbone(self.conv(x).double()).mean((2, 3))


@pytest.mark.parametrize("way", ["measure", "cost"])
def test_weights_and_settings_that_a_network_changes_are_as_they_were(way):
    net = Restless()
    before = snapshot(net)
    WAYS[way](net)
    after = snapshot(net)
    assert [key for key in before if not same(before[key], after[key])] == []


def test_a_network_made_in_inference_mode_is_as_it_was():
    with torch.inference_mode():
        net = Busy()
    before = snapshot(net)
    WAYS["measure"](net)
    after = snapshot(net)
    assert [key for key in before if not same(before[key], after[key])] == []


def test_it_trains_afterwards():
    net = busy()
    shiftbench.measure(net, IMAGES, LABELS, "translate", resamples=2)
    net.noise = False
    net(torch.rand(4, 3, 16, 16)).sum().backward()
    assert float(net.linear.weight.grad.abs().sum()) > 0


def test_it_is_measured_as_after_eval():
    net = busy()
    net.noise = False
    reference = copy.deepcopy(net).eval()
    table = shiftbench.measure(net, IMAGES, LABELS, "translate", resamples=2).predictions
    with torch.no_grad():
        logits = reference(IMAGES.float() / 255)
    np.testing.assert_allclose(table.p_top1[:, 0], logits.softmax(1).max(1).values, atol=1e-5)


def test_a_module_that_stays_in_train_mode_by_its_own_train_is_in_eval_mode():
    class Stubborn(nn.Dropout):
        def train(self, mode=True):
            return super().train(True)

    net = nn.Sequential(nn.Linear(2, 2), Stubborn(0.9))
    with evaluating(net):
        assert [module.training for module in net.modules()] == [False] * 3
    assert net[1].training


def test_an_exported_program_is_measured():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5)).eval()
    batch = torch.export.Dim("batch", min=1, max=4096)
    example = torch.rand(2, 3, 16, 16)
    exported = torch.export.export(net, (example,), dynamic_shapes=({0: batch},)).module()
    ours, theirs = (
        shiftbench.measure(model, IMAGES, LABELS, "translate", resamples=2).predictions.p_top1
        for model in (net, exported)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


LAZY = {
    "measure": lambda net: shiftbench.measure(net, IMAGES, LABELS, "translate"),
    "probe": lambda net: shiftbench.probe(net, IMAGES),
    "cost": lambda net: cost(net, (3, 16, 16)),
}


@pytest.mark.parametrize("way", LAZY)
def test_layers_without_sizes_are_refused(way):
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5))
    with pytest.raises(UsageError, match=r"2 layers .*LazyConv2d 0.*run it once"):
        LAZY[way](net)
    assert type(net[0]) is nn.LazyConv2d


def test_lazy_layers_are_initialised_to_be_trained():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))
    initialise(net, torch.zeros(1, 3, 16, 16))
    assert all(module.training for module in net.modules())
    assert float(net[1].running_mean.abs().sum()) == 0
    net(torch.rand(2, 3, 16, 16)).sum().backward()
    assert net[0].weight.grad is not None
