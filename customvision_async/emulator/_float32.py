"""Write numbers in single precision as .NET does.

.NET's "R" format has 7 digits if they round-trip, else 9, and a capital E.
"""

from __future__ import annotations

import struct

import msgspec

__all__ = ["single", "to_single"]

_SINGLE = struct.Struct("<f")


def to_single(value: float) -> float:
    """Return `value` rounded to single precision."""
    return float(_SINGLE.unpack(_SINGLE.pack(value))[0])


def single(value: float) -> msgspec.Raw:
    """Return the JSON text of `value` in single precision.

    Examples are ``0.3807391``, ``0.276588678``, ``1.1920929E-07`` and ``1.0``.
    """
    value = to_single(value)
    text = f"{value:.7g}"
    if to_single(float(text)) != value:
        text = f"{value:.9g}"
    text = text.upper()
    if "." not in text and "E" not in text:
        text += ".0"
    return msgspec.Raw(text.encode())
