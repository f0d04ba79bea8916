"""Call operations: build the request, send it, and decode the response."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, cast

from .._content import Content
from .._transport.base import RESPONSE_BYTES, Meter, Request, Response
from .._transport.retry import parse_retry_after
from .._wire.bodies import json_body
from .._wire.operation_spec import OperationSpec, Version
from .._wire.operations import operation_spec
from .._wire.request import build_request
from .._wire.responses import date_of, decode_response, error_from
from ..errors import DecodeError, UnsupportedOperation

__all__ = ["Caller", "Sends"]

T = TypeVar("T")


ARTIFACT_BYTES = 1 << 30
"""Maximum size of a file in a response, such as a model of a resource in a virtual network."""


class Sends(Protocol):
    """The pipeline of the transport, with its retries and limiter, or a replacement."""

    async def send(self, request: Request) -> Response: ...


class Caller:
    """Call operations of one API version at one endpoint."""

    def __init__(self, pipeline: Sends, endpoint: str, version: Version) -> None:
        self.endpoint = endpoint
        self.version = version
        self._pipeline = pipeline

    async def _call(
        self,
        operation_id: str,
        returns: type[T],
        *,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        content: Content | None = None,
        meter: Meter | None = None,
    ) -> T:
        """Call an operation by its operationId and return its decoded response.

        Args:
            operation_id: The operationId of the REST reference.
            returns: Type of the response, for the type checker. It is `response` in the operation's
                spec.
            path: Parameters of the path, by their names on the wire.
            query: Parameters of the query, by their names on the wire.
            content: Body of the request.
            meter: Counts the requests, even if the call raises, and holds the date and Retry-After
                of the response.

        Raises:
            UnsupportedOperation: The version lacks the operation, or one of its parameters.
            LimitExceeded: The request would exceed a limit of the service. Nothing was sent.
            ValueError: An id is invalid, or a text has a line break.
            TransportError: No usable response arrived.
            ServiceError: The service returned an error status.
            DecodeError: The response cannot be decoded. A GET is sent a second time before.
        """
        spec = operation_spec(operation_id, self.version)
        if content is not None and not spec.has_body(self.version):
            raise _no_body(spec, self.version)
        method, url, headers = build_request(
            spec, self.version, self.endpoint, path or {}, query or {}
        )
        response_bytes = ARTIFACT_BYTES if spec.response is bytes else RESPONSE_BYTES
        request = Request(
            method, url, spec.id, headers, content, spec.repeatable, response_bytes, meter
        )
        response = await self._pipeline.send(request)
        if method == "GET":
            try:
                return cast("T", self._read(spec, response, meter))
            except DecodeError:
                # It may be truncated, or a page of a proxy. That must not end a long list.
                response = await self._pipeline.send(request)
        return cast("T", self._read(spec, response, meter))

    def _read(self, spec: OperationSpec, response: Response, meter: Meter | None) -> Any:
        status, headers, body = response.status, response.headers, response.body
        if 200 <= status < 300:
            value = decode_response(spec, self.version, status, headers, body)
            if meter is not None:
                meter.date = date_of(headers)
                if "retry-after" in headers:
                    meter.retry_after = parse_retry_after(headers, b"", time.time())
            return value
        error = error_from(
            spec,
            status,
            headers,
            body,
            retry_after=parse_retry_after(headers, body, time.time()) if status == 429 else None,
        )
        if (
            _deletes_one(spec)
            and status == 404
            and response.in_doubt
            and error.code.startswith("NotFound")
        ):
            # An earlier attempt, whose response was lost, deleted it.
            return None
        raise error

    def _json(self, value: Any) -> Content:
        return json_body(value, self.version)


def _deletes_one(spec: OperationSpec) -> bool:
    """Return whether the operation deletes a single object, which its path names.

    The others delete a list of ids, and return a 404 if one of the ids is unknown.
    """
    return spec.method == "DELETE" and not any(param.kind == "ids" for param in spec.query)


def _no_body(spec: OperationSpec, version: Version) -> UnsupportedOperation:
    first = spec.body_since.value if spec.body_since is not None else None
    message = f"{spec.id} does not accept a {spec.body_schema or 'body'} in {version}" + (
        f"; the first version that does is {first}" if first else ""
    )
    return UnsupportedOperation(
        message, operation=spec.id, version=version.value, first_version=first
    )
