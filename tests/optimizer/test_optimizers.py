"""SGD and AdamW against torch's own, which parameters decay, and a training that resumes."""

import copy

import pytest
import torch
from torch import nn

from shiftbench.augment.crop import CropAugment
from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.errors import UsageError
from shiftbench.optimizer.adamw import USUAL_MOMENTUM, AdamW, parameter_groups
from shiftbench.optimizer.sgd import Sgd
from shiftbench.pool import Downsampling
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.settings.schema import Train
from shiftbench.training.trainer import Trainer

SETTINGS = Train(epochs=3, batch_size=20, lr=0.01, weight_decay=0.1)


class Silent:
    """A watcher that stops the training after an epoch, if it is given one."""

    def __init__(self, last=None):
        self.last = last

    def step(self, images):
        pass

    def look(self, epoch, loss, accuracy):
        pass

    def epoch(self, row):
        if row.epoch == self.last:
            raise KeyboardInterrupt


class Scaled(nn.Module):
    """A layer scale, as a transformer has it, and a norm over whole maps."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.norm = nn.LayerNorm((4, 6, 6))

    def forward(self, x):
        return self.norm(x) * self.scale[:, None, None]


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Scaled(), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip


DECAYING = ["0.weight", "6.weight"]


def steps(own, optimizer, count=5):
    """Take steps on random batches with a rate that changes, and return the parameters."""
    generator = torch.Generator().manual_seed(1)
    for step in range(count):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 / (step + 1)
        images = torch.randn(8, 3, 8, 8, generator=generator)
        labels = torch.randint(0, 2, (8,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(own(images), labels).backward()
        optimizer.step()
    return list(own.parameters())


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_adamw_takes_the_steps_of_torch():
    ours, theirs = model(), model()
    named = dict(theirs.named_parameters())
    rest = [value for name, value in named.items() if name not in DECAYING]
    reference = torch.optim.AdamW(
        [{"params": [named[name] for name in DECAYING], "weight_decay": 0.1},
         {"params": rest, "weight_decay": 0}], lr=0.01, betas=(0.8, 0.95), eps=1e-6,
    )  # fmt: skip
    own = AdamW(betas=[0.8, 0.95], eps=1e-6)(ours, SETTINGS)
    assert_equal(steps(ours, own), steps(theirs, reference))


def test_sgd_takes_the_steps_of_torch():
    ours, theirs = model(), model()
    reference = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    assert_equal(steps(ours, Sgd()(ours, SETTINGS)), steps(theirs, reference))


def test_one_step_of_adamw_by_hand():
    """The first step is the learning rate in the direction of the sign, after the decay."""
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(2.0)
    optimizer = AdamW()(layer, Train(lr=0.1, weight_decay=0.5))
    layer(torch.tensor([[3.0]])).sum().backward()
    optimizer.step()
    assert layer.weight.item() == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1)
    assert layer.bias.item() == pytest.approx(2 - 0.1)  # the same without decay


@pytest.mark.parametrize(("momentum", "warned"), [(0.9, False), (0.8, True)])
def test_a_momentum_that_adamw_does_not_read_is_reported(caplog, momentum, warned):
    AdamW()(model(), Train(lr=0.1, momentum=momentum))
    assert ("set optimizer.betas instead" in caplog.text) == warned


def test_the_usual_momentum_is_that_of_the_schema():
    assert Train().momentum == USUAL_MOMENTUM


def test_biases_norms_and_scales_do_not_decay():
    own = model()
    names = {id(value): name for name, value in own.named_parameters()}
    decaying, rest = parameter_groups(own, 0.05)
    assert [names[id(one)] for one in decaying["params"]] == DECAYING
    assert {names[id(one)] for one in rest["params"]} == {*names.values()} - {*DECAYING}
    assert (decaying["weight_decay"], rest["weight_decay"]) == (0.05, 0.0)


def test_a_shared_parameter_is_listed_once_and_an_empty_group_is_left_out():
    layer = nn.Linear(3, 3, bias=False)
    [group] = parameter_groups(nn.Sequential(layer, layer), 0.1)
    assert len(group["params"]) == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"betas": [0.9]}, "betas=.0.9. does not fit; it takes two numbers"),
        ({"betas": [0.9, 1.0]}, r"optimizer.betas\[1\]=1.0 is out of range"),
        ({"betas": [-0.1, 0.9]}, r"optimizer.betas\[0\]=-0.1 is out of range"),
        ({"eps": 0.0}, "optimizer.eps=0.0 is out of range"),
    ],
)
def test_values_out_of_range_are_a_sentence(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        AdamW(**given)


def trainer(path, net, watcher=None, make=None):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (96, 3, 8, 8), generator=generator, dtype=torch.uint8)
    split = TensorSplit(images, torch.arange(96) % 2)
    data = Dataset("toy", ("a", "b"), (3, 8, 8), (0.4,) * 3, (0.2,) * 3, split, split, split)
    return Trainer(
        net, data, CropAugment(1), SETTINGS, seed=0, path=path, train_id="r",
        watcher=watcher or Silent(), make_optimizer=make or AdamW(),
    )  # fmt: skip


def network(seed=0):
    return PixelModel(model(seed), (0.4,) * 3, (0.2,) * 3, torch.device("cpu"))


def test_adamw_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path):
    whole = network()
    first = trainer(tmp_path / "whole.pt", whole)
    first.run()
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "parts.pt", network(), Silent(last=2)).run()
    parts = network(5)
    second = trainer(tmp_path / "parts.pt", parts)
    assert [row.epoch for row in second.run()] == [1, 2, 3]
    assert_equal(whole.model.state_dict().values(), parts.model.state_dict().values())
    states = [copy.deepcopy(one.optimizer.state_dict()["state"]) for one in (first, second)]
    assert states[0].keys() == states[1].keys()
    for key, state in states[0].items():
        assert_equal(state.values(), states[1][key].values())
        assert state["exp_avg_sq"].abs().sum() > 0  # there is a state to go on from


def test_what_makes_no_optimizer_is_a_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"makes a list, not a torch.optim.Optimizer"):
        trainer(tmp_path / "c.pt", network(), make=lambda own, settings: [])


class Exempt(Downsampling):
    """A pool whose weights do not decay."""

    has_parameters = True
    weight_decay = False

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.conv(x[:, :, ::2, ::2])


@pytest.mark.parametrize("optimizer", [Sgd(), AdamW()])
def test_pools_may_exempt_their_weights_from_decay(optimizer):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Exempt(), nn.Conv2d(4, 4, 1))
    groups = optimizer(net, SETTINGS).param_groups
    rates = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert [rates[id(net[at].weight)] for at in (0, 2)] == [0.1, 0.1]
    assert [rates[id(p)] for p in net[1].parameters()] == [0, 0]


def test_sgd_has_one_group_where_no_pool_exempts_anything():
    own = model()
    [group] = Sgd()(own, SETTINGS).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in own.parameters()]
    assert group["weight_decay"] == 0.1
