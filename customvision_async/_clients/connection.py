"""The connection of a client to one resource: endpoint, credential, TLS and pipeline."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import TypedDict
from urllib.parse import urlsplit

from .._events import Observer, log_event
from .._options import Concurrency, Retry, Timeouts
from .._transport.aiohttp import AiohttpTransport, tls_context
from .._transport.base import Transport
from .._transport.credentials import KeyCredential, TokenCredential, authenticate
from .._transport.pipeline import Pipeline
from .._transport.throttle import shared_limiter
from .azure import TOKEN_SCOPE, check_endpoint

__all__ = ["Connection", "ConnectionOptions", "from_env"]


class ConnectionOptions(TypedDict, total=False):
    """The options that all clients share. The docstrings of the clients describe them."""

    retry: Retry | None
    timeouts: Timeouts | None
    concurrency: Concurrency | None
    ca_file: str | os.PathLike[str] | None
    ssl_context: ssl.SSLContext | None
    observers: Iterable[Observer]
    transport: Transport | None


class Connection:
    """The pipeline to one endpoint, which connects on the first request.

    `key_header` is the header that carries the key. `rng` and `clock` are those of the pipeline.
    """

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
        rng: Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = check_endpoint(endpoint)
        self.concurrency = concurrency or Concurrency()
        self.observers = (log_event, *observers)
        auth = authenticate(credential, key_header, scope=TOKEN_SCOPE)
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
            rng=rng,
            clock=clock,
        )


def from_env(endpoint: str, key: str) -> tuple[str, str]:
    """Return the values of the environment variables of these names.

    Raises:
        LookupError: A variable is not set.
    """
    missing = [name for name in (endpoint, key) if not os.environ.get(name, "").strip()]
    if missing:
        raise LookupError(
            f"{' and '.join(missing)} not set in the environment: "
            "copy the values from the page of the resource in the Azure portal"
        )
    return os.environ[endpoint].strip(), os.environ[key].strip()
