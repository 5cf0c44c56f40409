"""The layer probe, compared with values that are known exactly from theory."""

import numpy as np
import pytest
import torch
from torch import nn

import shiftbench
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.head.gap import GlobalAverageHead
from shiftbench.model.resnet import ResNet
from shiftbench.model.vgg import VGG
from shiftbench.ops.padding import conv2d
from shiftbench.pool import AdaptivePolyphase2d, BlurPool2d, MaxPool2d, NoPool2d
from shiftbench.predict.layer_errors import Reference, differences, high_share
from shiftbench.predict.layer_probe import probe
from shiftbench.report.figures.layers import by_layer, depth_figure, maps_figure, selected
from shiftbench.storage.result_files import LAYER_COLUMNS

SIDE = 32
ERRORS = ["equivariance_error", "cosine_distance", "invariance_error"]


def inputs(count=2, channels=3, side=SIDE):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def network(pool, model=VGG, padding="circular", **settings):
    torch.manual_seed(3)
    return model(5, 3, (SIDE, SIDE), pool, GlobalAverageHead, padding, width=4, **settings)


class LowPass(nn.Module):
    """Remove all frequencies that every second sample cannot represent."""

    def forward(self, x):
        spectrum = torch.fft.fft2(x)
        low = [torch.fft.fftfreq(side).abs() < 0.25 for side in x.shape[2:]]
        return torch.fft.ifft2(spectrum * (low[0][:, None] & low[1])).real


class EverySecond(nn.Module):
    def forward(self, x):
        return x[:, :, ::2, ::2]


def stages(*between, pool=lambda: (LowPass(), EverySecond()), bias=True):
    """Two stages, each of a circular convolution, the layers ``between``, and subsampling."""
    torch.manual_seed(0)
    layers = []
    for chans in (3, 8):
        layers += [nn.Conv2d(chans, 8, 3, padding=1, padding_mode="circular", bias=bias)]
        layers += [*(make() for make in between), *pool()]
    return nn.Sequential(*layers)


def test_a_circular_convolution_is_equivariant_at_every_shift():
    rows = probe(conv2d(3, 6, 5, 1, "circular"), inputs())
    assert len(rows) == 64
    assert rows[ERRORS].to_numpy().max() < 1e-5
    assert set(rows["layer"]) == {"Conv2d"}  # a layer without a name is named after its class


def test_zero_padding_breaks_it():
    rows = probe(conv2d(3, 6, 5, 1, "zeros"), inputs()).set_index(["dy", "dx"])
    assert rows.loc[(0, 0), "equivariance_error"] == 0
    assert (rows["equivariance_error"].drop((0, 0)) > 0.05).all()


def test_max_pooling_commutes_with_even_shifts_alone():
    rows = probe(nn.MaxPool2d(2), inputs())
    even = (rows["dy"] % 2 == 0) & (rows["dx"] % 2 == 0)
    assert (rows["stride"] == 2).all()
    assert (rows.loc[even, "equivariance_error"] == 0).all()
    assert rows.loc[even, ERRORS].to_numpy().max() < 1e-6
    assert (rows.loc[~even, ["equivariance_error", "invariance_error"]] > 1e-3).all(axis=None)


def test_the_alignment_follows_negative_and_large_shifts():
    shifts = [(-2, 0), (4, -6), (34, 2)]
    assert probe(nn.MaxPool2d(2), inputs(), shifts=shifts)[ERRORS].to_numpy().max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("model", [VGG, ResNet])
@pytest.mark.parametrize("pool", [MaxPool2d, BlurPool2d])
def test_every_layer_is_exact_at_the_multiples_of_its_stride(pool, model):
    rows = probe(network(pool, model), inputs())
    maps = rows[rows["stride"].notna()]
    multiple = (maps["dy"] % maps["stride"] == 0) & (maps["dx"] % maps["stride"] == 0)
    assert maps.loc[multiple, ERRORS].to_numpy().max() < 1e-5
    assert maps.loc[~multiple, "equivariance_error"].min() > 1e-4
    assert sorted(maps["stride"].unique()) == ([1, 2, 4, 8] if model is VGG else [1, 2, 4])


@pytest.mark.parametrize("pool", [NoPool2d, AdaptivePolyphase2d])
def test_global_and_aps_are_exact_in_every_layer_at_every_shift(pool):
    rows = probe(network(pool), inputs())
    assert np.nanmax(rows[ERRORS].to_numpy()) < 1e-5
    assert "AdaptivePolyphase2d" in set(rows["kind"]) or pool is NoPool2d


