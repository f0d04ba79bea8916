"""Bodies of requests: JSON whose keys may be in either dialect, and multipart as .NET, Python and
others write it.
"""

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
    """A part of a multipart body.

    `filename` is as written, without quotes; None where there is none.
    """

    name: str
    filename: str | None
    data: Buffer


def match_any_case(text: str, names: Iterable[str]) -> str | None:
    """Return the name that `text` is whatever its case (as the service takes every enum), or None."""
    return next((name for name in names if name.lower() == text.lower()), None)


def field(value: Any, name: str) -> Any:
    """The member `name` of a JSON object whatever the case of its key (as the service's JSON
    library binds), or None.
    """
    if not isinstance(value, Mapping):
        return None
    if name in value:
        return value[name]
    wanted = name.lower()
    return next((item for key, item in value.items() if key.lower() == wanted), None)


def text_field(value: Any, name: str) -> str | None:
    """A member that is a string or null."""
    found = field(value, name)
    if found is not None and not isinstance(found, str):
        raise ServiceFault("BadRequest", f"{name} must be a string.")
    return found


def number_field(value: Any, name: str, default: float) -> float:
    """A member that is a number, `default` where it is absent or null."""
    found = field(value, name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise ServiceFault("BadRequest", f"{name} must be a number.")
    return found


def list_field(value: Any, name: str) -> list[Any]:
    """A member that is a list, empty where it is absent or null."""
    found = field(value, name)
    if found is not None and not isinstance(found, list):
        raise ServiceFault("BadRequest", f"{name} must be a list.")
    return found or []


def keys_field(value: Any, name: str) -> list[bytes]:
    """A member that is a list of ids."""
    try:
        return [guid_key(str(id)) for id in list_field(value, name)]
    except ValueError as error:
        raise ServiceFault("BadRequestInvalidIds", f"{name}: {error}") from None


def parse_multipart(body: Buffer, content_type: str) -> list[Part]:
    """The parts of a multipart body: unquoted names, Windows paths and quoted boundaries are taken
    as they come.
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
