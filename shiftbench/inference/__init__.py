"""Intervals over network seeds and test images together, and of several numbers at once.

Every network of a study sees the same test images, so the deviation of a mean has two sources: the
seeds that were trained and the images that were shown. :mod:`~shiftbench.inference.crossed` takes
both, :mod:`~shiftbench.inference.simultaneous` the intervals of many networks at once. Numpy only.
"""
