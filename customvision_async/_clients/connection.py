"""What a client of one resource stands on: where it is, who asks, and how requests go there."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .._events import Observer, log_event
from .._options import Concurrency, Retry, Timeouts
from .._transport.aiohttp import AiohttpTransport, tls_context
from .._transport.base import Transport
from .._transport.credentials import KeyCredential, TokenCredential, authenticate, check_endpoint
from .._transport.pipeline import Pipeline
from .._transport.throttle import shared_limiter

__all__ = ["Connection", "from_env"]

C = TypeVar("C")


class Connection:
    """The transport to one endpoint, with the credential in the header `key_header`. Nothing is sent before the first call."""

    def __init__(
        self,
        endpoint: str,
        credential: str | KeyCredential | TokenCredential,
        key_header: str,
        *,
        retry: Retry | None = None,
        timeouts: Timeouts | None = None,
        concurrency: Concurrency | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        observers: Iterable[Observer] = (),
        transport: Transport | None = None,
    ) -> None:
        self.endpoint = check_endpoint(endpoint)
        self.concurrency = concurrency or Concurrency()
        self.observers = (log_event, *observers)
        auth = authenticate(credential, key_header)
        if ssl_context is None and self.endpoint.startswith("https:"):
            ssl_context = tls_context(None if ca_file is None else os.fspath(ca_file))
        self.ssl_context = ssl_context
        self.pipeline = Pipeline(
            transport or AiohttpTransport(timeouts, self.concurrency.max_requests, ssl_context),
            auth=auth,
            retry=retry,
            limiter=partial(
                shared_limiter, urlsplit(self.endpoint).netloc, auth.fingerprint, self.concurrency
            ),
            observers=self.observers,
        )


def from_env(make: type[C], names: Sequence[str], options: dict[str, Any]) -> C:
    """``make(endpoint, key, **options)`` of two environment variables.

    Raises:
        LookupError: one of them is not set.
    """
    missing = [name for name in names if not os.environ.get(name, "").strip()]
    if missing:
        raise LookupError(
            f"{' and '.join(missing)} not set in the environment: the resource's page in the Azure portal has the values"
        )
    return make(*(os.environ[name].strip() for name in names), **options)
