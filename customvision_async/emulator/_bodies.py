"""Read request bodies: JSON with keys in any case, and multipart as various clients write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._ids import guid_key
from ._image_files import Buffer
from ._service_fault import ServiceFault

__all__ = [
    "Part",
    "field",
    "keys_field",
    "list_field",
    "match_any_case",
    "number_field",
    "parse_multipart",
    "text_field",
]

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename)\s*=\s*("(?:[^"]*)"|[^;\r\n]*)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body.

    `filename` has no quotes and is None if the part has no file name.
    """

    name: str
    filename: str | None
    data: Buffer


def match_any_case(text: str, names: Iterable[str]) -> str | None:
    """Return the name that equals `text` in any case, or None. The service reads all enums this
    way.
    """
    return next((name for name in names if name.lower() == text.lower()), None)


def field(value: Any, name: str) -> Any:
    """Return the member `name` of a JSON object, or None. The case of the key does not matter."""
    if not isinstance(value, Mapping):
        return None
    if name in value:
        return value[name]
    wanted = name.lower()
    return next((item for key, item in value.items() if key.lower() == wanted), None)


def text_field(value: Any, name: str) -> str | None:
    """Return a member that is a string or null."""
    found = field(value, name)
    if found is not None and not isinstance(found, str):
        raise ServiceFault("BadRequest", f"{name} must be a string.")
    return found


def number_field(value: Any, name: str, default: float) -> float:
    """Return a member that is a number, or `default` if it is absent or null."""
    found = field(value, name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise ServiceFault("BadRequest", f"{name} must be a number.")
    return found


def list_field(value: Any, name: str) -> list[Any]:
    """Return a member that is a list, or an empty list if it is absent or null."""
    found = field(value, name)
    if found is not None and not isinstance(found, list):
        raise ServiceFault("BadRequest", f"{name} must be a list.")
    return found or []


def keys_field(value: Any, name: str) -> list[bytes]:
    """Return a member that is a list of ids, as keys."""
    try:
        return [guid_key(str(id)) for id in list_field(value, name)]
    except ValueError as error:
        raise ServiceFault("BadRequestInvalidIds", f"{name}: {error}") from None


def parse_multipart(body: Buffer, content_type: str) -> list[Part]:
    """Return the parts of a multipart body.

    Unquoted names, Windows paths and quoted boundaries are accepted.
    """
    found = _BOUNDARY.search(content_type)
    if not found:
        raise ServiceFault("BadRequestImageStream", "Invalid multipart content: no boundary")
    mark = b"--" + (found[1] or found[2]).encode("utf-8", "surrogateescape")
    view = memoryview(body)
    parts: list[Part] = []
    data = bytes(body) if isinstance(body, memoryview) else body
    at = data.find(mark)
    while at >= 0:
        start = at + len(mark)
        if data[start : start + 2] == b"--":
            return parts
        head = data.find(b"\r\n\r\n", start)
        end = data.find(b"\r\n" + mark, start)
        if head < 0 or end < 0:
            break
        # A part with an empty body may have its blank line run into the boundary.
        parts.append(_part(bytes(data[start:head]), view[min(head + 4, end) : end]))
        at = end + 2
    raise ServiceFault(
        "BadRequestImageStream",
        "Unexpected end of MIME multipart stream. MIME multipart message is not complete.",
    )


def _part(head: bytes, data: Buffer) -> Part:
    name, filename = "", None
    for line in head.decode("utf-8", "surrogateescape").split("\r\n"):
        if line.lower().startswith("content-disposition:"):
            for key, value in _PARAMETER.findall(line):
                text = value[1:-1] if value[:1] == '"' else value.strip()
                if key.lower() == "name":
                    name = text
                else:
                    filename = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return Part(name, filename, data)
