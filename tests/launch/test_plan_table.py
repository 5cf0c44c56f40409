"""The table that ``--plan`` prints: short numbers, and rows that are sums."""

from shiftbench.report.tables.plan_table import amount, duration, size
from shiftbench.runs.plan import AT_MOST, BYTES_PER_VIEW, Plan, Work


def test_numbers_are_short():
    assert size(BYTES_PER_VIEW * 50_000 * 961) == "1.35 GB"
    assert amount(9_999_999) == "9,999,999"
    assert amount(10_000_000) == "10 M"
    assert duration(59.9) == "60 s"
    assert duration(7200) == "2.0 h"


def test_rows_are_summed_by_protocol_and_engine():
    parts = [
        Work("crop", "direct", 1, 10, 10, 100, 1.0, 280),
        Work("training", "", 1, 5, 15, 150, 2.0, 8),
        Work("crop", "direct", 1, 10, 10, 100, 1.0, 280),
        Work("crop", AT_MOST, 1, 1, 1, 1, 1.0, 28),
    ]
    plan = Plan(jobs=2, done=0, work=tuple(parts))
    rows = [(row.what, row.engine, row.count, row.views) for row in plan.rows()]
    assert rows == [
        ("training", "", 1, 5), ("crop", "direct", 2, 20), ("crop", AT_MOST, 1, 1)
    ]  # fmt: skip
    assert (plan.trainings, plan.total().macs) == (1, 351)
