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
    """A layer that makes feature maps smaller: ``Pool(channels, stride=2, padding="zeros")``.

    ``x: (N, C, H, W) -> (N, C, ceil(H/s), ceil(W/s))``; the attributes say what
    else the network has to do at its place. A subclass sets those that differ, as class attributes
    or in its constructor.

    A pool that picks its sampling grid by content has :meth:`phase`, and a ``forward(x, phase)``,
    so that two branches of a residual block can share one grid. One on a fixed grid takes part in
    the dense engine by :meth:`all_phases`; without it the network is measured directly.

    Attributes:
        stride: How much smaller the map becomes at the site.
        conv_stride: Stride of the convolution before it, where that does the subsampling.
        max_first: Whether at a pooling site a 2×2 maximum of stride 1 comes first (max-blur).
        pad: How it pads, for the dense engine: ``zeros``, ``reflect``, or ``circular``, which is
            also what to state where nothing is padded.
        needs_global_head: Whether it leaves all pooling to a global head.
        is_native: Whether it stands for the downsampling that an external network has.

    Raises:
        UsageError: When a subclass is declared with a misspelt attribute.
    """

    stride: int | tuple[int, int] = 2
    conv_stride: int = 1
    max_first: bool = False
    pad: str = "circular"
    needs_global_head: bool = False
    is_native: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_misspelt(cls, Downsampling, own_names(cls))

    @property
    def picks_grid(self) -> bool:
        """Whether it picks its sampling grid by content: whether :meth:`phase` is its own."""
        return type(self).phase is not Downsampling.phase

    @property
    def keeps_all_grids(self) -> bool:
        """Whether it has a dense form of its own: whether :meth:`all_phases` is its own."""
        return type(self).all_phases is not Downsampling.all_phases

    def phase(self, x: Tensor) -> Tensor:
        """Return the grid ``(N,)`` that it picks for every image, row-major in 0..s² − 1."""
        raise NotImplementedError(f"a {type(self).__name__} has a fixed grid")

    def all_phases(self, x: Tensor) -> Tensor:
        """Return its output on every grid, ``(N, C, H, W) -> (N·s², C, H/s, W/s)``.

        The grids of one image lie side by side, see :func:`shiftbench.ops.geometry.space_to_batch`.
        """
        raise NotImplementedError(f"a {type(self).__name__} has no dense form")


class MakeDownsampling:
    """Makes pools: a pool's class or a partial of it, whose plain modules get the contract.

    Args:
        make: ``make(channels, stride=2, padding="zeros")``, a :class:`Downsampling` or any module.

    Attributes:
        kind: The class that is made, with its defaults; the contract alone where a function makes
            the pools.
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
    """Return what makes pools that have the contract."""
    return make if isinstance(make, MakeDownsampling) else MakeDownsampling(make)


def as_pool(module: nn.Module) -> Downsampling | None:
    """Return a layer of any network as a pool with a dense form or a grid of its own, else None.

    A plain layer is one if it has a stride and the method; it is given the contract.
    """
    if isinstance(module, Downsampling):
        return module
    # Layers of external networks declare nothing; a ``phase`` may be a word or a tensor there.
    methods = [getattr(type(module), name, None) for name in ("phase", "all_phases")]
    if any(map(callable, methods)) and _states_stride(module):
        return give_contract(module, Downsampling)
    return None


def _states_stride(module: nn.Module) -> bool:
    # Of a plain module, before the contract's default would answer.
    return hasattr(module, "stride")
