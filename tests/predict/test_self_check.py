"""The dense engine's self-check detects violations that images, masks or weights conceal."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.predict.dense_network import DenseNetwork
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.self_check import Limits, _moves, check
from shiftbench.runtime.devices import rounds_to_tf32, use_precision

SIZE = 8


class Net(nn.Module):
    """A circular convolution, subsampling by ``down``, a read-out, and masked classes."""

    def __init__(self, down=nn.MaxPool2d(2), read=None, mask=None):  # noqa: B008
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")
        self.down, self.read, self.mask = down, read or (lambda x: x.mean((2, 3))), mask
        with torch.inference_mode():
            width = self.read(self.down(torch.zeros(1, 8, SIZE, SIZE))).shape[1]
        self.linear = nn.Linear(width, 6)

    def forward(self, x):
        logits = self.linear(self.read(self.down(self.conv(x).relu())))
        if self.mask is None:
            return logits
        return logits.index_fill(1, torch.tensor([4, 5]), self.mask)


def halves(x):
    return F.max_pool2d(x, 2)


def images(value=None):
    x = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return x if value is None else torch.full_like(x, value)


def checked(net, pixels=None, **more):
    network = PixelModel(net.eval(), [0.5] * 3, [0.25] * 3, torch.device("cpu"), **more)
    x = network.normalise(images() if pixels is None else pixels)
    with torch.inference_mode():
        return check(network, DenseNetwork(net), x, torch.Generator().manual_seed(0))


def assert_refused(net, reason="differ by", **more):
    with pytest.raises(NotDenseError, match=reason):
        checked(net, **more)


MASKS = [None, -1e4, -1e9, -torch.inf]
BLANK = [None, 0.0, 1.0, 0.5]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("value", BLANK)
def test_a_network_on_a_torus_passes_on_every_image(value, mask):
    found = checked(Net(mask=mask), images(value))
    assert found == {
        "self_check_images": 4, "self_check_noise": 2, "self_check_shifts": 15,
        "self_check_flips": 0,
    }  # fmt: skip


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("value", BLANK)
def test_subsampling_in_code_is_seen_on_every_image_and_behind_every_mask(value, mask):
    assert_refused(Net(halves, mask=mask), pixels=images(value))


READ = {
    "flatten": lambda x: torch.flatten(x, 1),
    "view": lambda x: x.contiguous().view(len(x), -1),
    "reshape": lambda x: x.reshape(len(x), -1),
    "a pixel": lambda x: x[:, :, 0, 0],
    "a row": lambda x: x[:, :, :1].mean((2, 3)),
    "einsum": lambda x: torch.einsum("nchw,hw->nc", x, torch.arange(16.0).view(4, 4).to(x)),
    "a weight of 1e-5": lambda x: x.mean((2, 3)) + 1e-5 * x[:, :, 0, 0],
    "moments": lambda x: (x * torch.arange(4.0).to(x)).mean((2, 3)),
}


@pytest.mark.parametrize("value", BLANK)
@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_read_outs_that_depend_on_positions_are_seen(read, value):
    assert_refused(Net(read=read), pixels=images(value))


@pytest.mark.parametrize("bias", [-3.0, -100.0])
def test_dead_units_hide_nothing(bias):
    """No unit is active for these images; one comparison uses newly drawn weights."""
    net = Net(halves)
    nn.init.constant_(net.conv.bias, bias)
    assert_refused(net, "were its weights others")


def test_masked_classes_do_not_hide_dead_units():
    net = Net(halves, mask=-torch.inf)
    nn.init.constant_(net.conv.bias, -100.0)
    assert_refused(net, "were its weights others")


class Loud(nn.Module):
    """Depends on positions only for inputs beyond a threshold that no image reaches."""

    def forward(self, x):
        mean = x.mean((2, 3))
        return torch.where(x.abs().amax((1, 2, 3))[:, None] > 10, x[:, :, 0, 0], mean)


def test_what_only_loud_inputs_show_is_seen():
    assert_refused(nn.Sequential(Loud(), nn.Linear(3, 4)), "loud noise")


@pytest.mark.parametrize("weight", [0.0, 1e-30])
def test_a_constant_network_is_refused_since_nothing_is_compared(weight):
    net = Net()
    nn.init.constant_(net.linear.weight, weight)
    nn.init.constant_(net.linear.bias, 3.0)
    assert_refused(net, "nothing to compare")


def test_a_network_of_constants_that_no_weights_could_move():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 1.0, 0.0]]).to(x).expand(len(x), 3)

    assert_refused(Constant(), "nothing to compare")


def test_small_movements_suffice():
    """With a large constant, few significant digits remain in float32, but enough in float64."""
    net = Net()
    nn.init.constant_(net.linear.bias, 1e4)
    assert checked(net)["self_check_flips"] == 0
    wrong = Net(halves)
    nn.init.constant_(wrong.linear.bias, 1e4)
    assert_refused(wrong)


def test_a_network_whose_type_is_fixed_is_compared_in_it():
    class Single(Net):
        def forward(self, x):
            return super().forward(x.float())

    assert checked(Single())["self_check_flips"] == 0
    assert_refused(Single(halves))


@pytest.mark.parametrize("down", [nn.MaxPool2d(2), halves])
def test_bf16_by_autocast_and_by_parameters(down):
    for net, more in (
        (Net(down), {"precision": "bf16"}),
        (Net(down).to(torch.bfloat16), {"dtype": torch.bfloat16}),
    ):
        if down is halves:
            assert_refused(net, **more)
        else:
            assert checked(net, **more)["self_check_images"] == 4


def convolution(in_chans):
    return nn.Conv2d(in_chans, 64, 3, padding=1, padding_mode="circular")


class Single(nn.Module):
    """Float32 under autocast, too, as after a filter that is not rounded."""

    def forward(self, x):
        return x.float()


@pytest.mark.parametrize("pools", [(nn.MaxPool2d(2), Single()), (Single(), nn.AvgPool2d(4))])
def test_small_maps_in_float32_are_no_obstacle_to_bf16(pools):
    torch.manual_seed(0)
    net = nn.Sequential(
        convolution(3), nn.ReLU(), *pools, convolution(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(64, 6),
    )  # fmt: skip
    assert checked(net, precision="bf16")["self_check_images"] == 4


def test_structure_is_checked_without_tf32():
    """A network of a fixed type would be compared in TF32, which hides or feigns differences."""
    seen = {}

    class Watched(Net):
        def forward(self, x):
            seen.setdefault(x.dtype, set()).add(rounds_to_tf32())
            return super().forward(x)

    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    use_precision("tf32")
    try:
        checked(Watched())
        assert seen[torch.float64] == {False}
        assert rounds_to_tf32()
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def test_a_network_that_cannot_be_copied_is_refused():
    class Whole(Net):
        def __deepcopy__(self, memo):
            raise TypeError("a handle")

    network = PixelModel(Whole().eval(), [0.5] * 3, [0.25] * 3, torch.device("cpu"))
    with pytest.raises(NotDenseError, match=r"cannot be copied \(a handle\)"):
        DenseNetwork(network.model)


def test_nothing_of_the_network_is_changed():
    net = Net().train(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    checked(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert isinstance(net.down, nn.MaxPool2d)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_what_counts_as_movement_is_a_thousand_times_rounding(dtype):
    limits = Limits.of(dtype)
    assert not limits.moves(0, 0)
    assert not limits.moves(0, 1)
    assert limits.moves(1.01e3 * limits.floor, 1)
    assert not limits.moves(0.99e3 * limits.floor, 1)


class Enlarged(nn.Module):
    """Numbers as squares of squares make them, beyond the range of float32."""

    def forward(self, x):
        return 1e60 * x


def test_logits_beyond_single_precision_are_compared():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
    net = nn.Sequential(
        conv, nn.MaxPool2d(2), Enlarged(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).double()
    shifts = torch.tensor([[0, 1], [1, 0], [3, 2]])
    with torch.inference_mode():
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        assert _moves(net, x, shifts, Limits.of(torch.float64), "on noise")
