"""Decode responses into models, or into errors with advice."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus
from typing import Any

from .._statuses import meaning_of
from .._versions import ApiVersion, PredictionVersion
from ..errors import DecodeError, RateLimitError, ServiceError
from ..models._base import aware
from .advice import advice_for
from .codec import decode
from .operation_spec import OperationSpec, Version

__all__ = ["date_of", "decode_response", "error_from", "request_id_of"]

_MESSAGE_LENGTH = 1000
_PAGE_LENGTH = 5000


def decode_response(
    spec: OperationSpec, version: Version, status: int, headers: Mapping[str, str], body: bytes
) -> Any:
    """Return the decoded body of a success: a model, a list, a number, bytes or None.

    The TagList of v1.2 is returned as a list of tags.

    Raises:
        DecodeError: The body cannot be decoded. The message shows its beginning.
    """
    kind = spec.response_in(version)
    if kind is bytes:
        return body
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind is None:
        if body.strip() and content_type not in ("application/json", "text/json", ""):
            raise DecodeError(
                f"{spec.id}: {status} with {content_type} instead of an empty body;"
                " check the endpoint"
            )
        return None
    try:
        value = decode(body, kind, pascal=version in (ApiVersion.V1_2, PredictionVersion.V1_1))
    except DecodeError as error:
        hint = (
            "; check the endpoint, and whether a proxy sent this page"
            if "html" in content_type
            else ""
        )
        raise DecodeError(f"{spec.id}: {status}: {error}{hint}") from None
    return (
        list(value.tags)
        if spec.old_response is not None and kind is spec.old_response[1]
        else value
    )


def error_from(
    spec: OperationSpec,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    retry_after: float | None = None,
) -> ServiceError:
    """Return the error for a response with an error status.

    The body may be ``{code, message}`` from the service, ``{error: {code, message}}`` from its
    gateway, HTML or text from a proxy, or empty.
    """
    code, message = _code_and_message(body)
    if not message:
        message = _phrase(status)
    fields: dict[str, Any] = {
        "status": status,
        "code": code,
        "request_id": request_id_of(headers),
        "operation": spec.id,
        "advice": advice_for(spec, status, code, headers),
    }
    error = meaning_of(status).error
    if error is RateLimitError:
        fields["retry_after"] = retry_after
    return error(message, **fields)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time in the Date header of a response, or None. It is in whole seconds."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return aware(date)


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the id of a request, for Microsoft support, or ""."""
    for name in ("apim-request-id", "request-id", "x-ms-request-id"):
        if headers.get(name):
            return headers[name][:100]
    return ""


def _code_and_message(body: bytes) -> tuple[str, str]:
    try:
        data: Any = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError):
        return "", _words(body.decode("utf-8", "replace"))
    if isinstance(data, dict):
        data = {str(key).lower(): value for key, value in data.items()}
        inner = data.get("error")
        if isinstance(inner, dict):
            data = {str(key).lower(): value for key, value in inner.items()}
        elif isinstance(inner, str):
            data.setdefault("message", inner)
        code = data.get("code", data.get("statuscode"))
        message = data.get("message") or data.get("detail") or data.get("title") or ""
        return _shortened(str(code))[:100] if isinstance(code, (str, int)) else "", _shortened(
            str(message)
        )
    return "", _shortened(data) if isinstance(data, str) else ""


def _words(text: str) -> str:
    """Return the title of an HTML page, else its text."""
    if "<" not in text[:1000]:
        return _shortened(text)
    title = re.search(r"<title[^>]{0,200}>([^<]{0,500})</title", text[:_PAGE_LENGTH], re.IGNORECASE)
    body = (
        title[1]
        if title and title[1].strip()
        else re.sub(r"<[^>]{0,500}>", " ", text[:_PAGE_LENGTH])
    )
    return _shortened(unescape(body))


def _shortened(text: str) -> str:
    text = "".join(
        letter if letter.isprintable() else " " for letter in text[: _MESSAGE_LENGTH * 2]
    )
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_LENGTH else text[:_MESSAGE_LENGTH] + "..."


def _phrase(status: int) -> str:
    try:
        return f"{HTTPStatus(status).phrase} (the response has no message)"
    except ValueError:
        return "the response has no message"
