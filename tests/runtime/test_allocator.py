"""What is freed stays with the process, and no number depends on it."""

import platform
import subprocess
import sys

import pytest

TOUCH = """
import resource
from shiftbench.runtime.allocator import keep_freed_memory
kept = {kept} and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"x" * (48 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""

glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has this setting"
)


def touch(kept, **environment):
    command = [sys.executable, "-c", TOUCH.format(kept=kept)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    applied, faults = done.stdout.split()
    return applied == "True", int(faults)


@glibc
def test_a_block_that_was_freed_costs_no_page_faults_the_next_time():
    applied, faults = touch(True)
    unset, plain = touch(False)
    assert applied
    assert not unset
    assert faults < 0.01 * plain


@glibc
def test_the_users_own_setting_stands():
    applied, _ = touch(True, MALLOC_TRIM_THRESHOLD_="131072")
    assert not applied
