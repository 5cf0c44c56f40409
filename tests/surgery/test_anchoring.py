"""Polyphase anchoring: no circular shift changes a logit, and what is left alone is reported."""

import copy
import importlib
import pickle

import pytest
import torch
from altered import Chain, head, images, network
from anchored_networks import NETWORKS, convnext, made, swin, timm_vit, vit
from torch import nn
from torchvision.models.swin_transformer import (
    ShiftedWindowAttention,
)

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.surgery import anchored, circular
from shiftbench.surgery.anchor_sites import AnchorSite, anchor_layers

TOLERANCE = 1e-10  # of float64 logits, relative to their spread
# Those with borders of zeros.
BORDERS = ("torchvision ViT, convolutions", "torchvision ConvNeXt", "timm ConvNeXt")


def pixels(size, count=1, seed=1):
    return images((3, *size), count, seed).double()


@torch.no_grad()
def at_all_shifts(net, image):
    """Return the logits ``(H, W, classes)`` for every circular shift of an image ``(1, ...)``."""
    height, width = image.shape[2:]
    shifts = [(dy, dx) for dy in range(height) for dx in range(width)]
    shifted = torch.cat([image.roll(shift, (2, 3)) for shift in shifts])
    return torch.cat([net(part) for part in shifted.split(64)]).view(height, width, -1)


def change(logits):
    """Return the largest change by a shift, relative to the spread of the logits over classes."""
    return float((logits - logits[:1, :1]).abs().max() / logits[0, 0].std())


@pytest.fixture(scope="module", params=NETWORKS)
def rewritten(request):
    """The name of a network, itself, anchored and on a torus, its report, and its image size."""
    make, size = NETWORKS[request.param]
    net = made(make)
    changed, report = anchored(net, size)
    if request.param in BORDERS:
        changed, _ = circular(changed, (3, *size))
    return request.param, net, changed, report, size


@pytest.mark.slow
def test_no_circular_shift_changes_a_logit(rewritten):
    _, net, changed, _, size = rewritten
    image = pixels(size)
    logits = at_all_shifts(changed, image)
    assert change(logits) < TOLERANCE
    assert len(logits.argmax(2).unique()) == 1
    assert change(at_all_shifts(net, image)) > 0.1


def test_weights_keep_their_names_and_values(rewritten):
    _, net, changed, _, _ = rewritten
    before, after = net.state_dict(), changed.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [type(m).__name__ for m in net.modules()] == [
        type(m).__name__ for m in changed.modules()
    ]
    net.load_state_dict(after)


def test_copies_and_pickles_answer_the_same(rewritten):
    _, _, changed, _, size = rewritten
    x = pixels(size, 2)
    for again in (copy.deepcopy(changed), pickle.loads(pickle.dumps(changed))):
        assert torch.equal(again(x), changed(x))


def test_gradients_shift_with_the_image(rewritten):
    _, _, changed, _, size = rewritten
    image, shift = pixels(size), (5, 3)
    gradients = []
    for x in (image, image.roll(shift, (2, 3))):
        x = x.clone().requires_grad_()
        changed.zero_grad()
        changed(x)[0, 0].backward()
        gradients.append(x.grad)
    weights = [parameter.grad for parameter in changed.parameters()]
    assert sum(bool(grad is not None and grad.any()) for grad in weights) > len(weights) // 2
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[0].roll(shift, (2, 3)), gradients[1])


@pytest.mark.slow
def test_the_report_names_the_borders_that_are_left_alone(rewritten):
    name, net, _, report, size = rewritten
    borders = [site for site in report.kept if "border" in site.was]
    assert len(borders) == (name in BORDERS)
    assert all("padding=circular" in site.now for site in borders)
    own, _ = anchored(net, size)
    exact = change(at_all_shifts(own, pixels(size))) < TOLERANCE
    assert exact == (name not in BORDERS)


@pytest.mark.parametrize("name", ["torchvision ViT", "torchvision ConvNeXt", "timm ViT"])
def test_the_answer_is_the_networks_own_to_one_of_the_shifts(name):
    make, size = NETWORKS[name]
    net = made(make)
    if name in BORDERS:
        net, _ = circular(net, (3, *size))
    changed, _ = anchored(net, size)
    for seed in range(3):
        image = pixels(size, seed=seed)
        own = at_all_shifts(net, image)
        gaps = (own - changed(image)).abs().amax(2) / own[0, 0].std()
        assert gaps.min() < TOLERANCE
        assert gaps.median() > 0.01


