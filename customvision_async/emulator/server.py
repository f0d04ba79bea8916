"""The emulator as an HTTP server."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import signal
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack, cast

from aiohttp import hdrs, web

from . import _handlers as _handlers  # registers the handlers
from ._access import Access
from ._api_request import ApiRequest, ApiResponse
from ._arguments import check_arguments, check_names
from ._blobs import serve_blob
from ._connections import IDLE_SECONDS, BoundedServer, http_log, misdirected, origin_form
from ._dispatch import run_handler
from ._faults import Fault, Faults
from ._faulty_responses import reset_connection, send_response
from ._fetch import Fetcher
from ._image_files import Buffer
from ._in_flight import (
    InFlightRequests,
    drop_connection,
    finish,
    iter_body,
    send_continue,
    with_timeouts,
)
from ._quota import QUOTAS, Gate
from ._request_record import RequestRecord
from ._resource import Resource
from ._responses import (
    PREFLIGHT_HEADERS,
    add_cors_header,
    encode,
    is_preflight,
    match_recorded_headers,
    send,
)
from ._routes import Match, find_route, is_api
from ._service_fault import NOT_FOUND, GatewayFault
from ._state import State
from ._switches import SwitchChanges, Switches, read_profile
from ._thread import LoopThread

__all__ = ["Emulator", "serve"]

Tier = Literal["F0", "S0"] | None
_MAX_LINE_BYTES = 1 << 16  # 256 ids in the URL of a DELETE are 9,471 characters
_READ_BUFFER = 1 << 18
_GRACE_SECONDS = 1.0
_TIMED_OUT = "The request timed out: its body was not read in time."
_MISDIRECTED = (
    "The request was sent to a host name that is not this emulator's. Use its address or localhost."
)


class Emulator:
    """Azure Custom Vision on loopback, in this process::

        async with Emulator() as emulator:
            async with TrainingClient(emulator.endpoint, emulator.training_key) as training:
                ...

    ``with Emulator() as emulator:`` does the same in a thread, for code that is not asynchronous.

    Args:
        port: The port to listen on. 0 picks a free one.
        training_key: The key of the training API. Random by default.
        prediction_key: The key of the prediction API. The training key by default.
        data: A folder that keeps the state across restarts. None keeps it in memory.
        tier: The pricing tier whose quotas and rates apply ("F0" or "S0"). None has no limits.
        calls_per_second: A rate that replaces those of the tier, for every kind of request.
        bearer_tokens: Entra tokens that are accepted in place of a key.
        seed: Makes ids, shuffling and the probabilities of faults the same in each run.
        host: The address to listen on. On a loopback address, requests to a host name with a dot
            are rejected with 421, so that no web page reaches the emulator by DNS rebinding. To
            use such a name, give it here or serve over TLS.
        ssl_context: Serve over TLS.
        log_size: The number of requests that :attr:`requests` keeps.
        switches: Settings for behaviour that no evidence settles (:class:`Switches` lists them).
            Single switches can be given as further arguments.
        profile: A JSON file ``{"switches": {...}}`` that sets some of them, such as the one that
            ``customvision doctor --probe`` writes. Further arguments take precedence over it.

    Raises:
        TypeError: An argument has the wrong type or an unknown name.
        ValueError: An argument has an invalid value.
        OSError: On entering, if the emulator cannot listen on the port (another process does), or
            cannot keep its state in the folder (not writable, in use, or from a newer version).

    Attributes:
        endpoint: The endpoint for clients, such as ``"http://127.0.0.1:40000"``.
        faults: Injects faults (:class:`Faults`).
        requests: The requests received, oldest first (:class:`RequestRecord`).
        in_flight: The number of requests that are being served.
        most_in_flight: The highest number of requests served at the same time.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        training_key: str | None = None,
        prediction_key: str | None = None,
        data: str | Path | None = None,
        tier: Tier = None,
        calls_per_second: float | None = None,
        bearer_tokens: tuple[str, ...] = (),
        seed: int | str | None = None,
        host: str = "127.0.0.1",
        ssl_context: ssl.SSLContext | None = None,
        log_size: int = 10_000,
        switches: Switches | None = None,
        profile: str | Path | None = None,
        **changes: Unpack[SwitchChanges],
    ) -> None:
        if tier not in QUOTAS:
            raise ValueError(f"there is no tier {tier!r}; use F0, S0, or None for no limits")
        check_arguments(
            host=host,
            port=port,
            keys=(training_key, prediction_key),
            calls_per_second=calls_per_second,
            bearer_tokens=bearer_tokens,
            ssl_context=ssl_context,
            log_size=log_size,
            data=data,
        )
        self.switches: Switches = _resolve_switches(switches, profile, changes)
        self.access: Access = Access(training_key, prediction_key, bearer_tokens)
        self.endpoint: str = ""
        self.requests: deque[RequestRecord] = deque(maxlen=log_size)
        self._in_flight = InFlightRequests()
        self._seed = None if seed is None else str(seed)
        self.faults: Faults = Faults(self._seed)
        self._address = (host, port)
        self._ssl = ssl_context
        self._folder = None if data is None else Path(data)
        self._quota = QUOTAS[tier]
        self._gate = Gate(self._quota, calls_per_second, self.switches)
        self._resource: Resource | None = None
        self._listener: asyncio.Server | None = None
        self._closing = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def training_key(self) -> str:
        """The key of the training API. Setting it revokes the previous one."""
        return self.access.training_key

    @training_key.setter
    def training_key(self, key: str) -> None:
        self.access.training_key = key

    @property
    def prediction_key(self) -> str:
        """The key of the prediction API. Setting it revokes the previous one."""
        return self.access.prediction_key

    @prediction_key.setter
    def prediction_key(self, key: str) -> None:
        self.access.prediction_key = key

    @property
    def in_flight(self) -> int:
        """The number of requests that are being served."""
        return self._in_flight.in_flight

    @property
    def most_in_flight(self) -> int:
        """The highest number of requests served at the same time."""
        return self._in_flight.most_in_flight

    # Lifetime.

    async def start(self) -> None:
        """Open the state and listen.

        Raises:
            OSError: The state cannot be opened, or the port is not available.
            RuntimeError: The emulator is already running.
        """
        if self._resource is not None:
            raise RuntimeError("this emulator is already running")
        host, port = self._address
        self._closing = asyncio.Event()
        state = State(self._folder, self._seed)
        self._fetcher = Fetcher(self.switches.allow_internet)
        resource = self._resource = Resource(state, self.switches, self._quota, self._seed)
        resource.fetch = self._fetcher
        resource.call_later = self._call_later
        resource.start_task = self._start_task
        resource.account = lambda: self.access.account(self._quota, state)
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{tail:.*}", self._handle, expect_handler=send_continue)
        app.on_response_prepare.append(match_recorded_headers)
        if self.switches.cors:
            app.on_response_prepare.append(add_cors_header)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            read_bufsize=_READ_BUFFER,
            shutdown_timeout=_GRACE_SECONDS,
            lingering_time=0.0,  # `finish` does it
            keepalive_timeout=IDLE_SECONDS,
            auto_decompress=False,  # as ASP.NET; a small body stays small
            logger=http_log,
        )
        try:
            await self._runner.setup()
            server = self._runner.server
            assert server is not None
            self._listener = await asyncio.get_running_loop().create_server(
                BoundedServer(server, self._in_flight.protocols),
                host,
                port,
                ssl=self._ssl,
                backlog=512,
            )
        except OSError as error:
            await self.stop()
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise OSError(
                error.errno, f"the emulator cannot listen on {host} port {port}: {reason}"
            ) from error
        except BaseException:
            await self.stop()
            raise
        port = self._listener.sockets[0].getsockname()[1]
        self.endpoint = resource.endpoint = (
            f"{'https' if self._ssl else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        )

    async def stop(self) -> None:
        """Stop listening and close the state. May be called twice."""
        if self._resource is None:
            return
        self._closing.set()
        resource, self._resource = self._resource, None
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        async with AsyncExitStack() as rest:  # close everything, even if cancelled
            rest.callback(resource.state.close)
            rest.push_async_callback(self._fetcher.close)
            rest.push_async_callback(self._runner.cleanup)
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._listener is not None:
                self._listener.close()
            await self._in_flight.end(_GRACE_SECONDS)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        """Start in a thread, for code that is not asynchronous."""
        self._thread = LoopThread("customvision-emulator")
        try:
            self._thread.run(self.start())
        except BaseException:
            self._thread.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._thread.run(self.stop())
        finally:
            self._thread.close()

    def _call_later(self, seconds: float, act: Callable[[], None]) -> None:
        """Run `act` after a time, or at once if it is 0. Stopping the emulator cancels it."""
        if seconds <= 0:
            act()
            return

        def due() -> None:
            self._timers.discard(timer)
            if self._resource is not None:
                with self._resource.state.transaction():
                    act()

        timer = asyncio.get_running_loop().call_later(seconds, due)
        self._timers.add(timer)

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background until it ends or the emulator stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Requests.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        authority, target = origin_form(request.raw_path)
        path, _, query = target.partition("?")
        host = authority or request.headers.get(hdrs.HOST, "")
        wrong_name = self._ssl is None and misdirected(host, self._address[0])
        match = 421 if wrong_name else find_route(request.method, path)
        operation = (
            match.route.operation if isinstance(match, Match) else "" if is_api(path) else "Blob"
        )
        record = RequestRecord.of(request, operation, path, query)
        self.requests.append(record)
        with self._in_flight.track(request):
            try:
                with self._in_flight.counted():
                    fault = self.faults.strike(operation)
                    record.fault = fault.kind if fault else ""
                    response = await self._serve(request, match, record, fault)
                await finish(request, response)
            except ConnectionError:  # the client disconnected
                response = drop_connection(request)
            return response

    async def _serve(
        self, request: web.Request, match: Match | int, record: RequestRecord, fault: Fault | None
    ) -> web.StreamResponse:
        resource = self._resource
        if resource is None or (fault and fault.kind in ("reset", "reset_in_body")):
            return await reset_connection(request, fault)
        request_id = resource.state.ids.text()
        if not isinstance(match, Match):
            return await self._serve_other(resource, request, match, record, fault)
        try:
            if self.switches.refuse_early:
                self._authorize(request, match)
            known = self.access.is_authorized(request.headers, match.route.api)
            body = await self._body(request, record, self.switches.body_bytes if known else 0)
            if not self.switches.refuse_early:
                self._authorize(request, match)
            api_request = ApiRequest(
                resource,
                match,
                record.query,
                request.headers.get(hdrs.CONTENT_TYPE, ""),
                body,
                request_id,
            )
            api_response = (
                ApiResponse() if fault and not fault.has_effect else await run_handler(api_request)
            )
        except GatewayFault as refused:
            api_response = ApiResponse(refused.status, refused.body, headers=refused.headers)
            if fault:  # the fault had no effect
                fault.hits -= 1
                record.fault = ""
            record.status = api_response.status
            return await send(
                request,
                api_response,
                encode(api_response, match),
                request_id,
                match,
                reason=refused.reason,
            )
        if self.switches.think_seconds:
            await asyncio.sleep(self.switches.think_seconds)
        return await send_response(
            request,
            api_response,
            lambda: encode(api_response, match),
            request_id,
            match,
            fault,
            record,
            self._closing,
        )

    def _authorize(self, request: web.Request, match: Match) -> None:
        self.access.check(request.headers, match.route.api)
        self._gate.admit(match, asyncio.get_running_loop().time())

    async def _body(self, request: web.Request, record: RequestRecord, max_bytes: int) -> Buffer:
        """Return the whole body, or nothing of a body larger than `max_bytes`.

        Raises:
            GatewayFault: 408, the body is too large (raised after its end) or too slow.
        """
        kept: list[bytes] = []
        try:
            async for piece in with_timeouts(iter_body(request)):
                record.body_bytes += len(piece)
                if record.body_bytes <= max_bytes:
                    kept.append(piece)
                else:
                    kept.clear()
        except TimeoutError:
            raise GatewayFault(408, _TIMED_OUT) from None
        if record.body_bytes > self.switches.body_bytes:
            raise GatewayFault(408, _TIMED_OUT)
        return b"".join(kept)

    async def _serve_other(
        self,
        resource: Resource,
        request: web.Request,
        status: int,
        record: RequestRecord,
        fault: Fault | None,
    ) -> web.StreamResponse:
        """Serve a request that is not an operation: a blob, a preflight or an unknown path."""
        if status == 421:
            api_response = ApiResponse(421, GatewayFault(421, _MISDIRECTED).body)
        elif status == 405 and is_preflight(request) and self.switches.cors:
            api_response = ApiResponse(200, raw=b"", headers=PREFLIGHT_HEADERS)
        elif request.method in ("GET", "HEAD") and not is_api(record.path):
            api_response = await serve_blob(
                resource, record.path, record.query, request.headers.get(hdrs.RANGE)
            )
        elif status == 405:
            api_response = ApiResponse(
                405,
                {
                    "message": "The requested resource does not support http method "
                    f"'{request.method}'."
                },
            )
        else:
            api_response = ApiResponse(404, GatewayFault(404, NOT_FOUND).body)
        request_id = resource.state.ids.text()
        return await send_response(
            request,
            api_response,
            lambda: encode(api_response, None),
            request_id,
            None,
            fault,
            record,
            self._closing,
        )


def _resolve_switches(
    switches: Switches | None, profile: str | Path | None, changes: SwitchChanges
) -> Switches:
    """Return the switches after a profile, and then single arguments, are applied."""
    check_names(changes, _NAMES)
    if profile is not None:
        changes = cast(SwitchChanges, read_profile(profile) | changes)
    return dataclasses.replace(switches or Switches(), **changes)


_NAMES = [name for name in inspect.signature(Emulator).parameters if name != "changes"] + [
    field.name for field in dataclasses.fields(Switches)
]


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    training_key: str | None = None,
    prediction_key: str | None = None,
    data: str | Path | None = None,
    tier: Tier = None,
    *,
    profile: str | Path | None = None,
    announce: Callable[[str], None] = print,
    **changes: Unpack[SwitchChanges],
) -> None:
    """Serve until SIGINT or SIGTERM.

    `announce` receives the endpoint when the emulator is ready. :class:`Emulator` describes the
    other arguments.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    emulator = Emulator(
        host=host,
        port=port,
        training_key=training_key,
        prediction_key=prediction_key,
        data=data,
        tier=tier,
        profile=profile,
        **changes,
    )
    async with emulator:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        try:
            announce(emulator.endpoint)
            await stopped.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
