"""How much does an image network's answer change when its input is shifted by a pixel?

Importing the package imports no torch; attributes load when they are first used::

    import shiftbench
    result = shiftbench.measure(model, images, labels, shift="circular")
    layer = shiftbench.pool.BlurPool2d(64, filter_size=3, stride=2)
"""

import sys

from shiftbench.runtime.earlier_names import EarlierNames

__version__ = "0.1.0"

sys.meta_path.append(EarlierNames)

_LAZY = {
    "measure": ("shiftbench.api", "measure"),
    "Result": ("shiftbench.api", "Result"),
    "probe": ("shiftbench.predict.layer_probe", "probe"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    if name in ("pool", "shift", "head", "metric"):
        return import_module(f"shiftbench.{name}")
    raise AttributeError(f"module 'shiftbench' has no attribute '{name}'")
