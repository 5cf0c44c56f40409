"""Intervals over training seeds and test images, and simultaneous intervals.

All networks of a study share their test images, so the error of a mean has two sources: the
trained seeds and the tested images. :mod:`~shiftbench.inference.crossed` treats both,
:mod:`~shiftbench.inference.simultaneous` makes the intervals of several networks simultaneous.
Numpy only.
"""
