"""Numbers as .NET writes them: single precision in the "R" form (7 digits where they round-trip,
else 9; capital E).
"""

from __future__ import annotations

import struct

import msgspec

__all__ = ["single", "to_single"]

_SINGLE = struct.Struct("<f")


def to_single(value: float) -> float:
    """`value` rounded to single precision."""
    return float(_SINGLE.unpack(_SINGLE.pack(value))[0])


def single(value: float) -> msgspec.Raw:
    """The JSON text of `value` in single precision: ``0.3807391``, ``0.276588678``,
    ``1.1920929E-07``, ``1.0``.
    """
    value = to_single(value)
    text = f"{value:.7g}"
    if to_single(float(text)) != value:
        text = f"{value:.9g}"
    text = text.upper()
    if "." not in text and "E" not in text:
        text += ".0"
    return msgspec.Raw(text.encode())
