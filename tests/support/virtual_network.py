"""Running the package in virtual time: what it hands to worker threads is done at once, and nothing
may be left behind.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import anyio.to_thread

from customvision_async import Concurrency, Retry, TrainingClient
from customvision_async._events import Observer
from customvision_async._transport.retry import RetryPolicy
from tests.support.fake_service import BASE, ENDPOINT, KEY, Service
from tests.support.virtual_loop import VirtualLoop

__all__ = ["Left", "client_of", "inline_threads", "run"]

T = TypeVar("T")

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing is sent over it. Spares each client the reading of the system's certificates, which takes longer than a whole seed."""


class Left(AssertionError):
    """Tasks that outlived the work they belonged to."""


@contextmanager
def inline_threads() -> Iterator[None]:
    """Do the work of threads on the loop, after one turn of it: a thread has no place in virtual
    time.
    """
    real = anyio.to_thread.run_sync

    async def run_sync(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    anyio.to_thread.run_sync = run_sync
    try:
        yield
    finally:
        anyio.to_thread.run_sync = real


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time.

    Raises:
        Left: tasks were left behind.
        Deadlock: every task waits.
    """

    async def whole() -> T:
        result = await main
        for _ in range(5):  # what was cancelled needs a turn or two to see it
            await asyncio.sleep(0)
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            raise Left(f"left behind: {sorted(str(task.get_coro()) for task in left)}")
        return result

    with inline_threads(), warnings.catch_warnings():
        warnings.simplefilter("error")
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(whole())


def client_of(
    service: Service,
    seed: str,
    *,
    concurrency: Concurrency | None = None,
    retry: Retry | None = None,
    observers: tuple[Observer, ...] = (),
) -> TrainingClient:
    """A client that speaks to `service`, all of whose chance comes from `seed`, and whose calendar
    is that of the loop.
    """
    training = TrainingClient(
        ENDPOINT,
        KEY,
        api_version=service.version,
        transport=service,
        concurrency=concurrency,
        retry=retry,
        observers=observers,
        ssl_context=_NO_TLS,
    )
    training._pipeline._policy = RetryPolicy(retry or Retry(), Random(seed))
    training._pipeline._clock = lambda: BASE.timestamp() + asyncio.get_running_loop().time()
    return training
