"""The interface between operations and transports: a request, a response, a transport."""

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
    """The client has been closed and sends nothing."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


@dataclass(slots=True)
class Meter:
    """Count what one call costs, and keep what its response says beside the body.

    The counts are written while the call runs, so they are right after an exception too.
    """

    requests: int = 0
    """Requests sent, retries included."""
    retries: int = 0
    """Requests sent again."""
    bytes_sent: int = 0
    """Bytes of request bodies, retries included."""
    in_doubt: bool = False
    """An attempt may have taken effect although its response was lost."""
    retry_after: float | None = None
    """Seconds to wait before the next request, if the response says so."""
    date: datetime | None = None
    """The time of the response by the service's clock."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without the credential.

    `url` is complete and percent-encoded. `operation` names the request in errors and events.
    `repeatable` allows another attempt after a response was lost, because a second request has no
    further effect, or one that its response reports.
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
    """A response of any status. Names of headers are in lower case.

    `attempts` is the number of attempts. `in_doubt` is true if the response to an earlier attempt
    was lost, or was a 408 or 5xx, so that the effect may be that of the earlier attempt.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1
    in_doubt: bool = False


class Transport(Protocol):
    """One attempt of a request. Tests replace it by a service in memory."""

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Send `request` with `headers`, which hold the credential.

        `on_sent` is called once, when the last byte of the body has been given to the connection,
        or is not wanted. Then the memory of the body is free, and the service begins to work.

        Raises:
            ConnectError: Nothing was sent.
            RequestTimeout: A phase took too long.
            ResponseLost: The request was sent, and no complete response arrived.
            DecodeError: The response is over `response_bytes`, or is a redirect.
            ContentError: A blob of the body could not be read. The request had no effect.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
