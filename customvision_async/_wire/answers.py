"""What an answer means: the model in it, or the error, with a word on what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus
from typing import Any

from .._versions import ApiVersion, PredictionVersion
from ..errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DecodeError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceError,
)
from ..models._base import aware
from .advice import advice_for
from .codec import decode
from .operation_spec import Operation, Version

__all__ = ["date_of", "decode_answer", "error_from", "request_id_of"]

_CLASSES: dict[int, type[ServiceError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
}
_MESSAGE_LENGTH = 1000
_PAGE_LENGTH = 5000


def decode_answer(
    row: Operation, version: Version, status: int, headers: Mapping[str, str], body: bytes
) -> Any:
    """What the body of a success holds: a model, a list of them, a number, bytes, or None. v1.2's list of tags comes as a list.

    Raises:
        DecodeError: it cannot be read; the message says how it begins.
    """
    kind = row.answer_in(version)
    if kind is bytes:
        return body
    kind_of_body = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind is None:
        if body.strip() and kind_of_body not in ("application/json", "text/json", ""):
            raise DecodeError(
                f"{row.id}: {status} with {kind_of_body} where nothing was expected; is this the endpoint of the resource?"
            )
        return None
    try:
        value = decode(body, kind, pascal=version in (ApiVersion.V1_2, PredictionVersion.V1_1))
    except DecodeError as error:
        hint = (
            "; is this the endpoint of the resource, and no proxy's page?"
            if "html" in kind_of_body
            else ""
        )
        raise DecodeError(f"{row.id}: {status}: {error}{hint}") from None
    return list(value.tags) if row.old_answer is not None and kind is row.old_answer[1] else value


def error_from(
    row: Operation,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    retry_after: float | None = None,
) -> ServiceError:
    """The error that an answer without success stands for.

    Takes both shapes of the service (its own ``{code, message}``, the gateway's ``{error: {code, message}}``), HTML
    and plain text of things in between, and nothing at all.
    """
    code, message = _code_and_message(body)
    if not message:
        message = _phrase(status)
    fields: dict[str, Any] = {
        "status": status,
        "code": code,
        "request_id": request_id_of(headers),
        "operation": row.id,
        "advice": advice_for(row, status, code, headers),
    }
    if status == 429:
        return RateLimitError(message, retry_after=retry_after, **fields)
    if status >= 500:
        return InternalServerError(message, **fields)
    return _CLASSES.get(status, ServiceError)(message, **fields)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The time of an answer by the service's clock, to the second; None where it does not say."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return aware(date)


def request_id_of(headers: Mapping[str, str]) -> str:
    """The id by which Microsoft's support finds the request, or ""."""
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
    """The words of a page: its title if it has one, else its text without the marks."""
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
        return f"{HTTPStatus(status).phrase} (the answer says no more)"
    except ValueError:
        return "the answer says no more"
