"""The seam between those who know the service and those who move bytes: a request, a response, a sender."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .._content import Content

__all__ = ["RESPONSE_BYTES", "ClientClosed", "Meter", "Request", "Response", "Transport"]

RESPONSE_BYTES = 16 * 1024 * 1024
"""An answer longer than this, counted after decompression, is refused. The largest real one (256 images) is under 0.5 MB."""


class ClientClosed(RuntimeError):
    """The client has been closed: nothing is sent any more."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


@dataclass(slots=True)
class Meter:
    """What a request came to, in sends: written by the transport as it goes, so that it is right after an exception too.

    `requests` were sent, `retries` of them again; `bytes_sent` counts bodies. `in_doubt` says that one of them may have
    taken effect without our hearing of it.
    """

    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without the credential.

    `url` is whole and already percent-encoded. `operation` names it in errors and events. `repeatable` says whether
    it may be sent again when an earlier answer was lost: its effect is the same, or told apart, the second time.
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
    """An answer, whatever its status: header names in lower case, the body whole.

    `attempts` is how many times the request was sent. `in_doubt` tells that an earlier attempt was sent and its answer
    lost (or was a 408 or 5xx), so that its effect may have been there before this attempt.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1
    in_doubt: bool = False


class Transport(Protocol):
    """One attempt over the wire. The in-memory stand-in of the tests is the other implementation."""

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Send `request` with `headers` (the credential) added.

        `on_sent` is called once, when the last byte of the body has been handed to the link (or was found not to be
        wanted): what the body held can be let go, and the time that the service takes begins.

        Raises:
            ConnectError: nothing was sent.
            RequestTimeout: a phase took too long.
            ResponseLost: sent, and no whole answer.
            DecodeError: the answer is over `response_bytes`, or a redirect.
            ContentError: a blob of the body could not be read; the request took no effect.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
