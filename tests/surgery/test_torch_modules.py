"""Every module of torch.nn that takes a map: the same logits, or a refusal that names a layer."""

import copy
import inspect
import warnings

import pytest
import torch
from altered import EverySth2d, difference, head, images, moved, names_a_layer, with_statistics
from torch import nn

from shiftbench.errors import ShiftbenchError
from shiftbench.surgery import circular, replace_downsampling

SHAPE = (3, 32, 32)
MAP = (8, 16, 16)  # what the module is given
# Arguments that are tried, several of which may fit a class: at most so many are used.
ARGUMENTS = (
    (), (2,), (3,), (8,), (3, 2), (3, 2, 1), (2, 8), (4, 8), (8, 8, 3), (8, 8, 3, 2, 1), (16, 16),
    ([16, 16],), ([8, 16, 16],), (8, 3, 2, 1),
)  # fmt: skip
MOST = 2


class Tokens(nn.Module):
    """Runs a layer on the pixels of a map as tokens ``(N, L, C)``."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.layer(*[tokens] * (3 if isinstance(self.layer, nn.MultiheadAttention) else 1))
        mixed = mixed[0] if isinstance(mixed, tuple) else mixed
        return mixed.transpose(1, 2).unflatten(2, x.shape[2:])


class Rows(nn.Module):
    """Runs a layer on ``(N, C, L)``, the pixels of a map one after the other."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.flatten(2)).unflatten(2, (-1, x.shape[3]))


class Folds(nn.Module):
    """Takes patches apart and adds them up again."""

    def __init__(self, side):
        super().__init__()
        self.apart, self.fold = nn.Unfold(3, padding=1), nn.Fold((side, side), 3, padding=1)

    def forward(self, x):
        return self.fold(self.apart(x).relu())


class Unpools(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        return self.unpool(*self.pool(x))


class Gates(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Bilinear(8, 8, 8)

    def forward(self, x):
        x = x.permute(0, 2, 3, 1).contiguous()
        return self.mix(x, x).permute(0, 3, 1, 2)


WRAPPED = {
    "MultiheadAttention": lambda: Tokens(nn.MultiheadAttention(8, 2, batch_first=True)),
    "TransformerEncoderLayer": lambda: Tokens(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
    "GRU": lambda: Tokens(nn.GRU(8, 8, batch_first=True)),
    "LSTM": lambda: Tokens(nn.LSTM(8, 4, batch_first=True, bidirectional=True)),
    "RNN": lambda: Tokens(nn.RNN(8, 8, batch_first=True)),
    "Conv1d": lambda: Rows(nn.Conv1d(8, 8, 3, padding=1)),
    "Conv1d(stride=4)": lambda: Rows(nn.Conv1d(8, 8, 4, 4)),
    "BatchNorm1d": lambda: Rows(nn.BatchNorm1d(8)),
    "InstanceNorm1d": lambda: Rows(nn.InstanceNorm1d(8)),
    "AvgPool1d": lambda: Rows(nn.AvgPool1d(4)),
    "MaxPool1d": lambda: Rows(nn.MaxPool1d(3, 1, 1)),
    "AdaptiveAvgPool1d": lambda: Rows(nn.AdaptiveAvgPool1d(64)),
    "Fold, Unfold": lambda: Folds(16),
    "MaxUnpool2d": Unpools,
    "Bilinear": Gates,
    "Upsample(bilinear)": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "Upsample(nearest)": lambda: nn.Upsample(scale_factor=2),
    "Conv2d(circular)": lambda: nn.Conv2d(8, 8, 3, 1, 1, padding_mode="circular"),
    "Conv2d(same)": lambda: nn.Conv2d(8, 8, 4, padding="same"),
    "BatchNorm2d(no statistics)": lambda: nn.BatchNorm2d(8, track_running_stats=False),
    "BatchNorm2d(no weights)": lambda: nn.BatchNorm2d(8, affine=False),
    "MaxPool2d(ceil_mode)": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "AvgPool2d(ceil_mode)": lambda: nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False),
    "Sequential": lambda: nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()),
}  # fmt: skip


def _maps(make):
    """Return whether the module of ``make`` maps a feature map to a feature map."""
    try:
        torch.manual_seed(0)
        output = make().eval()(images(MAP))
    except Exception:
        return False
    return isinstance(output, torch.Tensor) and output.ndim == 4 and len(output) == 2


def _classes():
    """Return the classes of torch.nn, but for those that take the images for channels."""
    return [
        kind for name, kind in sorted(vars(nn).items())
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and not name.endswith("3d")
    ]  # fmt: skip


def _modules():
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in _classes():
            makes = [lambda kind=kind, given=given: kind(*given) for given in ARGUMENTS]
            fitting = [i for i, make in enumerate(makes) if _maps(make)][:MOST]
            for i in fitting:
                found[f"{kind.__name__}{ARGUMENTS[i]}"] = makes[i]
    return found | WRAPPED


MODULES = _modules()


def network(make):
    """Return a convolution of stride 2, the module, another such convolution, and a head."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), make(), nn.LazyConv2d(8, 3, 2, 1), nn.ReLU(), *head(8)
    )
    net.eval()(images(SHAPE))
    return with_statistics(net)


def seeded(net):
    """Return a function that runs ``net`` with the same draws every time."""

    def run(x):
        torch.manual_seed(0)
        return net(x)

    return run


def test_most_of_torch_is_among_them():
    names = {name.partition("(")[0] for name in MODULES}
    assert len(names) > 70
    assert names >= {
        "Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "LPPool2d", "LayerNorm", "GLU",
        "GroupNorm", "Softmax2d", "PixelUnshuffle", "CircularPad2d", "Linear",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore")
def test_plain_subsampling_gives_the_same_logits_or_is_refused_by_name(name):
    net, x = network(MODULES[name]), images(SHAPE).double()
    with torch.no_grad():
        expected = seeded(copy.deepcopy(net).double())(x)
    if not expected.isfinite().all() or expected.std(0).max() < 1e-6:
        pytest.skip("its logits say nothing")
    try:
        changed, done = replace_downsampling(net, EverySth2d, stem=True, image_shape=SHAPE)
    except ShiftbenchError as error:
        assert names_a_layer(str(error), net)
        return
    assert {"0", "2"} <= {site.name for site in (*done.sites, *done.kept)}
    assert difference(seeded(changed.double())(x), expected) < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore")
def test_circular_shifts_leave_the_logits_or_are_refused_by_name(name):
    net, x = network(MODULES[name]), images(SHAPE)
    try:
        changed, _ = circular(net, SHAPE)
    except ShiftbenchError as error:
        assert names_a_layer(str(error), net)
        return
    run = seeded(changed.double())
    with torch.no_grad():
        size = changed[:3](x.double()).shape[2]
        logits = run(x.double())
    if size < 2 or not logits.isfinite().all() or logits.std(0).max() < 1e-6:
        pytest.skip("no shift is left to check, or its logits say nothing")
    assert moved(run, x.double(), 16) < 1e-7


def test_a_border_of_zeros_would_be_detected():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), *head(8)).eval().double()
    assert moved(net, images(SHAPE).double(), 16) > 1e-5
