"""The contract of a downsampling layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from shiftbench.contracts import (
    class_made_by,
    give_contract,
    own_names,
    refuse_misspelt,
    with_contract,
)


class Downsampling(nn.Module):
    """A layer that downsamples feature maps: ``Pool(channels, stride=2, padding="zeros")``.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; the attributes describe what else the
    network has to do where the layer is used. A subclass overrides those that differ from the
    defaults, as class attributes or in its constructor.

    A pool that selects its sampling grid by content implements :meth:`phase` and
    ``forward(x, phase)``, so that two branches of a residual block can share one grid. A pool with
    a fixed grid implements :meth:`all_phases` to support the dense engine; without this method, the
    network is measured by the direct engine.

    Attributes:
        stride: Factor by which the feature map becomes smaller at the site.
        conv_stride: Stride of the preceding convolution, if that does the subsampling.
        max_first: Whether a 2×2 maximum of stride 1 precedes it at pooling sites (max-blur).
        max_first_is_set: Whether a setting says so, and not its class.
        pad: Its padding, for the dense engine: ``zeros``, ``reflect`` or ``circular``; layers
            without padding state ``circular``.
        needs_global_head: Whether it leaves all pooling to a global head.
        is_native: Whether it stands for an external network's own downsampling.
        has_parameters: Whether it is trained, so that networks with it have more parameters.

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
        """Return the grid ``(N,)`` selected for every image, row-major in 0..s² − 1."""
        raise NotImplementedError(f"a {type(self).__name__} has a fixed grid")

    def all_phases(self, x: Tensor) -> Tensor:
        """Return its output on every grid, ``(N, C, H, W) -> (N·s², C, H/s, W/s)``.

        The grids of an image are consecutive, see :func:`shiftbench.ops.geometry.space_to_batch`.
        """
        raise NotImplementedError(f"a {type(self).__name__} has no dense form")


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