@pytest.mark.slow
def test_an_ideal_low_pass_makes_a_linear_network_shiftable():
    """Simoncelli et al. 1992: its mean is invariant; with max pooling or ReLU, it is not."""
    linear = probe(stages(), inputs())
    assert linear["invariance_error"].max() < 1e-5
    assert linear["equivariance_error"].max() > 0.01  # half a sample cannot be matched by a roll
    last = linear[linear["index"] == linear["index"].max()]
    assert (last["stride"] == 4).all()
    strided = probe(stages(pool=lambda: (EverySecond(),)), inputs())
    pooled = probe(stages(pool=lambda: (nn.MaxPool2d(2),)), inputs())
    rectified = probe(stages(nn.ReLU), inputs())
    for rows in (strided, pooled, rectified):
        assert rows["invariance_error"].max() > 1e-3


def test_aliasing_is_the_energy_that_the_next_grid_cannot_carry():
    rows = probe(stages(), inputs())
    aliasing = rows.groupby("index")["aliasing"].first()
    kinds = rows.groupby("index")["kind"].first()
    assert aliasing[kinds == "LowPass"].to_numpy() == pytest.approx([0, 0], abs=1e-5)
    assert aliasing[kinds != "LowPass"].isna().all()
    rows = probe(stages(pool=lambda: (EverySecond(),)), inputs())
    assert (rows.groupby("index")["aliasing"].first()[[0, 2]] > 0.01).all()


def test_white_noise_has_three_quarters_of_its_energy_above_the_limit():
    noise = torch.randn(2, 50, 64, 64, generator=torch.Generator().manual_seed(0))
    assert high_share(noise, 2).numpy() == pytest.approx([1 - (31 / 64) ** 2] * 2, abs=0.01)
    assert high_share(torch.ones(1, 2, 8, 8), 2).item() == pytest.approx(0, abs=1e-6)


def test_the_cosine_distance_of_orthogonal_maps_is_one_and_of_two_zeros_none():
    base = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 4, 4)
    turned = base.flip(1)
    assert differences(Reference(base, 1), turned, (0, 0))[0].tolist() == pytest.approx(
        [2**0.5, 1, 2**0.5]
    )
    zero = torch.zeros(1, 2, 4, 4)
    assert differences(Reference(zero, 1), zero, (0, 0))[0, 1] == 0


def test_the_best_alignment_is_picked_image_by_image():
    base = inputs(2, side=8)
    moved = torch.stack([base[0].roll((1, 0), (1, 2)), base[1].roll((1, 1), (1, 2))])
    assert differences(Reference(base, 2), moved, (2, 1))[:, 0].tolist() == [0, 0]


def test_the_model_is_left_as_it_was():
    model = network(MaxPool2d).train()
    model.features[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    probe(model, inputs(), shifts=[(1, 1)])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_and_modes_are_put_back_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Broken()).train()
    with pytest.raises(RuntimeError, match="no"):
        probe(model, inputs())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(module.training for module in model.modules())


def test_tuples_are_skipped_and_other_shapes_have_one_number():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class First(nn.Module):
        def forward(self, x):
            return x[0]

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Pair(), First(), nn.Flatten(), nn.LazyLinear(5))
    model(inputs())
    rows = probe(model, inputs(), shifts=[(0, 1)]).set_index("layer")
    assert list(rows.index) == ["0", "2", "3", "4"]
    assert rows.loc["4", ["equivariance_error", "cosine_distance", "aliasing"]].isna().all()
    assert rows.loc["4", "invariance_error"] > 0
    assert rows["stride"].isna().tolist() == [False, False, True, True]
    with pytest.raises(ShiftbenchError, match="nothing to probe"):
        probe(Pair(), inputs())


def test_a_layer_that_runs_twice_has_two_rows():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv2d(3, 3, 3, 1, "circular")

        def forward(self, x):
            return self.conv(self.conv(x)[:, :, ::2, ::2])

    rows = probe(Twice(), inputs(), shifts=[(2, 2)])
    assert list(rows["layer"]) == ["conv", "conv#2"]
    assert list(rows["stride"]) == [1, 2]
    assert rows["equivariance_error"].max() < 1e-5


