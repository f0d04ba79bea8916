"""Find the objects that can be reached from another, to test that something was released."""

from __future__ import annotations

import gc
import io
from types import FunctionType, ModuleType
from typing import Any

import msgspec

__all__ = ["content_in"]

_SHARED = (type, ModuleType, FunctionType)


def content_in(thing: object, size: int = 1) -> list[object]:
    """Return every bytes object of at least `size`, and every open file, that can be reached from
    `thing`.
    """
    found: list[object] = []
    seen: set[int] = set()
    waiting: list[Any] = [thing]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        if isinstance(one, (bytes, bytearray, memoryview)):
            found += [one] * (len(one) >= size)
        elif isinstance(one, io.IOBase):
            found.append(one)
        elif isinstance(one, msgspec.Struct):  # gc does not track some of them
            waiting += [getattr(one, name) for name in one.__struct_fields__]
        else:
            waiting += gc.get_referents(one)
    return found
