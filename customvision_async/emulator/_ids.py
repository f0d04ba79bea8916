"""Identifiers and clocks: GUIDs in SQL Server's order, and time in ticks of 100 ns.

The service lists tags, and images of the same date, in SQL Server's order of ``uniqueidentifier``.
That order compares the last six bytes first. The emulator stores every id as 16 bytes in this
order, so the order of the bytes is the order of the service.
"""

from __future__ import annotations

import random
import re
import time
from functools import lru_cache

__all__ = ["Clock", "IdSource", "guid_key", "guid_text", "instant"]

_GUID = re.compile(
    r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
)
_EPOCH_TICKS = 10_000_000


def guid_key(text: str) -> bytes:
    """Return the sortable key of a GUID. Dashes, braces and letter case do not matter.

    Raises:
        ValueError: `text` is not a GUID.
    """
    text = text.strip().strip("{}")
    if not _GUID.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not a GUID")
    raw = bytes.fromhex(text.replace("-", ""))
    return raw[10:16] + raw[8:10] + raw[7:5:-1] + raw[5:3:-1] + raw[3::-1]


def guid_text(key: bytes) -> str:
    """Return the GUID of a key in lower case with dashes."""
    text = (key[15:11:-1] + key[11:9:-1] + key[9:7:-1] + key[6:8] + key[:6]).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class IdSource:
    """A source of new ids: random, or the same series each time for the same seed."""

    def __init__(self, seed: str | None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - ids, not secrets

    def key(self) -> bytes:
        """Return a new id (version 4) as a key."""
        raw = bytearray(self._random.randbytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        return guid_key(raw.hex())

    def text(self) -> str:
        """Return a new id as text."""
        return guid_text(self.key())


class Clock:
    """The time in ticks of 100 ns since 1970.

    It never goes back. Consecutive readings may be equal, so dates can tie.
    """

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        """Return the time in ticks."""
        self._last = max(self._last, time.time_ns() // 100)
        return self._last


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def instant(ticks: int, *, digits: int = 7, zulu: bool = True) -> str:
    """Return a date as the service writes it.

    Args:
        ticks: The time in ticks.
        digits: Maximum number of decimals of the second. Trailing zeros are dropped.
        zulu: Append "Z".
    """
    seconds, fraction = divmod(ticks, _EPOCH_TICKS)
    decimals = f"{fraction:07d}"[:digits].rstrip("0")
    return f"{_second(seconds)}{'.' + decimals if decimals else ''}{'Z' if zulu else ''}"
