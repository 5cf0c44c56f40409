"""Consistency as a publication's own loop reports it, from its own draws (``sampling=peer``)."""

from __future__ import annotations

import numpy as np

from shiftbench.metric.answers import Bools
from shiftbench.metric.base import Floats, Need, Terms, metric
from shiftbench.prediction_table import PredictionTable

REPLAYED = Need("the draws of a publication (sampling=peer)", lambda table: "peer" in table.meta)


@metric("peer_consistency", higher_is_better=True, needs=(REPLAYED,))
def peer_consistency(table: PredictionTable) -> Terms:
    """Share of the publication's pairs of views that get the same answer, averaged as it did.

    mean over images and passes of 1[P(n, a) = P(n, b)], (a, b) being the columns of a pair, which
    may have the same shift; or, if the publication averaged so, the mean of batch means, in which a
    smaller last batch has the same weight as the others; 0 to 1, higher is better. It serves to
    verify published values and estimates ``pair_consistency`` over all shifts. The interval does
    not cover the draws of pairs: all images of a batch share a pair, and only images are resampled.

    >>> from shiftbench.metric.example import table_of
    >>> groups = {"groups": [[1, 2]], "batch": 2, "average": "images"}
    >>> answers = [[0, 0, 0], [0, 0, 1], [0, 1, 1]]  # agree, differ | agree
    >>> round(peer_consistency(table_of(answers, [0, 0, 0], meta={"peer": groups})).value, 4)
    0.6667
    >>> groups["average"] = "batches"  # (1/2 + 1) / 2
    >>> peer_consistency(table_of(answers, [0, 0, 0], meta={"peer": groups})).value
    0.75
    """
    peer = table.meta["peer"]
    agree = np.mean([_all_agree(table, group) for group in peer["groups"]], axis=0)
    weight = np.ones(table.n_images)
    if peer["average"] == "batches":
        weight = 1 / _batch_sizes(table.n_images, int(peer["batch"]))
    return Terms.ratio(agree * weight, weight, len(peer["groups"]) * len(peer["groups"][0]))


def _all_agree(table: PredictionTable, columns: list[int]) -> Bools:
    answers = table.top1.take(columns, axis=1)
    agree: Bools = (answers == answers[:, :1]).all(axis=1) & (answers[:, 0] >= 0)
    return agree


def _batch_sizes(n_images: int, batch: int) -> Floats:
    """``(N,)``, how many images are in the batch of each image."""
    index = np.arange(n_images) // batch
    sizes: Floats = np.bincount(index)[index].astype(np.float64)
    return sizes
