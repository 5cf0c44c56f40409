"""The contract of a downsampling layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shiftbench.contracts import (
    class_made_by,
    give_contract,
    own_names,
    refuse_misspelt,
    with_contract,
)


@dataclass(frozen=True)
class StepStart:
    """The state of a training before one of its steps, for pools that depend on it.

    Attributes:
        progress: Share of all steps that were taken, from 0 to below 1.
        batch: Images of the whole batch, of all processes together.
        own: The images of this process among them.
        generator: Random numbers on the network's device, the same in every process.
    """

    progress: float
    batch: int
    own: slice
    generator: torch.Generator

    def per_image(self, *shape: int) -> Tensor:
        """Return uniform numbers from 0 to 1, ``(n, *shape)`` for the n images of this process."""
        return self.per_batch(self.batch, *shape)[self.own]

    def per_batch(self, *shape: int) -> Tensor:
        """Return uniform numbers from 0 to 1, of shape ``shape``, the same in every process."""
        return torch.rand(*shape, generator=self.generator, device=self.generator.device)


class Downsampling(nn.Module):
    """A layer that downsamples feature maps: ``Pool(channels, stride=2, padding="zeros")``.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; the attributes describe what else the
    network has to do where the layer is used. A subclass overrides those that differ from the
    defaults, as class attributes or in its constructor.

    A pool that selects its sampling grid by content implements :meth:`phase` and
    ``forward(x, phase)``, so that two branches of a residual block can share one grid. In place of
    the grid, both may use weights of all grids. A pool with a fixed grid implements
    :meth:`all_phases` to support the dense engine; without this method, the network is measured by
    the direct engine.

    A pool that is trained may depend on the progress of the training (:meth:`start_step`) and add
    to its loss (:meth:`added_loss`). Both have to work in a captured step, which repeats the
    operations of its first pass on tensors at the same addresses and runs no Python:
    ``start_step`` runs outside of it and writes to tensors in place.

    Attributes:
        stride: Factor by which the feature map becomes smaller at the site.
        conv_stride: Stride of the preceding convolution, if that does the subsampling.
        max_first: Whether a 2×2 maximum of stride 1 precedes it at pooling sites (max-blur).
        max_first_is_set: Whether a setting says so, and not its class.
        pad: Its padding, for the dense engine: ``zeros``, ``reflect`` or ``circular``; layers
            without padding state ``circular``.
        needs_global_head: Whether it leaves all pooling to a global head.
        is_native: Whether it stands for an external network's own downsampling.
        has_parameters: Whether it has parameters, so that its network has more than with others.
        weight_decay: Whether ``train.weight_decay`` applies to its parameters.

    Raises:
        UsageError: If a subclass declares a misspelt attribute.
    """

    stride: int | tuple[int, int] = 2
    conv_stride: int = 1
    max_first: bool = False
    max_first_is_set: bool = False
    pad: str = "circular"
    needs_global_head: bool = False
    is_native: bool = False
    has_parameters: bool = False
    weight_decay: bool = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Downsampling, own_names(cls))

    @property
    def picks_grid(self) -> bool:
        """Whether it selects its sampling grid by content, i.e. overrides :meth:`phase`."""
        return type(self).phase is not Downsampling.phase

    @property
    def keeps_all_grids(self) -> bool:
        """Whether it supports the dense engine, i.e. overrides :meth:`all_phases`."""
        return type(self).all_phases is not Downsampling.all_phases

    def _choose_max_first(self, chosen: bool | None) -> None:
        """Set ``max_first`` to what a setting says; None keeps what the class declares."""
        if chosen is not None:
            self.max_first, self.max_first_is_set = chosen, True

    def phase(self, x: Tensor) -> Tensor:
        """Return the grid ``(N,)`` selected for every image, row-major in 0..s² − 1.

        Or weights ``(N, s²)`` of all grids, which :meth:`forward` mixes. What is returned for one
        branch is passed to ``forward(x, phase)`` in all.
        """
        raise NotImplementedError(f"a {type(self).__name__} has a fixed grid")

    def all_phases(self, x: Tensor) -> Tensor:
        """Return its output on every grid, ``(N, C, H, W) -> (N·s², C, H/s, W/s)``.

        The grids of an image are consecutive, see :func:`shiftbench.ops.geometry.space_to_batch`.
        """
        raise NotImplementedError(f"a {type(self).__name__} has no dense form")

    def follow_main_branch(self) -> None:
        """Drop the parameters for the selection: ``phase`` will always be given (a shortcut)."""

    def start_step(self, start: StepStart) -> None:
        """Prepare for a training step, outside of what is captured."""

    def added_loss(self, task_loss: Tensor) -> Tensor | None:
        """Return what the last forward pass adds to the loss, a scalar, or None.

        The mean over the pools of the network that add something is added to ``task_loss``, the
        cross entropy of the batch (of one process).
        """
        return None


class MakeDownsampling:
    """A factory of pools; plain modules get the attributes of :class:`Downsampling`.

    Args:
        make: A class, a partial of a class, or a function that returns a :class:`Downsampling` or
            any other module; called as ``make(channels, stride=2, padding="zeros")``.

    Attributes:
        kind: The class of the pools, with its defaults; :class:`Downsampling` itself if a function
            makes the pools.
    """

    def __init__(self, make: Callable[..., nn.Module]) -> None:
        self.make = make
        kind = class_made_by(make)
        self.kind = Downsampling if kind is None else with_contract(kind, Downsampling)

    def __call__(self, *args: Any, **settings: Any) -> Downsampling:
        """Return a pool, ``make(channels, stride=2, padding="zeros")``."""
        pool = self.make(*args, **settings)
        if isinstance(pool, Downsampling):
            refuse_misspelt(type(pool), Downsampling, vars(pool))
            return pool
        states_stride = _states_stride(pool)
        pool = give_contract(pool, Downsampling)
        if not states_stride:
            pool.stride = settings.get("stride", Downsampling.stride)
        return pool


def downsampling(make: Callable[..., nn.Module]) -> MakeDownsampling:
    """Return ``make`` as a factory whose pools have the attributes of :class:`Downsampling`."""
    return make if isinstance(make, MakeDownsampling) else MakeDownsampling(make)


def as_pool(module: nn.Module) -> Downsampling | None:
    """Return a layer of any network as a pool, or None if it is not one.

    A plain layer is a pool if it has a ``stride`` and one of the methods ``phase`` and
    ``all_phases``; it gets the attributes of :class:`Downsampling`.
    """
    if isinstance(module, Downsampling):
        return module
    # In layers of external networks, an attribute ``phase`` may also be a string or a tensor.
    methods = [getattr(type(module), name, None) for name in ("phase", "all_phases")]
    if any(map(callable, methods)) and _states_stride(module):
        return give_contract(module, Downsampling)
    return None


def _states_stride(module: nn.Module) -> bool:
    # To be called on a plain module before it gets the default of Downsampling.
    return hasattr(module, "stride")
