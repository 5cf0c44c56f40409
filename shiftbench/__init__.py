"""How much does an image network's answer change when its input is shifted by a pixel?

Importing the package imports no torch; attributes load when they are first used::

    import shiftbench
    result = shiftbench.measure(model, images, labels, shift="circular")
    layer = shiftbench.pool.BlurPool2d(64, filter_size=3, stride=2)
"""

import sys

from shiftbench.lazy import lazy_attributes
from shiftbench.runtime.earlier_names import EarlierNames

__version__ = "0.1.0"

sys.meta_path.append(EarlierNames)

_HOMES = {
    "Result": "api",
    "measure": "api",
    "probe": "predict.layer_probe",
    "probe_rotations": "predict.rotation_probe",
    **dict.fromkeys(("head", "metric", "pool", "shift"), ""),  # packages
}

__getattr__ = lazy_attributes("shiftbench", _HOMES)
