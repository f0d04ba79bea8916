"""Peers that break HTTP or mean harm: each is rejected properly, and others are served."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from customvision_async.emulator import Emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio
KEY = "k" * 32
BASE = "/customvision/v3.3/training"
PROJECTS = f"GET {BASE}/projects HTTP/1.1"
CREATE = f"POST {BASE}/projects?name=a HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"


class Peer:
    """A client that sends raw bytes to an emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.port = int(emulator.endpoint.rpartition(":")[2])

    def head(self, line: str, *headers: str, host: str | None = "127.0.0.1") -> bytes:
        """Return the head of a request with the key."""
        lines = [line, *([f"Host: {host}"] if host is not None else []), f"Training-Key: {KEY}"]
        return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")

    async def open(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection and send data."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer

    async def send(self, data: bytes) -> tuple[int, bytes]:
        """Send data, and return the status and body of the first response (0 if there is none)."""
        reader, writer = await self.open(data)
        try:
            return await answer(reader)
        finally:
            writer.close()

    async def ask(self, line: str, *headers: str, host: str | None = "127.0.0.1") -> int:
        """Send the head of a request, and return the status."""
        return (await self.send(self.head(line, *headers, host=host)))[0]


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the status and body of a response (0 if the connection ends first)."""
    try:
        async with asyncio.timeout(10):  # less than any time limit of the emulator
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = [
                int(line.split(":")[1])
                for line in head.split("\r\n")
                if line.lower().startswith("content-length:")
            ]
            return int(head.split(" ", 2)[1]), await reader.readexactly(length[0] if length else 0)
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, b""


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Yield an emulator on this loop."""
    async with Emulator(training_key=KEY, training_seconds=0) as running:
        yield running


@pytest.fixture
def peer(emulator: Emulator) -> Peer:
    """Return a peer of the emulator."""
    return Peer(emulator)


MALFORMED = {
    "NUL in the path": (f"GET {BASE}/projects\0 HTTP/1.1", [], b""),
    "raw bytes in the path": (f"GET {BASE}/projects/\xe2\x98\x83 HTTP/1.1", [], b""),
    "no slash": ("GET customvision/v3.3/training/projects HTTP/1.1", [], b""),
    "a path of 70,000": (f"GET /{'a' * 70_000} HTTP/1.1", [], b""),
    "a header of 70,000": (PROJECTS, ["X: " + "a" * 70_000], b""),
    "many headers": (PROJECTS, [f"X-{n}: a" for n in range(1000)], b""),
    "negative length": (CREATE, ["Content-Length: -1"], b""),
    "signed length": (CREATE, ["Content-Length: +0"], b""),
    "endless length": (CREATE, ["Content-Length: " + "9" * 30], b""),
    "list of lengths": (CREATE, ["Content-Length: 0, 0"], b""),
    "two lengths": (CREATE, ["Content-Length: 0", "Content-Length: 5"], b"GET /"),
    "length and chunks": (CREATE, ["Content-Length: 5", CHUNKED], b"0\r\n\r\n"),
    "chunks and length": (CREATE, [CHUNKED, "Content-Length: 5"], b"0\r\n\r\n"),
    "unknown coding": (CREATE, ["Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
    "coding after chunks": (CREATE, ["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    "chunks twice": (CREATE, [CHUNKED, CHUNKED], b"0\r\n\r\n"),
    "space before the colon": (CREATE, ["Transfer-Encoding : chunked"], b"0\r\n\r\n"),
    "vertical tab": (CREATE, ["Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n"),
    "folded header": (PROJECTS, ["X: a\r\n b"], b""),
    "bare LF": (PROJECTS, ["X: a\nContent-Length: 5"], b""),
    "bare CR": (PROJECTS, ["X: a\rContent-Length: 5"], b""),
    "space in a name": (PROJECTS, ["X Y: a"], b""),
    "empty name": (PROJECTS, [": a"], b""),
    "two hosts": (PROJECTS, ["Host: 127.0.0.1"], b""),
    "version 9.9": (f"GET {BASE}/projects HTTP/9.9", [], b""),
    "method of rubbish": (f"G@T {BASE}/projects HTTP/1.1", [], b""),
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_malformed_requests_are_refused(what: str, emulator: Emulator, peer: Peer) -> None:
    """The response is a 400, then the connection ends: the bytes that follow are not a request."""
    line, headers, body = MALFORMED[what]
    reader, writer = await peer.open(peer.head(line, *headers) + body + peer.head(PROJECTS))
    first = await answer(reader)
    rest = await reader.read()
    writer.close()
    assert first[0] == 400
    assert b" 200 OK" not in rest
    assert not emulator.requests


@pytest.mark.parametrize(
    "body", [b"-1\r\n", b"zz\r\n", b"f" * 40 + b"\r\n", b"0\n\n", b"0;\n0\r\n"]
)
async def test_broken_chunks_have_no_effect(body: bytes, emulator: Emulator, peer: Peer) -> None:
    """A body with broken framing is rejected or ends the connection. No project is created."""
    status, _ = await peer.send(peer.head(CREATE, CHUNKED) + body + peer.head(PROJECTS))
    assert status in (0, 400)
    assert (await peer.send(peer.head(PROJECTS)))[1] == b"[]"


async def test_malformed_requests_write_no_log(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer without a key cannot fill the log, and no key gets into it."""
    caplog.set_level(logging.INFO)
    for line, headers, body in MALFORMED.values():
        await peer.send(peer.head(line, *headers) + body)
    await peer.send(peer.head(PROJECTS).replace(b"\r\n", b"\n"))
    assert caplog.records == []


@pytest.mark.parametrize(
    "path",
    [
        "/customvision/%2e%2e/v3.3/training/projects",
        f"{BASE}/x/../projects",
        f"{BASE}%2fprojects",
        f"{BASE}/projects%00",
        f"{BASE}//projects",
        f"{BASE}/projects#x",
    ],
)
async def test_a_disguised_path_is_no_path(path: str, peer: Peer) -> None:
    """Dots, encoded slashes and NULs do not lead to an operation."""
    assert await peer.ask(f"GET {path} HTTP/1.1") == 404


@pytest.mark.parametrize("id", ["%e2%98%83", "%ff%fe", "%zz", "%00", "..%2f..", "%ed%a0%80"])
async def test_an_id_that_is_none_is_a_bad_request(id: str, peer: Peer) -> None:
    """An invalid id gets a 400, whatever it decodes to."""
    assert await peer.ask(f"GET {BASE}/projects/{id} HTTP/1.1") == 400


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/i-..%2f..%2f/etc%2fpasswd",
        "/i-%ff/x?se=9999&sig=%ed%a0%80",
        "/predictionimages/..%5c..%5c/x",
        "/prjexp-%00/x?se=9999-01-01T00:00:00Z&sig=" + "A" * 44,
    ],
)
async def test_a_blob_path_without_its_signature_is_refused(path: str, peer: Peer) -> None:
    """No path leads to a file, or to a blob without its signature."""
    assert await peer.ask(f"GET {path} HTTP/1.1") == 403


async def test_both_forms_of_a_target_are_taken(peer: Peer) -> None:
    """The absolute form is accepted, and its authority takes precedence over Host (RFC 9112)."""
    for authority in (f"127.0.0.1:{peer.port}", "localhost", "[::1]:80"):
        assert await peer.ask(f"GET http://{authority}{BASE}/projects HTTP/1.1") == 200
    assert await peer.ask(f"GET http://evil.example{BASE}/projects HTTP/1.1") == 421


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("localhost:8080", 200),
        ("LOCALHOST.", 200),
        ("orchard.localhost", 200),
        ("emulator:8080", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("evil.example.:80", 421),
        ("[evil", 421),
    ],
)
async def test_a_name_that_a_page_could_own_is_misdirected(
    host: str, status: int, peer: Peer
) -> None:
    """DNS rebinding needs a host name with a dot. On loopback the emulator has no such name."""
    assert await peer.ask(PROJECTS, host=host) == status
    if status == 421:  # for blobs as for operations
        assert await peer.ask("GET /i-x/y HTTP/1.1", host=host) == 421


async def test_an_emulator_on_all_addresses_takes_any_name() -> None:
    """In a container the emulator cannot know its own names."""
    async with Emulator(host="0.0.0.0", training_key=KEY) as emulator:
        assert await Peer(emulator).ask(PROJECTS, host="emulator.svc.local") == 200


async def test_a_page_elsewhere_sees_no_blob_and_nothing_without_a_key(peer: Peer) -> None:
    """CORS covers only the API, whose key no browser sends by itself."""
    head = peer.head("GET /i-x/y HTTP/1.1", "Origin: https://evil.example")
    reader, writer = await peer.open(head)
    assert b"access-control" not in (await reader.readuntil(b"\r\n\r\n")).lower()
    writer.close()
    head = peer.head(CREATE, "Origin: https://evil.example", "Content-Length: 0")
    status, _ = await peer.send(head.replace(KEY.encode(), b"guess"))
    assert status == 401
    assert (await peer.send(peer.head(PROJECTS)))[1] == b"[]"


@pytest.mark.parametrize("name", ["Training-Key", "Ocp-Apim-Subscription-Key", "Authorization"])
async def test_a_key_of_any_bytes_is_a_wrong_key(name: str, peer: Peer) -> None:
    """Any bytes as a key get a 401, not a failure of the emulator."""
    head = peer.head(PROJECTS).replace(b"Training-Key: " + KEY.encode(), name.encode() + b": \xff")
    assert (await peer.send(head))[0] == 401


async def test_a_media_type_of_any_bytes_is_not_supported(peer: Peer) -> None:
    """The response is a 415, although its message repeats the header."""
    _, made = await peer.send(peer.head(CREATE, "Content-Length: 0"))
    id = made.split(b'"id":"')[1][:36].decode()
    line = f"POST {BASE}/projects/{id}/images HTTP/1.1"
    assert await peer.ask(line, "Content-Type: \xff", "Content-Length: 1\r\n\r\nx") == 415


@pytest.mark.parametrize("skip", ["2147483648", "9223372036854775808", "9" * 5000])
async def test_a_number_that_is_none_of_the_service_is_refused(skip: str, peer: Peer) -> None:
    """Numbers of the service have 32 bits."""
    _, made = await peer.send(peer.head(CREATE, "Content-Length: 0"))
    id = made.split(b'"id":"')[1][:36].decode()
    line = f"GET {BASE}/projects/{id}/images/untagged?skip={skip} HTTP/1.1"
    assert await peer.ask(line) == 400


@pytest.mark.parametrize(
    ("asked", "status"),
    [("5-3", 200), ("9" * 5000 + "-", 200), ("0-" + "9" * 5000, 200), ("0-9", 206), ("-5", 200)],
)
async def test_a_range_that_is_none_gives_the_whole_blob(
    asked: str, status: int, peer: Peer
) -> None:
    """An invalid Range is ignored (RFC 9110)."""
    _, made = await peer.send(peer.head(CREATE, "Content-Length: 0"))
    id, data = made.split(b'"id":"')[1][:36].decode(), image_bytes(1)
    kind = "Content-Type: application/octet-stream"
    line = f"POST {BASE}/projects/{id}/images HTTP/1.1"
    _, made = await peer.send(peer.head(line, kind, f"Content-Length: {len(data)}") + data)
    url = made.split(b'"originalImageUri":"')[1].split(b'"')[0].decode()
    found, body = await peer.send(peer.head(f"GET {url} HTTP/1.1", f"Range: bytes={asked}"))
    assert (found, body) == (status, data if status == 200 else data[:10])


async def test_a_small_body_cannot_become_a_large_one(emulator: Emulator, peer: Peer) -> None:
    """As in ASP.NET, Content-Encoding is not decoded: a gzip bomb stays 64 kB of invalid data."""
    _, made = await peer.send(peer.head(CREATE, "Content-Length: 0"))
    id, bomb = made.split(b'"id":"')[1][:36].decode(), gzip.compress(bytes(64 << 20))
    headers = "Content-Encoding: gzip", f"Content-Length: {len(bomb)}"
    line = f"POST {BASE}/projects/{id}/images/files HTTP/1.1"
    assert (await peer.send(peer.head(line, *headers) + bomb))[0] == 400
    assert emulator.requests[-1].body_bytes == len(bomb)


async def test_nothing_is_written_beside_the_database(tmp_path: Path) -> None:
    """Names and ids never become paths in the folder."""
    folder = tmp_path / "state"
    async with Emulator(training_key=KEY, data=folder) as emulator:
        peer = Peer(emulator)
        names = ("..%2F..%2Fx", "%2Fetc%2Fx", "C%3A%5Cx", "x%00y", "..")
        for name in names:
            line = f"POST {BASE}/projects?name={name} HTTP/1.1"
            status, made = await peer.send(peer.head(line, "Content-Length: 0"))
            assert status == 200
            id, data = made.split(b'"id":"')[1][:36].decode(), image_bytes(1)
            disposition = b'--b\r\nContent-Disposition: form-data; name="../x"; filename="../../x"'
            form = disposition + b"\r\n\r\n" + data + b"\r\n--b--"
            kind = "Content-Type: multipart/form-data; boundary=b"
            line = f"POST {BASE}/projects/{id}/images HTTP/1.1"
            head = peer.head(line, kind, f"Content-Length: {len(form)}")
            assert (await peer.send(head + form))[0] == 200
            line = f"GET {BASE}/projects/{id}/artifacts?path=../../emulator.sqlite3 HTTP/1.1"
            assert await peer.ask(line) == 400
        found = {path.relative_to(tmp_path).parts for path in tmp_path.rglob("*")}
    assert {parts[:1] for parts in found} == {("state",)}
    assert all(parts[1].startswith("emulator.sqlite3") for parts in found if parts[1:])
