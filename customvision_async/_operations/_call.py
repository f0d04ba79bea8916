"""One call is one request: the row is looked up, the request built, sent, and its answer read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from .._content import Content
from .._transport.base import RESPONSE_BYTES, Meter, Request, Response
from .._transport.retry import parse_retry_after
from .._wire.answers import date_of, decode_answer, error_from
from .._wire.bodies import json_body
from .._wire.operation_spec import Operation, Version
from .._wire.operations import operation_spec
from .._wire.request import build
from ..errors import DecodeError, UnsupportedOperation

__all__ = ["Answer", "Caller", "Sends"]


ARTIFACT_BYTES = 1 << 30
"""The longest file that is taken as an answer: an exported model, where the resource is in a virtual network."""


class Sends(Protocol):
    """What calls go through: the transport's pipeline, with its retries and its limiter, or a stand-in for it."""

    async def send(self, request: Request) -> Response: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: the decoded `value`, the HTTP `status`, how often the request was sent (`attempts`), and whether an
    attempt whose answer was lost may have taken effect before (`in_doubt`). `date` is the time by the service's clock.
    """

    value: Any
    status: int
    attempts: int = 1
    in_doubt: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    retry_after: float | None = None
    """Seconds after which the service asks to be asked again, where it says so."""

    @property
    def date(self) -> datetime | None:
        """When the service says it answered."""
        return date_of(self.headers)


class Caller:
    """Calls operations of one version at one endpoint."""

    def __init__(self, pipeline: Sends, endpoint: str, version: Version) -> None:
        self.endpoint = endpoint
        self.version = version
        self._pipeline = pipeline

    async def call(
        self,
        operation_id: str,
        *,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        content: Content | None = None,
        meter: Meter | None = None,
    ) -> Answer:
        """Call an operation by its operationId; `path` and `query` are by their names on the wire.

        What the call comes to in requests is written to `meter`, however it ends.

        Raises:
            UnsupportedOperation: the version lacks the operation, or something that was given.
            LimitExceeded: the service would refuse it, so nothing was sent.
            ValueError: an id is none, or a text has a line break.
            TransportError: there is no usable answer.
            ServiceError: the service answered with an error.
            DecodeError: the answer cannot be read; to a GET, twice in a row.
        """
        row = operation_spec(operation_id, self.version)
        if content is not None and not row.has_body(self.version):
            raise _no_body(row, self.version)
        method, url, headers = build(row, self.version, self.endpoint, path or {}, query or {})
        most = ARTIFACT_BYTES if row.answer is bytes else RESPONSE_BYTES
        request = Request(method, url, row.id, headers, content, row.repeatable, most, meter)
        response = await self._pipeline.send(request)
        if method == "GET":
            try:
                return self._read(row, response)
            except DecodeError:  # a page of a proxy's, or one cut short: a list of a thousand pages is not to end for one
                response = await self._pipeline.send(request)
        return self._read(row, response)

    def _read(self, row: Operation, response: Response) -> Answer:
        status, headers, body = response.status, response.headers, response.body
        if 200 <= status < 300:
            value = decode_answer(row, self.version, status, headers, body)
            again = (
                parse_retry_after(headers, b"", time.time()) if "retry-after" in headers else None
            )
            return Answer(value, status, response.attempts, response.in_doubt, headers, again)
        error = error_from(
            row,
            status,
            headers,
            body,
            retry_after=parse_retry_after(headers, body, time.time()) if status == 429 else None,
        )
        if (
            _deletes_one(row)
            and status == 404
            and response.in_doubt
            and error.code.startswith("NotFound")
        ):
            # An earlier attempt, whose answer was lost, did it.
            return Answer(None, status, response.attempts, in_doubt=True, headers=headers)
        raise error

    def _json(self, value: Any) -> Content:
        return json_body(value, self.version)


def _deletes_one(row: Operation) -> bool:
    """Whether it deletes the one thing its path names: of a list of ids, a single one that is unknown makes a 404 of them all."""
    return row.method == "DELETE" and not any(param.kind == "ids" for param in row.query)


def _no_body(row: Operation, version: Version) -> UnsupportedOperation:
    first = row.body_since.value if row.body_since is not None else None
    message = f"{row.id} takes no {row.body_schema or 'body'} in {version}" + (
        f": the first version that does is {first}" if first else ""
    )
    return UnsupportedOperation(
        message, operation=row.id, version=version.value, first_version=first
    )
