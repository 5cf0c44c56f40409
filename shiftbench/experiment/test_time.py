"""The network that is measured: the trained one, or a test-time wrapper around it."""

from __future__ import annotations

import logging

import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from shiftbench.data.images import Dataset, Split
from shiftbench.errors import UsageError
from shiftbench.experiment import build
from shiftbench.infer.base import Infer
from shiftbench.infer.moved import Moved
from shiftbench.infer.shift_average import ShiftAverage
from shiftbench.model.cost import Cost, cost
from shiftbench.model.evaluating import evaluating
from shiftbench.model.layout import home
from shiftbench.model.stride import Size
from shiftbench.predict.dense import SELF_CHECK_IMAGES
from shiftbench.predict.dense_average import DenseAverage
from shiftbench.predict.noise import spread_images
from shiftbench.predict.phases import NotDenseError
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.predict.self_check import check
from shiftbench.seeds import derive_seed

log = logging.getLogger(__name__)


def option(config: DictConfig) -> Infer:
    """Return the test-time wrapper of a configuration.

    Raises:
        UsageError: If its values are out of range, or it is none.
    """
    made = build.instantiate(config.infer, "infer")
    if not isinstance(made, Infer):
        raise UsageError(
            f"infer names {type(made).__name__}, which is not a test-time wrapper; derive it from "
            "shiftbench.infer.base.Infer"
        )
    return made


def refuse(infer: Infer, model: nn.Module, data: Dataset, stride: int) -> None:
    """Refuse a wrapper that does not fit the network, before any computation.

    Args:
        infer: The option.
        model: The network; it is left unchanged.
        data: The data set.
        stride: The total stride of the network.

    Raises:
        UsageError: If the wrapper cannot be made, or the network does not take what it makes.
    """
    wrapper = infer.wrap(model, stride)
    if not isinstance(wrapper, Moved):
        return
    views = torch.zeros(2, *data.image_shape)
    try:
        with evaluating(wrapper), torch.inference_mode():
            wrapper(views.to(*home(model, views.device)))
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"the network does not take the windows of infer.crop ({error}); give "
            "infer.crop=null, or the network a global head, e.g. head=gap"
        ) from error


def wrapped(
    infer: Infer, network: PixelModel, data: Dataset, stride: int, *, dense: bool
) -> PixelModel:
    """Return the network that is measured, in eval mode, with BatchNorm folded.

    Args:
        infer: The option.
        network: The trained network.
        data: The data set, on the network's device.
        stride: Its total stride.
        dense: Whether an average over shifts may use a pass of the dense engine.
    """
    network.model.eval()
    network = network.folded(next(data.test.batches(8))[0])
    return around(infer, network, data.test, data.image_shape[1:], stride, dense=dense)


def around(
    infer: Infer, network: PixelModel, split: Split, size: Size, stride: int, *, dense: bool
) -> PixelModel:
    """Return a test-time wrapper around a network that is in eval mode.

    Args:
        infer: The option.
        network: The network, on the device of the split.
        split: Images on which the dense pass is checked.
        size: ``(H, W)`` of the images.
        stride: The total stride of the network.
        dense: Whether an average over shifts may use a pass of the dense engine.
    """
    wrapper = infer.wrap(network.model, stride)
    if wrapper is network.model:
        return network
    wrapper.eval()
    if isinstance(wrapper, ShiftAverage):
        passes = wrapper.passes(size)
        log.info("each view takes %s forward passes", f"{passes:,}")
        if dense and passes > 1:
            _use_dense_pass(wrapper, network, split, size)
    return network.around(wrapper)


def view_cost(model: nn.Module, plain: Cost, image_shape: tuple[int, int, int]) -> Cost:
    """Return what the answer to a view costs: parameters of the network, multiply-adds of all.

    Args:
        model: A network or a wrapper around it.
        plain: The cost of a forward pass of the network.
        image_shape: ``(C, H, W)`` of the views.
    """
    if isinstance(model, ShiftAverage) and model.at_once is None:
        return Cost(plain.params, plain.macs * model.passes(image_shape[1:]))
    return Cost(plain.params, cost(model, image_shape).macs)


def _use_dense_pass(average: ShiftAverage, network: PixelModel, split: Split, size: Size) -> None:
    """Let an average use a pass of the dense engine, if that is exact and takes less."""
    generator = torch.Generator().manual_seed(derive_seed(0, "dense-average"))
    try:
        with torch.inference_mode():
            form = DenseAverage(average)
            images = network.normalise(spread_images(split, SELF_CHECK_IMAGES))
            check(network, form.plain, images, generator)
            with FlopCounterMode(display=False) as at_once:
                form(images[:1])
            with FlopCounterMode(display=False) as one:
                network.model(images[:1])
    except NotDenseError as reason:
        log.info("not from one dense pass, since %s", reason)
        return
    share = at_once.get_total_flops() / max(one.get_total_flops(), 1)
    if share < average.passes(size):
        log.info("one dense pass instead, with the multiply-adds of %.1f", share)
        average.at_once, average.size = form.of_offsets, size
