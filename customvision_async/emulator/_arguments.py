"""Validate the arguments of :class:`Emulator` before anything is opened."""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeGuard, get_args, get_origin

__all__ = ["check_arguments", "check_names", "check_values"]


def check_arguments(
    *,
    host: object,
    port: object,
    keys: Collection[object],
    calls_per_second: object,
    bearer_tokens: object,
    ssl_context: object,
    log_size: object,
    data: object,
) -> None:
    """Raise TypeError or ValueError that names an invalid argument and the values it accepts."""
    if not isinstance(host, str) or not host:
        raise _bad_value(
            "host", host, "the address to listen on, such as '127.0.0.1'", isinstance(host, str)
        )
    if not _is_integer(port) or not 0 <= port <= 65_535:
        raise _bad_value(
            "port", port, "a number from 0 (any free port) to 65535", _is_integer(port)
        )
    for key in keys:
        if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable()):
            raise (ValueError if isinstance(key, str) else TypeError)(
                "keys must be printable ASCII text, because they are sent in a header"
            )
    if calls_per_second is not None and not (_is_number(calls_per_second) and calls_per_second > 0):
        raise _bad_value(
            "calls_per_second",
            calls_per_second,
            "a number above 0, or None for the rate of the tier",
            _is_number(calls_per_second),
        )
    if isinstance(bearer_tokens, str):
        raise TypeError(
            'bearer_tokens must be a tuple of tokens, such as ("token",), not one token'
        )
    if not isinstance(ssl_context, ssl.SSLContext | None):
        raise _bad_value("ssl_context", ssl_context, "an ssl.SSLContext or None", False)
    if not _is_integer(log_size) or log_size < 0:
        raise _bad_value(
            "log_size",
            log_size,
            "0 or more (the number of requests to keep)",
            _is_integer(log_size),
        )
    if data == "":
        raise _bad_value("data", data, "a folder, or None to keep everything in memory", True)


def check_names(given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError for a name that is neither an argument nor a switch."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else "help(Switches) lists the switches"
            raise TypeError(f"the emulator has no argument or switch {name!r}; {hint}")


def check_values(values: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError for a switch with an invalid value."""
    for name, wanted in types.items():
        value = values[name]
        if get_origin(wanted) is Literal:
            if value not in get_args(wanted):
                raise _bad_value(
                    name, value, f"one of {', '.join(map(repr, get_args(wanted)))}", True
                )
        elif wanted is bool:
            if not isinstance(value, bool):
                raise _bad_value(name, value, "True or False", False)
        elif not (_is_integer(value) if wanted is int else _is_number(value)):
            raise _bad_value(name, value, "a number", False)
        elif not 0 <= value < float("inf"):
            raise _bad_value(name, value, "0 or more", True)


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bad_value(name: str, value: object, wanted: str, right_type: bool) -> Exception:
    return (ValueError if right_type else TypeError)(f"{name} must be {wanted}, not {value!r}")
