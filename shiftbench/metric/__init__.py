"""Metrics: pure functions of the prediction table, with intervals over images. No torch here.

A NaN answer of the network (``top1 == -1``) equals no class: it is never correct, agrees with no
other answer (not even another NaN), and a step from or to it is a change. Metrics of
probabilities leave such views out, and ``n_images`` states how many images remain.
"""

# The order of these imports is the order of the rows in metrics.csv.
# isort: off
from shiftbench.metric import accuracy as _accuracy  # noqa: F401
from shiftbench.metric import consistency as _consistency  # noqa: F401
from shiftbench.metric import chance as _chance  # noqa: F401
from shiftbench.metric import change as _change  # noqa: F401
from shiftbench.metric import invariance as _invariance  # noqa: F401
from shiftbench.metric import peer as _peer  # noqa: F401
from shiftbench.metric import worst_of_k as _worst_of_k  # noqa: F401

# isort: on
from shiftbench.metric.about import About, about, arrow_of
from shiftbench.metric.base import METRICS, OPT_IN, Metric, Need, Terms, metric
from shiftbench.metric.evaluation import MetricValue, evaluate
from shiftbench.metric.paired import Difference, compare
from shiftbench.metric.phase import per_phase
from shiftbench.metric.radius import per_radius
from shiftbench.metric.shifts import per_shift

__all__ = [
    "METRICS",
    "OPT_IN",
    "About",
    "Difference",
    "Metric",
    "MetricValue",
    "Need",
    "Terms",
    "about",
    "arrow_of",
    "compare",
    "evaluate",
    "metric",
    "per_phase",
    "per_radius",
    "per_shift",
]
