"""The interface between operations and transports: requests, responses and transports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from .._content import Content

__all__ = ["RESPONSE_BYTES", "ClientClosed", "Meter", "Request", "Response", "Transport"]

RESPONSE_BYTES = 16 * 1024 * 1024
"""Maximum size of a response, after decompression. The largest known one (256 images) is under
0.5 MB."""


class ClientClosed(RuntimeError):
    """The client is closed and sends no more requests."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


@dataclass(slots=True)
class Meter:
    """Count the requests and bytes of one call, and hold details of its response.

    The counts are updated while the call runs, so they are correct after an exception too.
    """

    requests: int = 0
    """Requests sent, retries included."""
    retries: int = 0
    """Requests sent again. `requests` includes them."""
    bytes_sent: int = 0
    """Bytes of request bodies, retries included."""
    in_doubt: bool = False
    """An attempt may have taken effect although its response was lost."""
    retry_after: float | None = None
    """Seconds to wait before the next request, if the response says so."""
    date: datetime | None = None
    """The time of the response, from its Date header."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without the credential.

    Attributes:
        url: Complete URL, percent-encoded.
        operation: Name of the request in errors and events.
        repeatable: Whether to send the request again after a response was lost. It is true if a
            second request has no further effect, or if its response reports the effect.
        response_bytes: Maximum size of the response.
        meter: Counts the attempts.
    """

    method: str
    url: str
    operation: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: Content | None = field(default=None, repr=False)
    repeatable: bool = True
    response_bytes: int = RESPONSE_BYTES
    meter: Meter | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A response of any status. Header names are in lower case.

    `attempts` is the number of attempts. `in_doubt` is true if an earlier attempt may have taken
    effect: its response was lost, or was a 408 or 5xx.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1
    in_doubt: bool = False


class Transport(Protocol):
    """Send single attempts of requests. Tests can replace it with a service in memory."""

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Send `request` and return the response, whatever its status.

        Args:
            request: The request.
            headers: Further headers, with the credential.
            on_sent: Called once, when the whole body has been written to the connection or no more
                of it is needed. From then on the service works, and the body's memory is free.

        Raises:
            ConnectError: Nothing was sent.
            RequestTimeout: A phase took too long.
            ResponseLost: The request was sent, and no complete response arrived.
            DecodeError: The response is larger than `response_bytes`, or is a redirect.
            ContentError: A part of the body could not be read. The request had no effect.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
