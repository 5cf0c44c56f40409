"""What the tests of tables share."""

import pytest

from shiftbench.report.load.collect import collect
from shiftbench.report.tables.best import Best
from shiftbench.report.tables.leaderboard_grids import Ranked
from shiftbench.report.tables.summary import summarise


@pytest.fixture
def ranked(tmp_path):
    """Return a function that ranks everything in the folder."""

    def make(metric="consistency", protocol="circular", place=tmp_path, **more):
        collection = collect([place])
        summary = summarise(collection)
        return Ranked.of(collection, summary, Best.of(collection), metric, protocol, **more)

    return make
