"""Format text for users: names that are safe for a terminal, and short numbers."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

__all__ = ["clock", "duration", "megabytes", "names", "plural", "printable"]

# Control characters, surrogates (undecodable bytes of a file name), line and paragraph separators,
# and format characters, some of which change the direction of the text.
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp", "Cf"})
_JOINERS = "\u200c\u200d"  # used in emoji and several scripts, and harmless


def printable(value: object) -> str:
    r"""Return `value` as text that is safe for a terminal.

    Unsafe characters are replaced by their escape, such as ``\x1b``.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if char in _JOINERS or unicodedata.category(char) not in _UNSAFE:
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def plural(count: int, noun: str) -> str:
    """Return `count` with its noun: "1 image", "2,000 images"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def names(values: Iterable[object]) -> str:
    """Return the values as a list separated by commas."""
    return ", ".join(printable(value) for value in values)


def megabytes(count: float) -> str:
    """Return a number of bytes in megabytes (10**6 bytes)."""
    return f"{count / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """Return a duration in a suitable unit: "40 ms", "4.2 s", "3:07", "1:02:03"."""
    if seconds < 0.95:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or with hours: "0:04", "3:07", "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
