"""Output to streams of any encoding: pipes on Windows, cron, ``LC_ALL=C``; without torch."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

HANDLER = "shiftbench.plain"

# Characters without an ASCII form among Unicode's decompositions.
_SPELLED = {
    "↑": "^", "↓": "v", "→": "->", "←": "<-", "×": "x", "·": "-", "…": "...", "−": "-", "–": "-",
    "—": "-", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "§": "section ", "α": "alpha",
    "‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "†": "+",
}  # fmt: skip


def adapt_streams() -> None:
    """Make stdout and stderr replace characters that they cannot encode by ASCII.

    Tables keep their layout except for the lines, which rich draws in ASCII if a stream is not
    UTF-8. Files are always written in UTF-8. Output to a closed stream (``>&-``) is discarded, and
    so is output to stderr if its reader has ended or its disk is full: a message that cannot be
    printed should not end a run.
    """
    codecs.register_error(HANDLER, _spell)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = _lenient(sys.stderr) if sys.stderr else _nowhere()
    for stream in (sys.stdout, sys.stderr):
        given: Any = stream
        with suppress(AttributeError):  # a replacement stream may lack it
            given.reconfigure(errors=HANDLER)


def discard_stdout() -> None:
    """Discard unwritten output, so that Python does not fail again when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Lenient(io.FileIO):
    """A file to which writing never raises an error."""

    def write(self, data: Any, /) -> int:
        """Write bytes, or discard them on an error."""
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _lenient(stream: TextIO) -> TextIO:
    """Return a stream to the same file that discards what it cannot write."""
    if type(stream) is not io.TextIOWrapper or isinstance(stream.buffer, io.BytesIO):
        return stream  # a replacement stream, e.g. in tests
    if isinstance(stream.buffer, io.BufferedWriter) and isinstance(stream.buffer.raw, _Lenient):
        return stream
    stream.flush()
    raw = _Lenient(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True
    )


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return an ASCII replacement of the unencodable text, and the position to resume at."""
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
    if "─" <= character <= "╿":  # lines of tables; most of these characters are corners
        return {"─": "-", "━": "-", "═": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|", "║": "|"}.get(
            character, "+"
        )
    if "⠀" <= character <= "⣿":  # the spinner's dots
        return "*"
    decomposed = unicodedata.normalize("NFKD", character).replace("⁄", "/")
    return decomposed.encode("ascii", "ignore").decode() or "?"
