"""Failures of ``train.compile=true`` as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shiftbench.errors import ShiftbenchError, printable

_COMPILERS = ("torch._inductor", "torch._dynamo")


@contextmanager
def explained_failures() -> Iterator[None]:
    """Rephrase errors of torch's compiler; it runs in the first step, not when it is called.

    Raises:
        ShiftbenchError: If the network could not be compiled.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(_COMPILERS):
            raise
        [reason, *_] = [*str(error).splitlines(), type(error).__name__]
        raise ShiftbenchError(
            f"train.compile=true failed ({printable(reason, 200)}); install a C++ compiler, e.g. "
            "g++, or use train.compile=false"
        ) from error
