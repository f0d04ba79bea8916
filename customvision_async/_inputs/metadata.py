"""The metadata of an image, as callers give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from .. import limits
from ..errors import LimitExceeded, attempt, shown, words_of

__all__ = ["check_metadata"]


def check_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return a plain copy of `metadata`, empty if it is None.

    Raises:
        TypeError: It is not a mapping of text to text.
        ValueError: It cannot be read, or cannot be written as UTF-8.
        LimitExceeded: It has too many pairs, or a key or value is too long.
    """
    checked: dict[str, str] = {}
    for key, value in _pairs(metadata):
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map text to text, not {shown(key)}: {shown(value)}")
        # A subclass may format and encode in its own way.
        key, value = str.__str__(key), str.__str__(value)
        _check_length(limits.METADATA_KEY_LENGTH, key, key[:40])
        _check_length(limits.METADATA_VALUE_LENGTH, value, key)
        try:
            f"{key}{value}".encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"metadata cannot be written as UTF-8: {key!r}: {value[:80]!r}"
            ) from None
        checked[key] = value
    return checked


def _check_length(limit: limits.Limit, text: str, name: str) -> None:
    if len(text) > limit.value:
        raise LimitExceeded(limit, len(text), name)


def _pairs(metadata: Mapping[str, str] | None) -> Sequence[tuple[object, object]]:
    """Return the pairs of a mapping of the caller.

    Its ``items()`` may raise, yield other things than pairs, or never end. One pair over the limit
    is read, to detect that there are too many.
    """
    if metadata is None:
        return []
    given: object = metadata
    if not isinstance(given, Mapping):
        raise TypeError(f"metadata must be a mapping of text to text, not {type(given).__name__}")
    maximum = limits.METADATA_PAIRS.value
    pairs = attempt(lambda: [(key, value) for key, value in islice(given.items(), maximum + 1)])
    if isinstance(pairs, Exception):
        raise ValueError(f"the metadata cannot be read: {words_of(pairs)}")
    if len(pairs) > maximum:
        raise LimitExceeded(limits.METADATA_PAIRS, len(pairs))
    return pairs
