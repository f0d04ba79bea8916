"""Encode and decode JSON: PascalCase keys in v1.x, camelCase keys from v2.0. No I/O.

Only the first letter of each key differs, so the models serve both. Responses with PascalCase keys,
or with ``null`` instead of a list as in v1.2 to v2.2, are decoded through plain dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from ..errors import DecodeError

__all__ = ["camel_keys", "decode", "encode", "pascal_keys"]

T = TypeVar("T")


def camel_keys(value: Any) -> Any:
    """Return `value` with the first letter of every key, at every depth, in lower case."""
    return _rekeyed(value, lambda key: key[:1].lower() + key[1:])


def pascal_keys(value: Any) -> Any:
    """Return `value` with the first letter of every key, at every depth, in upper case."""
    return _rekeyed(value, lambda key: key[:1].upper() + key[1:])


def _rekeyed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rename(key): _rekeyed(item, rename) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rekeyed(item, rename) for item in value]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode(body: bytes, kind: type[T], *, pascal: bool = False) -> T:
    """Return `body` decoded as `kind`.

    Absent and null lists become empty lists. Unknown fields are ignored. Unknown enum values are
    kept as strings.

    Raises:
        DecodeError: The body is not JSON or has another shape. The message says where.
    """
    try:
        if not pascal:
            try:
                return cast(T, _decoder(cast(Any, kind)).decode(body))
            except msgspec.ValidationError:
                pass
        plain = msgspec.json.decode(body)
        if pascal:
            plain = camel_keys(plain)
        plain = _without_nulls(plain)
        if plain is None and getattr(kind, "__origin__", kind) in (list, tuple):
            plain = []
        return msgspec.convert(plain, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DecodeError(
            f"the response cannot be decoded: {error}; it begins with {_opening(body)}"
        ) from None


def encode(value: Any, *, pascal: bool = False) -> bytes:
    """Return a model or plain data as compact JSON. Fields that are ``UNSET`` are left out."""
    if pascal:
        value = pascal_keys(msgspec.to_builtins(value))
    return msgspec.json.encode(value)


def _opening(body: bytes) -> str:
    text = body[:60].decode("utf-8", "replace")
    return repr(text) + ("..." if len(body) > 60 else "") if body else "nothing (empty body)"
