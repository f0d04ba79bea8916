"""Run the package in virtual time.

Work for threads is done on the event loop. A run that leaves tasks behind fails.
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
from tests.support.fake_service import BASE, ENDPOINT, KEY, Service
from tests.support.virtual_loop import VirtualLoop

__all__ = ["Left", "client_of", "inline_threads", "run"]

T = TypeVar("T")

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used to connect. Loading the system certificates takes longer than a whole seed."""


class Left(AssertionError):
    """Tasks outlived the work that they belong to."""


@contextmanager
def inline_threads() -> Iterator[None]:
    """Run the work of threads on the event loop, one turn later. Virtual time knows no threads."""
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
    """Run `main` in virtual time and return its result.

    Raises:
        Left: Tasks were left behind.
        Deadlock: Every task waits.
    """

    async def whole() -> T:
        result = await main
        for _ in range(5):  # a cancelled task needs a turn or two to end
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
    clock: Callable[[], float] | None = None,
    key: str = KEY,
) -> TrainingClient:
    """Return a client of `service` whose retries are random by `seed`.

    `clock` returns seconds since 1970. By default it follows the virtual time. Clients with the
    same key share a limiter, as long as it is not garbage-collected.
    """
    return TrainingClient(
        ENDPOINT,
        key,
        api_version=service.version,
        transport=service,
        concurrency=concurrency,
        retry=retry,
        observers=observers,
        ssl_context=_NO_TLS,
        _rng=Random(seed),
        _clock=clock or _virtual_clock,
    )


def _virtual_clock() -> float:
    return BASE.timestamp() + asyncio.get_running_loop().time()
