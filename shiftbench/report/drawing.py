"""How figures are drawn and written: with matplotlib's own settings, not with the user's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib import colormaps
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from shiftbench.storage.atomic import atomic_file

DPI = 120
SHADES = 256


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw with the settings that matplotlib comes with while the block, or the function, runs.

    A ``matplotlibrc``, a style or ``rcParams`` of the user's would turn images upside down under
    their own axes (``image.origin``), want programs that are not there (``text.usetex``) or fonts
    without our characters; and the same numbers would not give the same file.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def colormap(name: str) -> Colormap:
    """Return a color map of 256 shades; the user's ``image.lut`` may have given it another number.

    matplotlib makes them when it is imported, before :func:`own_settings` can have a say.
    """
    return colormaps[name].resampled(SHADES)


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with atomic_file(path, "wb") as file:
        # No date in the file: the same numbers give the same bytes.
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
