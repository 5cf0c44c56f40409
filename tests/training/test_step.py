"""The training step, its draws, and the step as a CUDA graph."""

import pytest
import torch
import torch.nn.functional as F
from toy_training import SETTINGS, dataset, network, trainer

from shiftbench.augment.crop import CropAugment
from shiftbench.augment.full import FullAugment
from shiftbench.augment.none import NoAugment
from shiftbench.augment.shift import ShiftAugment
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.vgg import VGG
from shiftbench.optimizer.adamw import AdamW
from shiftbench.optimizer.sgd import Sgd
from shiftbench.pool import (
    AdaptiveBlur2d,
    AdaptivePolyphase2d,
    BlurPool2d,
    LearnedPolyphase2d,
    LocalImportancePool2d,
    MaxPool2d,
    SoftPolyphase2d,
    TipsPool2d,
)
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.distributed.team import Team
from shiftbench.seeds import derive_seed
from shiftbench.settings.schema import Train
from shiftbench.training import capture
from shiftbench.training.step import EpochDraws, Step
from shiftbench.training.trainer import learning_rate

CPU = torch.device("cpu")
LEVELS = (NoAugment(), CropAugment(2), ShiftAugment(), ShiftAugment(2, "black"), FullAugment())
LEARNED = (AdaptiveBlur2d, LearnedPolyphase2d, LocalImportancePool2d, SoftPolyphase2d, TipsPool2d)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("augment", LEVELS, ids=str)
def test_draws_made_ahead_are_those_of_every_step(augment):
    images = torch.randint(0, 256, (3, 4, 3, 8, 8), generator=generator()).to(torch.uint8)
    one_by_one = generator(7)
    expected = [augment(batch, one_by_one) for batch in images]
    draws = EpochDraws(augment, 4, Team())
    made = list(draws.of_epoch(3, (8, 8), generator(7), CPU))
    found = [draws.apply(batch, own) for batch, own in zip(images, made, strict=True)]
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("augment", [*LEVELS, lambda x, g: CropAugment(2)(x, g)])
def test_two_processes_draw_what_one_does(augment):
    images = torch.randint(0, 256, (2, 6, 3, 8, 8), generator=generator()).to(torch.uint8)
    whole = EpochDraws(augment, 6, Team())
    alone = [whole.apply(batch, draws) for batch, draws in
             zip(images, whole.of_epoch(2, (8, 8), generator(3), CPU), strict=True)]  # fmt: skip
    for rank in (0, 1):
        team = Team()
        team.size, team.rank = 2, rank
        part = EpochDraws(augment, 6, team)
        draws = part.of_epoch(2, (8, 8), generator(3), CPU)
        for number, own in enumerate(draws):
            found = part.apply(images[number, rank::2], own)
            assert torch.equal(found, alone[number][rank::2])


