"""Drawing and writing of figures under matplotlib's default settings, not the user's."""

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
    """Use matplotlib's default settings within a ``with`` block or a decorated function.

    The user's ``matplotlibrc``, style or ``rcParams`` could flip images relative to their axes
    (``image.origin``), require programs that are not installed (``text.usetex``) or fonts that
    lack our characters, and the same numbers would not give the same file.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def colormap(name: str) -> Colormap:
    """Return a colormap of 256 colors, independent of the user's ``image.lut``.

    matplotlib builds its colormaps on import, before :func:`own_settings` can take effect.
    """
    return colormaps[name].resampled(SHADES)


@own_settings()
def png(figure: Figure, dpi: int = DPI, colors: int | None = None) -> bytes:
    """Return a figure as a PNG; the same numbers give the same bytes.

    Args:
        figure: The figure.
        dpi: Pixels per inch.
        colors: Size of the palette; true color by default, which takes three times the bytes,
            too many for a page of many figures.
    """
    buffer = BytesIO()
    # Metadata without a date, so that files are reproducible.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    if colors is None:
        return buffer.getvalue()
    image = Image.open(buffer).convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    reduced = BytesIO()
    image.save(reduced, format="png", dpi=(dpi, dpi))
    return reduced.getvalue()


def write_png(figure: Figure, path: Path, dpi: int = DPI, colors: int | None = None) -> bytes:
    """Write a figure as a PNG atomically and return its bytes; see :func:`png`."""
    content = png(figure, dpi, colors)
    with atomic_file(path, "wb") as file:
        file.write(content)
    return content
