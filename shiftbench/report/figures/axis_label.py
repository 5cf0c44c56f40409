"""Names of the axes of shifts in figures."""

from __future__ import annotations

LABELS = {
    "dy": "dy (px down)",
    "dx": "dx (px to the right)",
    "angle": "angle (°, counter-clockwise)",
    "scale": "shorter side of the object (px)",
    "zoom": "zoom (factor)",
    "resolution": "resolution (px)",
}


def axis_label(name: str) -> str:
    """Return an axis of ``shifts.csv`` with its unit; the name of an unknown one.

    >>> axis_label("angle"), axis_label("shear_x")
    ('angle (°, counter-clockwise)', 'shear x')
    """
    return LABELS.get(name, name.replace("_", " "))
