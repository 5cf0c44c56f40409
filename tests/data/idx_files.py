"""Small files in the official format of MNIST and Fashion-MNIST."""

import gzip
import struct

import numpy as np


def idx_bytes(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def tiny_mnist_arrays(train=30, test=10):
    rng = np.random.default_rng(1)
    return {
        "train-images-idx3-ubyte.gz": rng.integers(0, 256, (train, 28, 28), np.uint8),
        "train-labels-idx1-ubyte.gz": np.arange(train) % 10,
        "t10k-images-idx3-ubyte.gz": rng.integers(0, 256, (test, 28, 28), np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.arange(test) % 10,
    }


def write_idx_files(place, arrays):
    place.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        (place / name).write_bytes(gzip.compress(idx_bytes(array)))
