"""Read JSON as leniently as the service's library: with single quotes, and optionally more.

Whether the service accepts more than single quotes is not known. The switch `json_reader` selects.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

from ._image_files import Buffer
from ._service_fault import ServiceFault

__all__ = ["Reader", "read_json"]

Reader = Literal["quotes", "lenient", "strict"]

_TOKEN = re.compile(
    r"""
    (?P<plain>"[^"\\]*(?:\\.[^"\\]*)*" | [-+0-9.eE]+(?![\w$]) | (?:true|false|null)(?![\w$])
        | [\s{}\[\]:]+)
    | (?P<single>'[^'\\]*(?:\\.[^'\\]*)*')
    | (?P<trailing>,(?=\s*[}\]]))
    | (?P<comma>,)
    | (?P<name>[A-Za-z_$][\w$]*(?=\s*:))
    | (?P<comment>//[^\r\n]* | /\*.*?\*/)
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTES = re.compile(r"\\.|\"", re.DOTALL)
_LENIENT_ONLY = frozenset(("trailing", "name", "comment"))


def read_json(body: Buffer, reader: Reader = "quotes") -> Any:
    """Return the JSON value of a body, or None if it is empty.

    Raises:
        ServiceFault: The body is not valid JSON.
    """
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if reader == "strict":
            raise _invalid(error) from None
    try:
        return msgspec.json.decode(_to_strict_json(bytes(body).decode(), reader))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(error) from None


def _to_strict_json(text: str, reader: Reader) -> str:
    """Return lenient JSON rewritten as strict JSON. Text that is not understood stays unchanged."""
    lenient = reader == "lenient"
    if lenient:
        text = text.removeprefix("\ufeff")
    out: list[str] = []
    at = 0
    while token := _TOKEN.match(text, at):
        kind, found, at = token.lastgroup or "", token[0], token.end()
        if kind in _LENIENT_ONLY and not lenient:
            out.append(found)
        elif kind == "single":
            out.append(f'"{_QUOTES.sub(_requoted, found[1:-1])}"')
        elif kind == "name":
            out.append(json.dumps(found))
        elif kind in ("plain", "comma"):
            out.append(found)
    return "".join(out) + text[at:]


def _requoted(found: re.Match[str]) -> str:
    """Return a matched piece of a single-quoted string as it reads in double quotes."""
    return {'"': '\\"', "\\'": "'"}.get(found[0], found[0])


def _invalid(error: Exception) -> ServiceFault:
    return ServiceFault("BadRequest", f"The request body is not valid JSON: {error}")
