"""What tests of data sets that are served by a local web server have in common."""

import hashlib

from shiftbench.data.torchvision_sets import Source


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def source(kind, name="tiny"):
    return Source(name, "Tiny", "https://example.org/tiny", kind)


def pixels_of(split):
    """Return the images as a set, whatever their order."""
    return {image.numpy().tobytes() for image in split.images}
