"""Modules are found by the names that they had before they moved, and say today's."""

import importlib
import sys

import pytest

from shiftbench.runtime.earlier_names import TODAY


@pytest.mark.parametrize("earlier", sorted(TODAY))
def test_an_earlier_name_imports_the_module_of_today(earlier):
    name, today = f"shiftbench.{earlier}", f"shiftbench.{TODAY[earlier]}"
    sys.modules.pop(name, None)
    with pytest.warns(FutureWarning, match=f"{name} is now {today}; import that"):
        module = importlib.import_module(name)
    assert module is importlib.import_module(today)
    assert module.__spec__.name == today


def test_a_name_that_never_was_is_a_plain_import_error():
    with pytest.raises(ModuleNotFoundError, match=r"No module named .shiftbench\.geometri."):
        importlib.import_module("shiftbench.geometri")
