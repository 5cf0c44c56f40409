"""Small transformers and ConvNeXts of torchvision and timm, with random weights."""

import pytest
import torch
from torchvision.models import VisionTransformer
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)
from torchvision.models.vision_transformer import ConvStemConfig


def swin(**settings):
    settings = {"patch_size": [2, 2], "window_size": [4, 4], **settings}
    return SwinTransformer(
        embed_dim=8, depths=[2, 2], num_heads=[2, 2], num_classes=5, stochastic_depth_prob=0.0,
        **settings,
    )  # fmt: skip


def swin_v2():
    return swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)


def convnext():
    return ConvNeXt([CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 1)], num_classes=5)


def vit(**settings):
    return VisionTransformer(24, 8, 2, 2, 16, 32, num_classes=5, **settings)


def vit_behind_convolutions():
    return vit(conv_stem_configs=[ConvStemConfig(4, 3, 2), ConvStemConfig(8, 3, 4)])


def of_timm(module, name, **settings):
    models = pytest.importorskip(f"timm.models.{module}")
    return getattr(models, name)(num_classes=5, **settings)


def timm_vit(**settings):
    small = {"embed_dim": 16, "depth": 2, "num_heads": 2, "patch_size": 8, **settings}
    return of_timm("vision_transformer", "VisionTransformer", img_size=(16, 24), **small)


def timm_swin(module="swin_transformer", name="SwinTransformer"):
    return of_timm(
        module, name, img_size=(32, 16), patch_size=2, embed_dim=8, depths=(2, 2),
        num_heads=(2, 2), window_size=4,
    )  # fmt: skip


def timm_convnext():
    return of_timm("convnext", "ConvNeXt", depths=(1, 1, 1, 1), dims=(4, 4, 8, 8))


NETWORKS = {
    "torchvision ViT": (vit, (24, 24)),
    "torchvision ViT, convolutions": (vit_behind_convolutions, (24, 24)),
    "torchvision Swin": (swin, (32, 16)),
    "torchvision Swin V2": (swin_v2, (16, 32)),
    "torchvision ConvNeXt": (convnext, (16, 24)),
    "timm ViT": (timm_vit, (16, 24)),
    "timm ViT, mean of tokens": (
        lambda: timm_vit(global_pool="avg", class_token=False), (16, 24)),
    "timm ViT without position embeddings": (lambda: timm_vit(pos_embed="none"), (16, 24)),
    "timm Swin": (timm_swin, (32, 16)),
    "timm Swin V2": (lambda: timm_swin("swin_transformer_v2", "SwinTransformerV2"), (32, 16)),
    "timm ConvNeXt": (timm_convnext, (32, 32)),
}  # fmt: skip


def made(make):
    """Return a network in float64 without constant weights, such as a head of zeros."""
    torch.manual_seed(0)
    net = make().double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return net
