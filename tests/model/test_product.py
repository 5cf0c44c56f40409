"""Every model × pool × head × padding builds and trains a step, or is refused with the reason."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir

from shiftbench.data.images import Dataset, TensorSplit
from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.pool import Downsampling
from shiftbench.settings.hydra_patches import VERSION_BASE
from shiftbench.settings.labels import Names
from shiftbench.settings.schema import CONFIG_DIR, PADDINGS, register


def options(group):
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


MODELS = [("vgg", "model.depth=8"), ("vgg", "model.depth=16"), ("resnet", "model.depth=20"),
          ("resnet", "model.depth=18"), ("linear", "model.depth=8"),
          ("harmonic", "model.max_order=1"), ("cyclic", "model.order=8")]  # fmt: skip
NOT_LINEAR = ("max", "aps", "lp", "softpool", "lip", "ddac", "lps", "soft_lps", "tips")
NOT_BY_MAGNITUDE = ("lp", "softpool", "lip", "ddac", "tips")
PRODUCT = list(itertools.product(MODELS, options("pool"), options("head"), PADDINGS))


def dataset(size=(16, 16), channels=3):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, channels, *size), generator=generator).to(torch.uint8)
    split = TensorSplit(images, torch.arange(8) % 4)
    stats = ((0.5,) * channels, (0.25,) * channels)
    return Dataset("toy", tuple("abcd"), (channels, *size), *stats, split, split, split)


@pytest.fixture(scope="module")
def composed():
    register()
    with initialize_config_dir(str(CONFIG_DIR), **VERSION_BASE):
        yield lambda *overrides: compose("config", list(overrides))


def network(composed, model, pool, head, padding, data, *more):
    config = composed(
        f"model={model}", f"pool={pool}", f"head={head}", f"padding={padding}", "model.width=4",
        *more,
    )  # fmt: skip
    names = Names("", "toy", model, pool, head, "none", "none")
    return build.model(config, names, data)


def refusal(model, pool, head, padding):
    """The expected message, None if the combination must work."""
    if pool == "native":
        return "keeps the downsampling of an external network"
    if pool == "global" and head in ("flatten", "pyramid"):
        return "would pool nothing globally"
    if pool == "ideal" and padding != "circular":
        return "needs circular borders"
    if model == "linear" and pool in NOT_LINEAR:
        return "needs a linear pool"
    if model == "harmonic" and pool in NOT_BY_MAGNITUDE:
        return "needs a pool that is linear or selects"
    if model != "harmonic" and head == "mean":
        return "a channel for each of the"
    return None


def name_of(model):
    """A model and the number in its setting."""
    return f"{model[0]}{model[1].partition('=')[2]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "pool", "head", "padding"),
    PRODUCT,
    ids=lambda part: part if isinstance(part, str) else name_of(part),
)
def test_every_combination_trains_a_step_or_says_why_not(composed, model, pool, head, padding):
    # ResNet-18 leaves a 2×2 map of a 16-px image
    levels = ("head.levels=[1,2]",) if head == "pyramid" else ()
    reason = refusal(model[0], pool, head, padding)
    if reason:
        with pytest.raises(UsageError, match=reason):
            network(composed, model[0], pool, head, padding, dataset(), model[1], *levels)
        return
    data = dataset()
    net = network(composed, model[0], pool, head, padding, data, model[1], *levels)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    loss = F.cross_entropy(net(data.train.images.float() / 255), data.train.labels)
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert net.eval()(data.test.images.float() / 255).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=name_of)
@pytest.mark.parametrize("head", options("head"))
def test_parameter_counts_are_equal_across_pools_or_declared(composed, model, head):
    if head == "mean" and model[0] != "harmonic":
        pytest.skip("refused, as every combination says")
    levels = ("head.levels=[1,2]",) if head == "pyramid" else ()
    counts, learned = {}, {}
    for pool in options("pool"):
        if refusal(model[0], pool, head, "circular"):
            continue
        net = network(composed, model[0], pool, head, "circular", dataset(), model[1], *levels)
        kinds = [module for module in net.modules() if isinstance(module, Downsampling)]
        count = sum(p.numel() for p in net.parameters())
        (learned if any(kind.has_parameters for kind in kinds) else counts)[pool] = count
    assert len(set(counts.values())) == 1, counts
    assert all(count > counts["max"] for count in learned.values()), learned


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 24), (17, 23), (32, 20), (15, 15)])
@pytest.mark.parametrize("pool", ["max", "stride", "avg", "aps", "global"])
@pytest.mark.parametrize("model", ["vgg", "resnet"])
def test_odd_and_flat_grey_images_run(composed, model, pool, size):
    data = dataset(size, channels=1)
    net = network(composed, model, pool, "gap", "circular", data)
    assert net(data.test.images.float()).shape == (8, 4)


@pytest.mark.slow
@pytest.mark.parametrize("filter_size", range(1, 8))
@pytest.mark.parametrize("padding", PADDINGS)
def test_wide_blur_on_small_maps_runs_or_says_why_not(composed, filter_size, padding):
    data = dataset((32, 32))
    more = (f"pool.filter_size={filter_size}", "model.downsamplings=5")
    # the last step of total stride 32 sees a 2×2 map, which reflects no more than one pixel
    if padding in ("zeros", "reflect") and filter_size >= 4:
        with pytest.raises(UsageError, match="reflect padding"):
            network(composed, "vgg", "blur", "gap", padding, data, *more)
    else:
        net = network(composed, "vgg", "blur", "gap", padding, data, *more)
        assert net(data.test.images.float()).isfinite().all()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("model.depth=7", "8 to 16"),
        ("model.width=0", "model.width=0"),
        ("model.downsamplings=6", "0 to 5"),
    ],
)
def test_vgg_refuses_values_out_of_range(composed, setting, sentence):
    with pytest.raises(UsageError, match=sentence):
        network(composed, "vgg", "max", "gap", "zeros", dataset(), setting)


def test_resnet_refuses_an_unknown_depth(composed):
    with pytest.raises(UsageError, match="18, 20, 32, 44, 56"):
        network(composed, "resnet", "max", "gap", "zeros", dataset(), "model.depth=21")


def test_pyramid_refuses_a_level_finer_than_the_map(composed):
    with pytest.raises(UsageError, match="2×2"):
        network(composed, "resnet", "max", "pyramid", "zeros", dataset(), "model.depth=18")


@pytest.mark.parametrize(
    ("size", "downsamplings", "stride"),
    [(32, "null", 8), (128, "null", 32), (32, 5, 32), (8, 0, 1)],
)
def test_vgg_keeps_a_map_of_four_by_default(composed, size, downsamplings, stride):
    data = dataset((size, size))
    net = network(
        composed, "vgg", "max", "gap", "zeros", data, f"model.downsamplings={downsamplings}"
    )
    assert net.total_stride == stride


def test_weights_are_drawn_from_the_seed(composed):
    nets = [
        network(composed, "vgg", "max", "gap", "zeros", dataset(), f"seed={seed}").state_dict()
        for seed in (0, 0, 1)
    ]
    name = "features.0.weight"
    assert torch.equal(nets[0][name], nets[1][name])
    assert not torch.equal(nets[0][name], nets[2][name])
