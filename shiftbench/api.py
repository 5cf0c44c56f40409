"""Measure any network from a program: ``shiftbench.measure(model, images, labels)``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor, nn

from shiftbench.data.images import TensorSplit
from shiftbench.errors import UsageError, did_you_mean, require_one_of, require_within
from shiftbench.experiment import build, test_time
from shiftbench.infer.base import Infer
from shiftbench.infer.single import Single
from shiftbench.metric import evaluate, per_phase, per_radius, per_shift
from shiftbench.model.evaluating import evaluating, refuse_lazy, training_modules
from shiftbench.model.layout import home
from shiftbench.model.outputs import as_module, give_logits
from shiftbench.model.stride import total_stride
from shiftbench.model.trial import try_network
from shiftbench.predict.arrays import Numbers, as_images, as_labels, per_channel, whole
from shiftbench.predict.engine import Options, predict
from shiftbench.predict.pixel_model import PixelModel
from shiftbench.prediction_table import PredictionTable
from shiftbench.settings.labels import load_option
from shiftbench.settings.schema import CONFIG_DIR
from shiftbench.shift.base import ShiftProtocol
from shiftbench.surgery import circular

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What :func:`measure` returns.

    Attributes:
        metrics: One row per metric: metric, value, ci_low, ci_high, n_images, n_shifts, engine.
        shifts: One row per shift: dy, dx, accuracy, agreement, mean_absolute_change, n_images.
        predictions: The prediction table; ``predictions.save(path)`` writes it to a file.
    """

    metrics: pd.DataFrame
    shifts: pd.DataFrame
    predictions: PredictionTable

    def per_radius(self, resamples: int = 1000) -> pd.DataFrame:
        """Return accuracy and consistency over the radius of the shifts, with intervals.

        See :func:`~shiftbench.metric.radius.per_radius`; no forward pass is needed.
        """
        return per_radius(self.predictions, resamples=resamples)

    def per_phase(self, period: int) -> pd.DataFrame:
        """Return accuracy and agreement by (dy mod period, dx mod period), e.g. of patches.

        See :func:`~shiftbench.metric.phase.per_phase`; no forward pass is needed.
        """
        return per_phase(self.shifts, period)


def measure(
    model: nn.Module | Callable[[Tensor], Any],
    images: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    shift: str | ShiftProtocol = "circular",
    *,
    infer: str | Infer = "single",
    mean: Numbers | None = None,
    std: Numbers | None = None,
    padding: str | None = None,
    engine: str = "auto",
    batch_size: int = 256,
    resamples: int = 1000,
) -> Result:
    """Run ``model`` on shifted views of ``images`` and reduce its answers to metrics.

    All modules of the network are measured in eval mode and restored afterwards: flags, buffers,
    attributes and hooks, as well as torch's global state (see
    :func:`~shiftbench.model.evaluating.evaluating`).

    Args:
        model: Any ``nn.Module``, or a function, that maps ``(N, C, H, W)`` to logits
            ``(N, num_classes)``, or to an output that contains them, see
            :func:`~shiftbench.model.outputs.logits_of`. Networks that a function refers to are
            measured in eval mode, too.
        images: ``(N, C, H, W)``: uint8 in 0..255 (or other integers in this range, or booleans),
            which are scaled to 0..1; or floats. Images are shifted before normalisation: pass
            pixels in 0..1 together with ``mean`` and ``std``, so that a fill such as black has its
            intended value.
        labels: ``(N,)`` true classes.
        shift: A protocol, or the name of one (``shiftbench list shift``) with its defaults.
        infer: A test-time wrapper, e.g. ``Average(count=9)``, or the name of one (``shiftbench list
            infer``) with its defaults: how the network is asked for its answer to a view.
        mean: Mean of pixels in 0..1, per channel or one for all, that is subtracted after the
            shift; None is 0.
        std: Standard deviation likewise, by which pixels are divided; None is 1.
        padding: ``circular`` measures a copy of the network with circular padding throughout. This
            is a different network, which the table's meta states.
        engine: ``direct`` runs every view; ``dense`` computes all circular shifts at once, if this
            is exact; ``auto`` chooses.
        batch_size: Views per forward pass of the direct engine.
        resamples: Bootstrap resamples for the intervals.

    Raises:
        UsageError: If the arguments are incompatible.
        ShiftbenchError: If the network's output does not fit the labels.
    """
    pixels = as_images(images, normalised=mean is not None or std is not None)
    split = TensorSplit(pixels, as_labels(labels, len(pixels)))
    shape = cast(tuple[int, int, int], tuple(pixels.shape[1:]))
    average = per_channel("mean", mean, shape[0])
    deviation = per_channel("std", std, shape[0])
    protocol = _option("shift", shift) if isinstance(shift, str) else shift
    _check(protocol, pixels, average is not None)
    wrapper = _option("infer", infer) if isinstance(infer, str) else infer
    _check_infer(wrapper)
    batch_size, resamples = whole("batch_size", batch_size), whole("resamples", resamples)
    require_within("batch_size", batch_size, 1, 2**31)
    network, changed = _network(model, padding, shape)
    table = _table(
        network, wrapper, split, protocol, Options(engine, batch_size), average, deviation
    )
    if changed:
        table.meta["made_circular"] = changed
    metrics = pd.DataFrame(evaluate(table, resamples=resamples))
    return Result(metrics.assign(engine=table.meta["engine"]), per_shift(table), table)


