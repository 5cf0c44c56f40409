"""The session of a command: one at a time, without state of previous ones."""

import ast
from contextvars import copy_context
from pathlib import Path

import pytest

import shiftbench
from shiftbench.errors import ShiftbenchError
from shiftbench.launch import session
from shiftbench.launch.session import Throttle
from shiftbench.runtime.distributed import SharedJobs
from shiftbench.runtime.keep_last import KeepLast

PACKAGE = Path(shiftbench.__file__).parent
# Allowed module state: two registries, two caches of unchanging values, and the state of the
# terminal of this process.
STATE_OF_MODULES = {"METRICS", "OPT_IN", "_described", "_digested", "_displays", "_muted"}


def test_the_callback_and_the_job_find_the_session_of_the_command():
    with session.opened() as command:
        command.failures.append(ShiftbenchError("no"))
        assert session.current() is command


def test_nothing_is_left_for_the_next_command():
    with session.opened() as first:
        first.failures.append(ShiftbenchError("no"))
        first.jobs = [["seed=0"]]
    with session.opened() as second:
        assert session.current() is second
        assert (second.failures, second.jobs, second.refusal) == ([], None, None)


def test_a_launchers_process_has_one_session_for_all_its_jobs():
    first, second = copy_context().run(lambda: (session.current(), session.current()))
    assert first is second


def test_a_failed_load_is_not_kept():
    kept = KeepLast()
    assert kept.get("a", lambda: "images") == "images"
    with pytest.raises(OSError, match="gone"):
        kept.get("b", lambda: _raise(OSError("gone")))
    assert kept.value is None  # the previous value is released
    assert kept.get("b", lambda: "others") == "others"


def _raise(error):
    raise error


@pytest.mark.parametrize(("now", "due"), [(99.0, False), (140.0, True)])
def test_tables_are_written_in_a_twentieth_of_the_time(monkeypatch, now, due):
    clock = iter([100.0, 102.0, 102.0 + now - 100.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    tables = Throttle(share=0.05)
    with tables.timed():
        pass
    assert (tables.ended, tables.took) == (102.0, 2.0)
    assert tables.is_due() is due  # 2 s are one twentieth of 40 s


def test_a_plain_command_shares_its_jobs_with_nobody():
    jobs = SharedJobs()
    with jobs.leading(), jobs.team("run") as team:
        assert (team.rank, team.size, team.gather(3)) == (0, 1, [3])
    assert jobs.begun == 0


def test_no_module_passes_messages_through_a_list_of_its_own():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and _is_empty(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {ast.unparse(target) for target in targets}
    assert found <= STATE_OF_MODULES


def _is_empty(value):
    return isinstance(value, ast.List | ast.Dict) and not ast.unparse(value).strip("[]{}")
