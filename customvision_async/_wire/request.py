"""Build the method, URL and headers of a request. Reject invalid arguments before it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from .._versions import ApiVersion, PredictionVersion
from ..errors import LimitExceeded
from .operation_spec import OperationSpec, Param, Version, require

__all__ = [
    "ValidatedIds",
    "all_canonical_ids",
    "base_path",
    "build_request",
    "id_of",
    "ids_of",
    "plain_text",
]

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_UNSAFE = re.compile("[\r\n\0]").search
_CAPITAL = frozenset(
    {
        ApiVersion.V1_2,
        ApiVersion.V2_0,
        ApiVersion.V2_1,
        ApiVersion.V2_2,
        PredictionVersion.V1_1,
        PredictionVersion.V2_0,
    }
)


_LENGTH = 36
_IN_IDS = b"0123456789abcdef-,"


def all_canonical_ids(values: Sequence[object]) -> bool:
    """Return whether all values are ids in the form of :func:`id_of`.

    This is fast for many values.
    """
    try:
        text = ",".join(cast("Sequence[str]", values)).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    count, step = len(values), _LENGTH + 1
    return (
        len(text) == max(0, count * step - 1)
        and not text.translate(None, _IN_IDS)
        and text.count(b",") == max(0, count - 1) == text[_LENGTH::step].count(b",")
        and text.count(b"-")
        == 4 * count
        == sum([text[place::step].count(b"-") for place in (8, 13, 18, 23)])
    )


class ValidatedIds(list[str]):
    """Ids that :func:`id_of` has returned, so that they need no validation."""


def id_of(value: object, name: str = "id") -> str:
    """Return the id of a string, a UUID or a model, in lower case with dashes.

    Raises:
        ValueError: The string is not a UUID. The message begins with `name`.
        TypeError: `value` is neither a string nor a UUID, and has no `id`.
    """
    if type(value) is str and _CANONICAL(value):
        return value
    if isinstance(value, UUID):
        return UUID.__str__(value)
    if not isinstance(value, str):
        inner = getattr(value, "id", None)
        if inner is None:
            raise TypeError(
                f"{name} must be a string, a uuid.UUID or a model with an id,"
                f" not {type(value).__name__}"
            )
        return id_of(inner, name)
    # A subclass may override __str__.
    value = str.__str__(value)
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError(
            f"{name} must be an id such as 12345678-1234-1234-1234-123456789abc, not {value[:80]!r}"
        ) from None


def ids_of(values: Iterable[object], name: str = "id") -> list[str]:
    """Return the ids of several values. See :func:`id_of`."""
    if isinstance(values, (str, UUID)):
        raise TypeError(f"{name} must be a sequence of ids, not a single one; put it in a list")
    if isinstance(values, list) and (isinstance(values, ValidatedIds) or all_canonical_ids(values)):
        return cast("list[str]", values)
    return [
        value if type(value) is str and _CANONICAL(value) else id_of(value, name)
        for value in values
    ]


def plain_text(value: object, name: str) -> str:
    """Return text for a URL. Reject line breaks and NUL, which could be an injection.

    Raises:
        ValueError: The text has a line break or NUL, or cannot be encoded as UTF-8.
        TypeError: `value` is not a string.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    # A subclass may override __str__.
    value = str.__str__(value)
    if _UNSAFE(value):
        raise ValueError(f"{name} must not have a line break or NUL: {value[:80]!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} cannot be encoded as UTF-8: {value[:80]!r}") from None
    return value


def base_path(version: Version) -> str:
    """Return the path before that of each operation, such as ``/customvision/v3.3/training``."""
    # Before v3.0, the name of the API is capitalized.
    api = "Training" if isinstance(version, ApiVersion) else "Prediction"
    return f"/customvision/{version.value}/{api if version in _CAPITAL else api.lower()}"


def build_request(
    spec: OperationSpec,
    version: Version,
    endpoint: str,
    path: Mapping[str, Any],
    query: Mapping[str, Any],
) -> tuple[str, str, dict[str, str]]:
    """Return the method, the percent-encoded URL and the headers, without the credential.

    Args:
        spec: The operation.
        version: The API version.
        endpoint: The endpoint of the resource.
        path: Values of the placeholders of the path, by name.
        query: Values of the query parameters, by name. None is left out.

    Raises:
        UnsupportedOperation: The version lacks the operation, or one of its parameters.
        LimitExceeded: A list or a number exceeds its limit.
        ValueError: An id is invalid, a text has a line break, or a required parameter is missing.
    """
    spec.check(version)
    pairs = []
    unknown = query.keys() - {param.name for param in spec.query}
    if unknown:
        raise TypeError(f"{spec.id} has no parameter {sorted(unknown)[0]!r}")
    for param in spec.query:
        value = query.get(param.name)
        if value is None:
            if param.is_required(version):
                raise ValueError(f"{spec.id} needs {param.name}")
            continue
        if param.since is not None:
            require(version, param.since, f"{param.name} of {spec.id}", spec.id)
        pairs.append(f"{param.name}={_encoded(spec, param, value)}")
    url = endpoint.rstrip("/") + base_path(version) + _path(spec, version, path)
    headers = {
        "Accept": "application/octet-stream" if spec.response is bytes else "application/json"
    }
    return spec.method, f"{url}?{'&'.join(pairs)}" if pairs else url, headers


def _path(spec: OperationSpec, version: Version, given: Mapping[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name not in given:
            raise TypeError(f"{spec.id} needs {name}")
        if name != "publishedName":
            return id_of(given[name], name)
        text = plain_text(given[name], name)
        # An empty name, "." or ".." would change the path.
        if text.strip(".") == "":
            raise ValueError(f"{name} must be the name of a published iteration, not {text!r}")
        return quote(text, safe="")

    return re.sub(r"\{(\w+)\}", fill, spec.path_in(version))


def _encoded(spec: OperationSpec, param: Param, value: Any) -> str:
    name = f"{spec.id}: {param.name}"
    match param.kind:
        case "ids":
            ids = ids_of(value, name)
            if not ids and param.required:
                raise ValueError(f"{name} is empty")
            _within(param, len(ids), name)
            return ",".join(ids)
        case "texts":
            if isinstance(value, str):
                raise TypeError(
                    f"{name} must be a sequence of strings, not a single one; put it in a list"
                )
            return ",".join(quote(plain_text(item, name), safe="") for item in value)
        case "id":
            return id_of(value, name)
        case "bool":
            return "true" if value else "false"
        case "int":
            _within(param, int(value), name)
            return str(int(value))
        case "float":
            return repr(float(value))
        case "text":
            return quote(plain_text(value, name), safe="")


def _within(param: Param, actual: int, name: str) -> None:
    if param.limit is not None and actual > param.limit.value:
        raise LimitExceeded(param.limit, actual, name)