def textbook(net, data, augment, settings):
    """A plain loop, written without the package's."""
    optimizer = torch.optim.SGD(net.model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    steps = len(data) // settings.batch_size
    for epoch in range(1, settings.epochs + 1):
        order = torch.randperm(len(data), generator=generator(derive_seed(0, "train-order", epoch)))
        draws = generator(derive_seed(0, "augment", epoch))
        net.model.train()
        for step in range(steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            progress = (epoch - 1 + step / steps) / settings.epochs
            optimizer.param_groups[0]["lr"] = learning_rate(settings, progress)
            logits = net(augment(data.images[chosen], draws))
            loss = F.cross_entropy(logits, data.labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def test_training_takes_the_steps_of_a_textbook_loop(tmp_path):
    ours, theirs = network(), network()
    trainer(tmp_path / "c.pt", SETTINGS, ours).run()
    textbook(theirs, dataset().train, CropAugment(1), SETTINGS)
    for own, expected in zip(
        ours.model.state_dict().values(), theirs.model.state_dict().values(), strict=True
    ):
        assert torch.equal(own, expected)


def test_capture_is_refused_where_there_are_no_graphs(tmp_path):
    with pytest.raises(UsageError, match=r"train.capture=true is not possible: the device is cpu"):
        trainer(tmp_path / "c.pt", Train(epochs=1, batch_size=20, capture=True)).run()


def plain_step(augment=None, optimizer=Sgd, device=CPU, size=1, model=None):
    if model is None:
        net = network()
    else:
        net = PixelModel(model.to(device), (0.4,) * 3, (0.2,) * 3, device)
    net.model.train()
    made = optimizer()(net.model, SETTINGS)
    team = Team()
    team.size = size
    return Step(net, EpochDraws(augment or CropAugment(1), 20, team), made, 0.1, processes=size)


def test_the_reason_for_the_plain_loop_is_stated():
    assert "CUDA graphs need cuda" in capture.obstacle(plain_step())
    step = plain_step()
    step.network.device = torch.device("cuda")
    assert "neither fused=True nor capturable=True" in capture.obstacle(step)
    step = plain_step(lambda images, draws: images)
    step.network.device = torch.device("cuda")
    assert "plain callable" in capture.obstacle(step)
    step = plain_step(size=2)
    step.network.device = torch.device("cuda")
    assert "2 processes" in capture.obstacle(step)


@pytest.mark.parametrize("optimizer", [Sgd, AdamW])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_snapshot_restores_everything_in_place(optimizer, resumed):
    step = plain_step(optimizer=optimizer)
    images, labels = dataset().train.images[:20], dataset().train.labels[:20]
    draws = CropAugment(1).draw(20, (8, 8), generator())
    if resumed:
        step(images, labels, draws)
    before = capture.Snapshot(step.network.model, step.optimizer)
    kept = [one.clone() for one in step.network.model.state_dict().values()]
    expected = step(images, labels, draws)
    after = before.weights()
    step(images, labels, draws)
    before.restore()
    assert all(map(torch.equal, step.network.model.state_dict().values(), kept))
    again = step(images, labels, draws)  # the optimizer's state is restored, too
    assert all(map(torch.equal, again, expected))
    before.require(after)
    step(images, labels, draws)
    with pytest.raises(RuntimeError, match="first step differs from the plain one"):
        before.require(after)


def test_a_checkpoint_holds_rates_as_numbers_and_keeps_this_devices_implementation(tmp_path):
    trainer(tmp_path / "c.pt", SETTINGS).run()
    one = trainer(tmp_path / "c.pt", SETTINGS)
    [group] = one._optimizer_state()["param_groups"]
    assert type(group["lr"]) is float
    saved = {**one._optimizer_state(), "param_groups": [{**group, "fused": True, "lr": 0.5}]}
    [loaded] = one._for_device(saved)["param_groups"]
    assert loaded["fused"] is one.optimizer.param_groups[0]["fused"]
    assert loaded["lr"] == 0.5


@pytest.mark.slow
def test_a_compiled_network_learns(tmp_path):
    rows = trainer(tmp_path / "c.pt", Train(epochs=3, batch_size=20, lr=0.1, compile=True)).run()
    assert rows[-1].val_accuracy > 0.95


@pytest.mark.slow
def test_a_network_that_cannot_be_compiled_is_explained(tmp_path):
    settings = Train(epochs=1, batch_size=20, lr=0.1, compile=True)
    torch._dynamo.reset()  # another test may have compiled the same network
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "/nonexistent/g++")}),
        torch._inductor.utils.fresh_cache(),
        pytest.raises(ShiftbenchError, match=r"train.compile=true failed \(.*C\+\+ compiler, e.g."),
    ):
        trainer(tmp_path / "c.pt", settings).run()


def vgg(pool, padding):
    torch.manual_seed(0)
    return VGG(2, 3, (8, 8), pool, GlobalAverageHead, padding, width=4, downsamplings=2)


def captured_or_not(path, setting, model, augment, optimizer):
    device = torch.device("cuda")
    net = PixelModel(model.to(device), (0.4,) * 3, (0.2,) * 3, device)
    settings = Train(epochs=2, batch_size=20, capture=setting)
    training = trainer(path, settings, net)
    training.data, training.augment, training.make_optimizer = (
        dataset().to(device),
        augment,
        optimizer,
    )
    training.__post_init__()
    training.run()
    return [value.cpu() for value in net.model.state_dict().values()]


@CUDA
@pytest.mark.parametrize("optimizer", [Sgd(), AdamW()])
@pytest.mark.parametrize("pool", [MaxPool2d, BlurPool2d, AdaptivePolyphase2d, *LEARNED])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("augment", LEVELS, ids=str)
def test_a_captured_training_has_the_bits_of_a_plain_one(
    tmp_path, pool, padding, augment, optimizer
):
    captured, plain = (
        captured_or_not(tmp_path / f"{setting}.pt", setting, vgg(pool, padding), augment, optimizer)
        for setting in (True, False)
    )
    assert all(map(torch.equal, captured, plain))