def test_a_layer_that_works_in_place_does_not_change_the_rows_before_it():
    conv = conv2d(3, 6, 3, 1, "circular")
    alone = probe(conv, inputs())
    both = probe(nn.Sequential(conv, nn.MaxPool2d(2), nn.ReLU(inplace=True)), inputs())
    first = both[both["index"] == 0].reset_index(drop=True)
    assert first["invariance_error"].to_numpy() == pytest.approx(alone["invariance_error"])


def test_half_precision_one_image_grey_and_bytes():
    model = nn.Sequential(conv2d(1, 4, 3, 1, "circular"), nn.MaxPool2d(2))
    bytes_ = (inputs(1, 1, 6) * 255).byte()
    rows = probe(model, bytes_, mean=[0.5], std=[0.25])
    assert len(rows) == 2 * 36  # shifts up to the side of the image
    half = probe(model.bfloat16(), bytes_)
    assert np.isfinite(half[ERRORS].to_numpy(dtype=float)).all()
    assert half.loc[half["index"] == 0, "equivariance_error"].max() < 1e-2


def test_under_autocast_the_network_alone_is_in_half_precision():
    model = conv2d(3, 6, 3, 1, "circular")
    with torch.autocast("cpu", torch.bfloat16):
        rows = probe(model, inputs())
    assert rows[ERRORS].to_numpy().max() < 1e-6


def test_odd_maps_keep_the_stride_of_their_layers():
    layers = [nn.Conv2d(3, 4, 11, 4, 2), nn.MaxPool2d(3, 2), nn.Conv2d(4, 4, 5, padding=2),
              nn.MaxPool2d(3, 2), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1)]  # fmt: skip
    rows = probe(nn.Sequential(*layers), inputs(1, side=224), shifts=[(1, 1)])
    assert list(rows["stride"])[:5] == [4, 8, 8, 16, 8]
    assert rows["aliasing"].notna().tolist() == [True, False, True, False, True, False]


@pytest.mark.slow
def test_images_in_parts_give_the_same_rows():
    model = network(MaxPool2d)
    whole, parts = (probe(model, inputs(4), memory_gb=gb) for gb in (1, 1e-9))
    for column in (*ERRORS, "aliasing"):
        close = np.isclose(whole[column], parts[column], atol=1e-6, equal_nan=True)
        assert close.all(), column


def test_arguments_out_of_range_are_refused():
    with pytest.raises(UsageError, match=r"\(N, C, H, W\)"):
        probe(nn.ReLU(), torch.rand(3, 8, 8))
    for shifts in ([], [(1,)], [(0.5, 0)]):
        with pytest.raises(UsageError, match="whole"):
            probe(nn.ReLU(), inputs(), shifts=shifts)


def test_the_columns_are_those_of_the_file():
    rows = shiftbench.probe(nn.ReLU(), inputs(), shifts=[(1, 1)])
    assert ("run_id", *rows.columns) == LAYER_COLUMNS


@pytest.mark.slow
def test_the_figures_are_drawn_and_the_same_each_time(tmp_path):
    rows = probe(network(MaxPool2d), inputs())
    layers = by_layer(rows)
    assert layers.loc[layers["subsamples"], "kind"].tolist() == ["MaxPool2d"] * 3
    assert set(layers.loc[layers["subsamples"], "index"]) <= set(selected(layers))
    for draw in (depth_figure, maps_figure):
        draw(rows, tmp_path / "a.png")
        draw(rows, tmp_path / "b.png")
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_network_without_maps_has_no_picture_of_them(tmp_path):
    rows = probe(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2)), inputs(side=4))
    depth_figure(rows, tmp_path / "depth.png")
    maps_figure(rows, tmp_path / "maps.png")
    assert [path.name for path in tmp_path.iterdir()] == ["depth.png"]


@pytest.mark.parametrize("kind", ["int64", "uint16", "float32"])
def test_images_of_other_types_are_the_same_images(kind):
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    values = pixels.numpy().astype(kind) / (255 if kind == "float32" else 1)
    values = values if kind == "float32" else values.astype(kind)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    arguments = {"shifts": [(0, 1)], "mean": np.array([0.5] * 3), "std": 0.25}
    one, other = (probe(net, images, **arguments)[ERRORS] for images in (pixels, values))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_network_that_flattens_with_view_is_probed():
    class Viewing(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x).view(len(x), -1))

    net = Viewing(nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 5))
    assert set(probe(net, inputs(side=8), shifts=[(0, 1)])["layer"]) == {"0", "1"}
