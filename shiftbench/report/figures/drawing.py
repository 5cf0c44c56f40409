"""How figures are drawn and written: with matplotlib's own settings, not with the user's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib import colormaps
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from PIL import Image

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


@own_settings()
def png(figure: Figure, dpi: int = DPI, colors: int | None = None) -> bytes:
    """Return a figure as a PNG; the same numbers give the same bytes.

    Args:
        figure: What is drawn.
        dpi: Pixels per inch.
        colors: How many colors the file has; true color by default, which takes three times the
            bytes, and a page of many figures feels that.
    """
    buffer = BytesIO()
    # No date in the file.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    if colors is None:
        return buffer.getvalue()
    image = Image.open(buffer).convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    reduced = BytesIO()
    image.save(reduced, format="png", dpi=(dpi, dpi))
    return reduced.getvalue()


def write_png(figure: Figure, path: Path, dpi: int = DPI, colors: int | None = None) -> bytes:
    """Write a figure as a PNG, whole or not at all, and return its bytes; see :func:`png`."""
    content = png(figure, dpi, colors)
    with atomic_file(path, "wb") as file:
        file.write(content)
    return content
