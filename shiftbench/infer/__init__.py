"""Test-time wrappers: how a trained network is asked for its answer to a view.

An option of the group ``infer`` is an :class:`~shiftbench.infer.base.Infer`, which wraps any
network after training: one that averages over shifts
(:class:`~shiftbench.infer.shift_average.ShiftAverage`), or one that moves the image to a place that
depends on its content (:class:`~shiftbench.infer.moved.Moved`). Weights are those of the run with
``infer=single``. Intervals and their statistics are in :mod:`shiftbench.inference`.
"""
