"""The security checklist for the transport and the credentials (S1 to S5, S8, S13, S14)."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gzip
import inspect
import logging
import pickle
import re
import resource
import ssl
import traceback
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

import customvision_async
from customvision_async._content import Blob, Content, ContentError
from customvision_async._events import Event
from customvision_async._options import Retry, Timeouts
from customvision_async._transport.aiohttp import AiohttpTransport, tls_context
from customvision_async._transport.base import Request, Response
from customvision_async._transport.credentials import KeyCredential, authenticate
from customvision_async._transport.pipeline import Pipeline
from customvision_async._transport.retry import CertificateError
from customvision_async.errors import ConnectError, CustomVisionError, DecodeError
from tests.support.peer import Answer, Seen, peer, raw, read_body, reply

pytestmark = pytest.mark.anyio

CANARY = "canary-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
FORMS = [
    CANARY,
    base64.b64encode(CANARY.encode()).decode().rstrip("="),
    urllib.parse.quote(CANARY, safe=""),
    CANARY.encode().hex(),
]
SOON = Timeouts(connect=0.3, write=0.3, read=0.3)


def find_canary(text: str) -> str | None:
    """Return the form of the canary in `text`, if any."""
    return next((form for form in FORMS if form in text), None)


async def _silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_body(seen, reader)
    await asyncio.sleep(60)


TROUBLES: dict[str, Answer] = {
    "401": reply(401, b'{"error":{"code":"401","message":"Access denied"}}'),
    "429": reply(429, b"{}", "Retry-After: 60"),
    "503": reply(503),
    "redirect": reply(307, b"", "Location: http://127.0.0.1:1/elsewhere"),
    "closed": raw(b""),
    "half": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    "noise": raw(b"\0\xff\r\n\r\n"),
    "large": reply(200, bytes(2000)),
    "silent": _silent,
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("kind", ["key", "token"])
@pytest.mark.parametrize("body", ["none", "bytes", "gone"])
async def test_s1_the_key_is_in_no_log_event_or_traceback(
    trouble: str, kind: str, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    """During a failing request at DEBUG, no log, event, repr or traceback contains the key."""
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    credential = KeyCredential(CANARY) if kind == "key" else _Vault()
    content = (
        None
        if body == "none"
        else Content(
            "x/y",
            [Blob(10, data=bytes(10)) if body == "bytes" else Blob(10, path="/nowhere/at/all")],
        )
    )
    async with peer(TROUBLES[trouble]) as there:
        pipeline = Pipeline(
            AiohttpTransport(SOON),
            auth=authenticate(credential, "Training-Key"),
            retry=Retry(max_attempts=2, initial_backoff=0, throttle_backoff=0, deadline=1),
            observers=[events.append],
        )
        caught: BaseException | None = None
        try:
            request = Request(
                "POST", f"{there.url}/x?a=b", "X", content=content, response_bytes=1000
            )
            said = repr(await asyncio.wait_for(pipeline.send(request), 10))
        except (CustomVisionError, ContentError) as error:
            caught = error
            said = repr(error) + str(error) + pickle.dumps(str(error)).decode("latin-1")
        await pipeline.aclose()
    tested = [
        said,
        caplog.text,
        repr(events),
        repr(request),
        repr(pipeline),
        repr(vars(pipeline)),
    ]
    while caught is not None:
        trace = traceback.TracebackException.from_exception(caught, capture_locals=True)
        tested.append("".join(line for line in trace.format() if line))
        caught = caught.__cause__ or caught.__context__
    for text in tested:
        assert find_canary(text) is None, [line for line in text.splitlines() if find_canary(line)]


class _Vault:
    async def get_token(self, *scopes: str) -> Any:
        class Token:
            token = CANARY
            expires_on = 4_000_000_000

        return Token


async def test_s1_the_key_is_in_no_traceback_of_a_cancelled_request() -> None:
    """A cancellation passes through frames of aiohttp that hold the headers. The key stays
    hidden.
    """
    async with peer(_silent) as there:
        pipeline = Pipeline(AiohttpTransport(), auth=authenticate(CANARY, "Training-Key"))
        task = asyncio.create_task(pipeline.send(Request("GET", f"{there.url}/x", "X")))
        while not there.seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        await pipeline.aclose()
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    theirs = [frame for frame in trace.stack if "test_security" not in frame.filename]
    assert any("aiohttp" in frame.filename for frame in theirs)
    for frame in theirs:
        assert find_canary(str(frame.locals)) is None


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
@pytest.mark.parametrize("where", ["other", "same", "relative", "scheme", "nonsense"])
async def test_s4_no_redirect_is_followed(status: int, method: str, where: str) -> None:
    """The error names the host only. Neither that host nor the same one gets a further request."""
    async with peer(reply()) as other:
        target = {
            "other": f"{other.url}/path?secret=1",
            "relative": "/elsewhere",
            "scheme": "ftp://127.0.0.1/x",
            "nonsense": "http://[",
        }.get(where, "")

        async def redirect(
            seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reply(status, b"", f"Location: {target or there.url + '/again'}")(
                seen, reader, writer
            )

        async with peer(redirect) as there:
            pipeline = Pipeline(AiohttpTransport(), auth=authenticate(CANARY, "Training-Key"))
            content = Content("x/y", [b"body"]) if method != "GET" else None
            with pytest.raises(DecodeError, match="redirect") as caught:
                await pipeline.send(Request(method, f"{there.url}/x", "X", content=content))
            await pipeline.aclose()
            assert "secret" not in str(caught.value)
            assert len(there.seen) == 1
        assert other.connections == 0


async def test_s5_the_key_is_in_its_header_alone() -> None:
    """It is not in the URL, another header, a cookie or the body. Cookies are not kept."""
    async with peer(reply(200, b"{}", "Set-Cookie: session=1; Path=/")) as there:
        pipeline = Pipeline(AiohttpTransport(), auth=authenticate(CANARY, "Training-Key"))
        for method, content in (
            ("GET", None),
            ("POST", Content("x/y", [b"body"])),
            ("DELETE", None),
        ):
            await pipeline.send(Request(method, f"{there.url}/x?a=b", "X", content=content))
        await pipeline.aclose()
        for seen in there.seen:
            lines = [line for line in seen.head.split("\r\n") if CANARY in line]
            assert lines == [f"Training-Key: {CANARY}"]
            assert seen.header("Cookie") is None
            assert find_canary(seen.body.decode()) is None


async def test_s5_proxies_and_netrc_of_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment can neither redirect the key nor add a password."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with peer(reply()) as proxy, peer(reply()) as there:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        transport = AiohttpTransport()
        await transport.send(Request("GET", f"{there.url}/x", "X"), {})
        await transport.aclose()
        assert (len(there.seen), proxy.connections) == (1, 0)
        assert there.seen[0].header("Authorization") is None


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_s8_an_answer_without_end_is_cut_off(encoding: str) -> None:
    """A bomb of more than a gigabyte, plain or compressed, takes a few megabytes of memory."""

    async def bomb(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nConnection: close\r\n\r\n".encode()
        )
        block = bytes(1_000_000) if encoding == "identity" else gzip.compress(bytes(100_000_000), 9)
        for _ in range(1000):
            writer.write(block)
            await writer.drain()

    async with peer(bomb) as there:
        transport = AiohttpTransport()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(DecodeError, match="larger than"):
            await asyncio.wait_for(transport.send(Request("GET", f"{there.url}/x", "X"), {}), 30)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        await transport.aclose()
        if encoding == "identity":
            assert (
                grown < 100_000
            )  # KiB; in the other case the bomb of the peer is in the same process


AUTHORITY = trustme.CA()


def server_context(
    certificate: trustme.LeafCert, maximum: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return a TLS context of a server, no newer than `maximum`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if maximum is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = maximum
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _ca_file(folder: Path) -> str:
    AUTHORITY.cert_pem.write_to_path(str(folder / "ca.pem"))
    return str(folder / "ca.pem")


async def _send_over(tls: ssl.SSLContext, context: ssl.SSLContext | None) -> tuple[Response, int]:
    async with peer(reply(), tls=tls) as there:
        transport = AiohttpTransport(ssl_context=context)
        try:
            response = await transport.send(
                Request("GET", f"{there.url}/x", "X"), {"Training-Key": CANARY}
            )
        finally:
            await transport.aclose()
            seen = len(there.seen)
        return response, seen


async def test_s13_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    """TLS 1.2 and 1.3 work with an authority from a file."""
    for maximum in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        response, _ = await _send_over(
            server_context(AUTHORITY.issue_cert("127.0.0.1"), maximum),
            tls_context(_ca_file(tmp_path)),
        )
        assert response.status == 200


def _expired() -> trustme.LeafCert:
    return AUTHORITY.issue_cert(
        "127.0.0.1", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of naming TLS 1.0 and 1.1
@pytest.mark.parametrize(
    ("server", "trusted"),
    [
        (lambda: server_context(trustme.CA().issue_cert("127.0.0.1")), True),
        (lambda: server_context(AUTHORITY.issue_cert("127.0.0.1")), False),
        (lambda: server_context(AUTHORITY.issue_cert("other.example")), True),
        (lambda: server_context(_expired()), True),
        (lambda: server_context(AUTHORITY.issue_cert("127.0.0.1"), ssl.TLSVersion.TLSv1), True),
        (lambda: server_context(AUTHORITY.issue_cert("127.0.0.1"), ssl.TLSVersion.TLSv1_1), True),
    ],
    ids=["other authority", "system authorities", "wrong host", "expired", "TLS 1.0", "TLS 1.1"],
)
async def test_s13_what_is_not_to_be_trusted_is_refused(
    server: Callable[[], ssl.SSLContext],
    trusted: bool,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """No byte of the request is sent. A certificate error is not retried."""
    context = tls_context(_ca_file(tmp_path)) if trusted else None
    with pytest.raises(ConnectError, match=r"connection to 127\.0\.0\.1:\d+: \w+") as caught:
        await _send_over(server(), context)
    assert isinstance(caught.value, CertificateError) or "TLS" in request.node.callspec.id


def test_s13_nothing_switches_verification_off() -> None:
    """No source of the package names a way to do so."""
    package = Path(inspect.getfile(customvision_async)).parent
    pattern = re.compile(
        r"CERT_NONE|ssl\s*=\s*False|verify\s*=\s*False|_create_unverified_context|check_hostname\s*=\s*False"
    )
    for path in package.rglob("*.py"):
        assert not pattern.search(path.read_text()), path


BREAKS = ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b", "\x1b[0m"]


@pytest.mark.parametrize("text", BREAKS)
@pytest.mark.parametrize("place", ["url", "name", "value", "credential", "method", "type"])
async def test_s14_a_line_break_is_refused_before_a_byte_is_sent(text: str, place: str) -> None:
    """This holds for the URL, the method, the name and value of a header, and the content type."""
    async with peer(reply()) as there:
        fields: dict[str, Any] = {
            "method": "POST",
            "url": f"{there.url}/x",
            "operation": "X",
            "content": Content("x/y", [b""]),
        }
        headers: dict[str, str] = {}
        match place:
            case "url":
                fields["url"] += text
            case "name":
                fields["headers"] = {text: "v"}
            case "value":
                fields["headers"] = {"X": text}
            case "credential":
                headers = {"Training-Key": text}
            case "method":
                fields["method"] = text
            case _:
                fields["content"] = Content(text, [b""])
        transport = AiohttpTransport()
        with pytest.raises(ValueError, match="line break") as caught:
            await transport.send(Request(**fields), headers)
        await transport.aclose()
        assert there.connections == 0
        assert text not in str(caught.value)
