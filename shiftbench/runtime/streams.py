"""Output that any encoding can hold: pipes on Windows, cron, ``LC_ALL=C``; no torch."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any, TextIO

HANDLER = "shiftbench.plain"

# What Unicode's own decompositions do not spell in ASCII.
_SPELLED = {
    "↑": "^", "↓": "v", "→": "->", "←": "<-", "×": "x", "·": "-", "…": "...", "−": "-", "–": "-",
    "—": "-", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "§": "section ", "α": "alpha",
    "‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "†": "+",
}  # fmt: skip


def adapt_streams() -> None:
    """Let stdout and stderr spell in ASCII what their encoding cannot hold, instead of raising.

    Tables keep their shape but for the lines, which rich draws in ASCII by itself where a stream
    is not UTF-8. Files are always written in UTF-8. A stream that was closed (``>&-``) swallows
    what it is given, and so does stderr if nobody reads it any more or its disk is full: messages
    that cannot be shown are no reason to end a run.
    """
    codecs.register_error(HANDLER, _spell)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = _lenient(sys.stderr) if sys.stderr else _nowhere()
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)  # a stand-in may have none
        if reconfigure is not None:
            reconfigure(errors=HANDLER)


class _Lenient(io.FileIO):
    """A file to which writing never fails."""

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop them."""
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _lenient(stream: TextIO) -> TextIO:
    """Return a stream to the same file that drops what it cannot write."""
    if type(stream) is not io.TextIOWrapper or isinstance(stream.buffer, io.BytesIO):
        return stream  # a stand-in, e.g. of a test
    if isinstance(getattr(stream.buffer, "raw", None), _Lenient):
        return stream
    stream.flush()
    raw = _Lenient(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True
    )


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return the ASCII spelling of what could not be encoded, and where to go on after it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(plain, text)), error.end


def plain(character: str) -> str:
    """Return one character in ASCII.

    >>> "".join(map(plain, "é × ½ ┃━ ⠋ 漢"))
    'e x 1/2 |- * ?'
    """
    if character in _SPELLED:
        return _SPELLED[character]
    if "─" <= character <= "╿":  # lines of tables, of which most are corners
        return {"─": "-", "━": "-", "═": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|", "║": "|"}.get(
            character, "+"
        )
    if "⠀" <= character <= "⣿":  # the spinner's dots
        return "*"
    decomposed = unicodedata.normalize("NFKD", character).replace("⁄", "/")
    return decomposed.encode("ascii", "ignore").decode() or "?"