@pytest.mark.parametrize("make", [vit, timm_vit])
def test_the_answer_to_an_anchored_image_is_the_networks_own(make):
    net = made(make)
    image = 0.01 * pixels((16, 24) if make is timm_vit else (24, 24))
    image[:, :, 0, 0] = 10.0
    changed, _ = anchored(net, image.shape[2:])
    for dy, dx in [(0, 0), (0, 8), (3, 5)]:
        torch.testing.assert_close(
            changed(image.roll((dy, dx), (2, 3))), net(image), rtol=1e-12, atol=1e-12
        )


def windows(shift):
    """Return window attention, and the same anchored, on maps of 8×12."""
    torch.manual_seed(0)
    own = ShiftedWindowAttention(8, [4, 4], [shift, shift], 2).double().eval()
    net = nn.Sequential(copy.deepcopy(own))
    anchor_layers(net, [AnchorSite("0", "windows", (4, 4), (shift, shift), (8, 12))], None)
    x = pixels((8, 12)).new_empty(1, 8, 12, 8)
    x.normal_(generator=torch.Generator().manual_seed(0))
    x[:, ::4, ::4] *= 3  # the strongest grid is at phase 0
    return own, net, x


def test_window_attention_on_an_anchored_map_is_the_networks_own():
    own, net, x = windows(0)
    torch.testing.assert_close(net(x), own(x))
    rolled = x.roll((3, 6), (1, 2))
    torch.testing.assert_close(net(rolled), own(x).roll((3, 6), (1, 2)))
    assert (own(rolled) - own(x).roll((3, 6), (1, 2))).abs().max() > 0.01


def test_without_the_mask_only_windows_across_the_edge_change():
    own, net, x = windows(2)
    inside = (slice(None), slice(2, 6), slice(2, 10))
    torch.testing.assert_close(net(x)[inside], own(x)[inside])
    assert ((net(x) - own(x)).abs().amax((0, 3)) > 1e-6).sum() == 8 * 12 - 4 * 8
    # On a torus, the windows across the edge are windows as the others.
    plain = copy.deepcopy(own)
    plain.shift_size = [0, 0]
    across = plain(x.roll((-2, -2), (1, 2))).roll((2, 2), (1, 2))
    torch.testing.assert_close(net(x), across)


def test_the_report_of_a_swin_transformer_lists_every_step():
    _, report = anchored(made(swin), (32, 16))
    kind = "ShiftedWindowAttention in windows of 4×4"
    back = "anchored to period 4 and rolled back"
    wraps = "; without the mask, so windows wrap around"
    assert report.lines() == [
        "features.0.0: Conv2d 2×2, stride 2 -> anchored to period 2",
        f"features.1.0.attn: {kind} -> {back}",
        f"features.1.1.attn: {kind}, shifted by 2 -> {back}{wraps}",
        "features.2: PatchMerging of 2×2 positions -> anchored to period 2",
        f"features.3.0.attn: {kind} -> {back}",
        # A window covers the map's columns.
        f"features.3.1.attn: {kind}, shifted by 2×0 -> {back}{wraps}",
    ]


def test_the_report_says_where_positions_matter_and_what_is_behind():
    then = "its output rolled to its strongest position, as what follows does not shift with it"
    _, report = anchored(made(vit), 24)
    assert report.lines() == [f"conv_proj: Conv2d 8×8, stride 8 -> anchored to period 8; {then}"]
    strides = [nn.Conv2d(3, 8, 2, 2), nn.Flatten(2), nn.Unflatten(2, (4, 4))]
    positions = nn.Linear(4, 4)  # mixes columns
    net = network(*strides, positions, nn.MaxPool2d(2), nn.Conv2d(8, 8, 2, 2))
    changed, report = anchored(made(lambda: net), 8)
    behind = "behind 0, whose output does not depend on circular shifts"
    assert report.lines() == [
        f"0: Conv2d 2×2, stride 2 -> anchored to period 2; {then}",
        f"5: Conv2d 2×2, stride 2, kept: {behind}",
        f"4: MaxPool2d 2×2, stride 2, kept: {behind}",
    ]
    assert change(at_all_shifts(changed, pixels((8, 8)))) < TOLERANCE