def _network(
    model: nn.Module | Callable[[Tensor], Any],
    padding: str | None,
    image_shape: tuple[int, int, int],
) -> tuple[nn.Module, list[str]]:
    """Return the network to measure, and the names of layers whose padding was made circular."""
    network, changed = as_module("model", model), list[str]()
    refuse_lazy(network)
    if padding is not None:
        require_one_of("padding", padding, ["circular"])
        if network is not model:
            raise UsageError(
                f"padding={padding} cannot be given to a function, whose layers are not known; "
                "give the torch.nn.Module"
            )
        network, changed = circular(network, image_shape)
    if count := training_modules(network):
        log.info(
            "%d of the network's %d modules were in train mode; it is measured in eval mode, "
            "then put back", count, len(list(network.modules())),
        )  # fmt: skip
    return network, changed


def _table(
    network: nn.Module,
    wrapper: Infer,
    split: TensorSplit,
    protocol: ShiftProtocol,
    options: Options,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> PredictionTable:
    """Return the answers of ``network``, behind a test-time wrapper, to all views."""
    shape = cast(tuple[int, int, int], tuple(split.images.shape[1:]))
    with evaluating(network):
        pixel_model = _pixel_model(network, split, mean, std)
        images = split.to(pixel_model.device)
        if not isinstance(wrapper, Single):
            stride, dense = total_stride(network, shape), options.engine != "direct"
            pixel_model = test_time.around(
                wrapper, pixel_model, images, shape[1:], stride, dense=dense
            )
        return predict(pixel_model, images, shape, protocol, options, mean=mean)


def _pixel_model(
    model: nn.Module,
    split: TensorSplit,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> PixelModel:
    """Return ``model`` behind its normalisation, on its own device and in its own precision."""
    channels = split.images.shape[1]
    device, dtype = home(model, split.images.device)
    network = PixelModel(
        model, mean or (0.0,) * channels, std or (1.0,) * channels, device, dtype=dtype
    )
    shown = split.images[[0, -1]].to(device)
    advice = "give images as it takes them, (N, C, H, W), or another network"
    trial = try_network(model, network.normalise(shown), advice)
    if not trial.plain:
        give_logits(model)
    network.memory_format = trial.memory_format
    return network.folded(shown)


def _check(protocol: object, images: Tensor, has_mean: bool) -> None:
    """Refuse an object that is not a shift protocol, or a protocol whose fill is not defined."""
    if not isinstance(protocol, ShiftProtocol):
        raise UsageError(
            f"shift={protocol} is not a protocol; give a name, e.g. 'circular', or an object, "
            "e.g. Circular(), whose class is derived from shiftbench.shift.ShiftProtocol"
        )
    fill = protocol.fill
    if fill == "mean" and not has_mean:
        raise UsageError(
            "the shift fills with the mean of the pixels, which is not known; give mean=, "
            "e.g. mean=[0.485, 0.456, 0.406], or another fill"
        )
    if fill == "black" and not has_mean and images.is_floating_point() and bool(images.min() < 0):
        log.warning(
            "the images run from %.3g to %.3g and what enters them is 0, which is not black; give "
            "pixels in 0 to 1, mean and std", float(images.min()), float(images.max()),
        )  # fmt: skip


def _check_infer(wrapper: object) -> None:
    if not isinstance(wrapper, Infer):
        raise UsageError(
            f"infer={wrapper} is not a test-time wrapper; give a name, e.g. 'phases', or an "
            "object, e.g. Phases(), whose class is derived from shiftbench.infer.base.Infer"
        )


def _option(group: str, name: str) -> Any:
    """Return an option of a config group with its defaults."""
    node = load_option(group, name, [CONFIG_DIR])
    if not node:
        known = sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
        hint = did_you_mean(name, known)
        raise UsageError(f"{group}='{name}' is not known{hint}; allowed: {', '.join(known)}")
    return build.instantiate(node)