def test_convolutions_on_parallel_branches_are_left_alone():
    def run(self, x):
        x = self.stem(x)
        return self.one(x) + self.other(x.tanh())

    stem, one, other = nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 8, 2, 2), nn.Conv2d(8, 8, 2, 2)
    net = made(lambda: Chain(run, stem=stem, one=one, other=other))
    changed, report = anchored(net, (8, 16))
    assert [site.name for site in report.sites] == ["stem"]
    assert [site.name for site in report.kept] == ["one", "other"]
    assert change(at_all_shifts(changed, pixels((8, 16)))) < TOLERANCE


def test_subsampled_keys_of_attention_are_anchored():
    """The set of keys, as in PVT and Twins, has no order."""

    def run(self, x):
        x = self.stem(x)
        tokens, keys = x.flatten(2).mT, self.keys(x).flatten(2).mT
        mixed = nn.functional.scaled_dot_product_attention(tokens, keys, keys)
        return x + mixed.mT.unflatten(2, x.shape[2:])

    stem, keys = nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 8, 4, 4)
    net = made(lambda: Chain(run, stem=stem, keys=keys))
    changed, report = anchored(net, 16)
    assert [site.name for site in report.sites] == ["stem", "keys"]
    assert not report.kept
    assert change(at_all_shifts(changed, pixels((16, 16)))) < TOLERANCE


REFUSED = {
    "windows that do not divide the map": (
        swin, 24, UsageError,
        r"features\.3\.0\.attn \(ShiftedWindowAttention\) cannot be anchored: 4×4 does not divide "
        r"its feature map of 6×6; .* multiples of 16 px"),
    "patches that do not divide the image": (
        convnext, (16, 22), UsageError, r"features\.0\.0 .* 4×4 .* of 16×22; .* multiples of 8 px"),
    "a network for another size": (
        vit, 32, ShiftbenchError, r"images of 3×32×32 .* size=\(H, W\)"),
    "pooling only": (
        lambda: network(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)), 16, UsageError,
        "nothing to anchor: no strided convolution"),
    "pooling in front": (
        lambda: network(nn.MaxPool2d(2), nn.Conv2d(3, 8, 2, 2)), 16, ShiftbenchError,
        r"change its logits even if the output of 1 is moved .* infer=canonical"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_networks_that_would_not_be_exact_are_refused(kind):
    make, size, error, sentence = REFUSED[kind]
    with pytest.raises(error, match=sentence):
        anchored(made(make), size)


def test_images_of_another_size_are_exact_or_refused():
    changed, _ = anchored(made(swin), 16)
    assert change(at_all_shifts(changed, pixels((16, 32)))) < TOLERANCE
    with pytest.raises(ShiftbenchError, match="map of 10×8 cannot be anchored to a period of 4×4"):
        changed(pixels((20, 16)))
    net = made(lambda: Chain(lambda self, x: self.a(x)[:, :, :8, :8], a=nn.Conv2d(3, 8, 2, 2)))
    changed, _ = anchored(net, 16)
    circular(changed, (3, 16, 16))
    with pytest.raises(ShiftbenchError, match=r"it was anchored, and circular .* of 3×32×32 still"):
        circular(changed, (3, 32, 32))


def test_the_packages_whose_classes_are_known_still_have_them():
    from shiftbench.surgery.anchor_sites import MERGING, WINDOWS

    for module, name in MERGING | WINDOWS:
        if module.startswith("timm"):
            pytest.importorskip("timm")
        assert hasattr(importlib.import_module(module), name)


def test_the_original_is_not_changed():
    net = made(swin)
    x = pixels((16, 16), 2)
    before = net(x)
    anchored(net, 16)
    assert torch.equal(net(x), before)
    assert net.features[1][1].attn.shift_size == [2, 2]


def test_a_head_on_positions_is_handled():
    net = nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Flatten(), nn.Linear(64, 8), *head(8)[2:])
    changed, report = anchored(made(lambda: net), 8)
    assert "strongest position" in report.sites[0].now
    assert change(at_all_shifts(changed, pixels((8, 8)))) < TOLERANCE
