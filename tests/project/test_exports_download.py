"""Downloads over real sockets: resumed, verified, atomic, and from trusted hosts only."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from customvision_async import (
    ConnectError,
    DecodeError,
    DownloadLinkExpired,
    Export,
    ProjectClient,
    RequestTimeout,
    ResponseLost,
    Retry,
    Timeouts,
    TrainingClient,
)
from customvision_async._clients.azure import BLOB_HOSTS
from customvision_async._transport.blob_reader import BlobHosts, BlobReader, is_allowed_address
from tests.support.peer import Answer, Peer, Seen, peer, reply

pytestmark = pytest.mark.anyio

PROJECT = "11111111-1111-1111-1111-111111111111"
KEY = "canary-key-5d41402abc4b2a76"
FILE = bytes(range(256)) * 32768  # 8 MiB
CUT = 6_000_000
TAG = 'ETag: "0x1"'
SUM = f"Content-MD5: {base64.b64encode(hashlib.md5(FILE).digest()).decode()}"


@asynccontextmanager
async def files(
    *responses: Answer, retry: Retry | None = None
) -> AsyncIterator[tuple[Peer, ProjectClient]]:
    """Yield a host of files that uses `responses` in turn, and a project that may download
    from it.
    """
    async with (
        peer(*responses) as host,
        TrainingClient(
            "http://127.0.0.1:9",
            KEY,
            blob_hosts=[host.url],
            retry=retry or Retry(initial_backoff=0.01),
        ) as training,
    ):
        yield host, training.get_project_client(PROJECT)


def done(url: str) -> Export:
    """Return an export with a file."""
    return Export(platform="ONNX", status="Done", download_uri=url)


def cut(body: bytes, sent: int, *headers: str) -> Answer:
    """Announce all of `body`, send `sent` bytes of it, and break the connection."""

    async def response(seen: Seen, reader: Any, writer: Any) -> None:
        writer.write(
            "\r\n".join(
                ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
            ).encode()
            + body[:sent]
        )
        await writer.drain()
        writer.write_eof()  # a reset would discard bytes in flight
        await reader.read()

    return response


async def rest(seen: Seen, reader: Any, writer: Any) -> None:
    """Send the requested range."""
    asked = seen.header("Range")
    assert asked is not None
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    part = FILE[start:]
    lines = [
        "HTTP/1.1 206 Partial",
        f"Content-Length: {len(part)}",
        f"Content-Range: bytes {start}-{len(FILE) - 1}/{len(FILE)}",
        TAG,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + part)
    await writer.drain()


async def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    """Only the rest is requested, and only of the same file. No request has the key."""
    async with files(cut(FILE, CUT, TAG, "Accept-Ranges: bytes", SUM), rest) as (host, project):
        path = await project.download_export(
            done(f"{host.url}/x/model.zip?sig=secret"), tmp_path / "model.zip"
        )
        assert path.read_bytes() == FILE
        first, second = host.seen
        assert first.header("Range") is None
        start = int((second.header("Range") or "").removeprefix("bytes=").removesuffix("-"))
        assert (
            CUT - 1_000_000 < start <= CUT
        )  # the HTTP library discards its buffer when the connection breaks
        assert second.header("If-Range") == '"0x1"'
        assert not any(KEY in seen.head or "-Key" in seen.head for seen in host.seen)


async def test_a_host_without_ranges_gives_all_of_it_again(tmp_path: Path) -> None:
    """No Range is sent to a host that offers none. A full response is not taken for the rest."""
    async with files(cut(FILE, CUT), reply(200, FILE)) as (host, project):
        path = await project.download_export(done(f"{host.url}/model.zip"), tmp_path / "model.zip")
        assert path.read_bytes() == FILE
        assert [seen.header("Range") for seen in host.seen] == [None, None]
    async with files(
        cut(FILE, CUT, TAG, "Accept-Ranges: bytes"), reply(200, FILE[::-1], 'ETag: "0x2"')
    ) as (host, project):
        path = await project.download_export(done(f"{host.url}/model.zip"), tmp_path / "model.zip")
        assert path.read_bytes() == FILE[::-1]


async def test_a_file_that_changed_is_begun_anew(tmp_path: Path) -> None:
    """A range of another length, or a refused range: the download starts again."""
    strange = reply(206, b"x", "Content-Range: bytes 5-5/6")
    for odd in (strange, reply(416, b"")):
        async with files(cut(FILE, CUT, TAG, "Accept-Ranges: bytes"), odd, reply(200, FILE)) as (
            host,
            project,
        ):
            path = await project.download_export(
                done(f"{host.url}/model.zip"), tmp_path / "model.zip"
            )
            assert path.read_bytes() == FILE
            assert host.seen[-1].header("Range") is None


async def test_a_wrong_checksum_is_not_taken(tmp_path: Path) -> None:
    """The download is repeated once. If the checksum is still wrong, no file is written."""
    async with files(reply(200, FILE[::-1], SUM), reply(200, FILE, SUM)) as (host, project):
        path = await project.download_export(done(f"{host.url}/model.zip"), tmp_path / "model.zip")
        assert path.read_bytes() == FILE
    async with files(
        reply(200, FILE[::-1], SUM), retry=Retry(max_attempts=2, initial_backoff=0.01)
    ) as (
        host,
        project,
    ):
        with pytest.raises(ResponseLost, match="checksum"):
            await project.download_export(done(f"{host.url}/model.zip"), tmp_path / "other.zip")
    assert os.listdir(tmp_path) == ["model.zip"]


async def test_a_download_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """The old file stays until the new one is complete. No other file is left in the folder."""
    path = tmp_path / "model.zip"
    path.write_bytes(b"old")
    async with files(cut(FILE, CUT), retry=Retry(max_attempts=2, initial_backoff=0.01)) as (
        host,
        project,
    ):
        with pytest.raises(ResponseLost):
            await project.download_export(done(f"{host.url}/model.zip"), path)
        assert 3 <= len(host.seen) <= 9  # progress once or more, then twice none
    assert os.listdir(tmp_path) == ["model.zip"]
    assert path.read_bytes() == b"old"


async def test_where_a_file_goes_is_looked_at_first(tmp_path: Path) -> None:
    """A folder, a file that must not be replaced, a missing folder: refused before any request."""
    async with files(reply(200, FILE)) as (host, project):
        export = done(f"{host.url}/model.zip")
        with pytest.raises(IsADirectoryError):
            await project.download_export(export, tmp_path)
        (tmp_path / "there").write_bytes(b"old")
        with pytest.raises(FileExistsError):
            await project.download_export(export, tmp_path / "there", overwrite=False)
        with pytest.raises(FileNotFoundError):
            await project.download_export(export, tmp_path / "no" / "folder")
        assert host.seen == []
        assert (
            await project.download_export(export, tmp_path / "new", overwrite=False)
        ).read_bytes() == FILE
        os.symlink(tmp_path / "there", tmp_path / "link")
        await project.download_export(export, tmp_path / "link")
        assert (tmp_path / "there").read_bytes() == b"old"


async def test_a_link_that_is_too_old(tmp_path: Path) -> None:
    """The error says so without naming the URL."""
    async with files(reply(403, b"<Error/>", "x-ms-error-code: AuthenticationFailed")) as (
        host,
        project,
    ):
        with pytest.raises(DownloadLinkExpired, match="expire after a day") as caught:
            await project.download_export(done(f"{host.url}/model.zip?sig=secret"), tmp_path / "x")
        assert (caught.value.code, "secret" in str(caught.value)) == ("AuthenticationFailed", False)
        assert len(host.seen) == 1


async def test_a_host_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    """The request is repeated after the Retry-After. The bytes received so far are kept."""
    trouble = (
        cut(FILE, CUT, TAG, "Accept-Ranges: bytes"),
        reply(503, b"", "Retry-After: 0"),
        reply(500, b""),
    )
    async with files(*trouble, rest) as (host, project):
        path = await project.download_export(done(f"{host.url}/model.zip"), tmp_path / "x")
        assert path.read_bytes() == FILE
        assert [bool(seen.header("Range")) for seen in host.seen] == [False, True, True, True]


async def test_an_image_that_never_ends_is_refused(tmp_path: Path) -> None:
    """More than 16 MiB, announced or not, is not an image."""
    huge = "11111111-1111-1111-1111-111111111111"

    class Image:
        id = huge
        original_uri = ""

    async def endless(seen: Seen, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            writer.write(b"80000\r\n" + bytes(0x80000) + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with files(reply(200, b"x" * (17 << 20)), endless) as (host, project):
        Image.original_uri = f"{host.url}/i"
        for _ in range(2):
            with pytest.raises(DecodeError, match="larger than the maximum"):
                await project.download_image(Image(), tmp_path / "x")
    assert os.listdir(tmp_path) == []


async def test_a_download_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    """The rest never arrives: after a timeout the folder is as it was before."""

    async def half(seen: Seen, reader: Any, writer: Any) -> None:
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(FILE)}\r\n\r\n".encode() + FILE[:CUT]
        )
        await reader.read()

    async with files(half) as (host, project):
        for seconds in (0, 0.0001, 0.001, 0.003, 0.01, 0.1, 0.3):
            with pytest.raises(TimeoutError):
                with anyio.fail_after(seconds):
                    await project.download_export(done(f"{host.url}/x"), tmp_path / "x")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await project.download_export(done(f"{host.url}/x"), tmp_path / "x")
    with anyio.fail_after(10):
        while os.listdir(tmp_path):  # a thread whose task was cancelled cleans up by itself
            await anyio.sleep(0.01)


async def test_a_host_that_hangs_is_given_up(tmp_path: Path) -> None:
    """The read timeout applies between two pieces, as often as the retry options allow."""

    async def half(seen: Seen, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await reader.read()

    patience = {
        "timeouts": Timeouts(read=0.05),
        "retry": Retry(max_attempts=2, initial_backoff=0.01),
    }
    async with (
        peer(half) as host,
        TrainingClient("http://127.0.0.1:9", KEY, blob_hosts=[host.url], **patience) as training,
    ):
        with pytest.raises(RequestTimeout, match="for too long"):
            await training.get_project_client(PROJECT).download_export(
                done(f"{host.url}/x"), tmp_path / "x"
            )
        assert len(host.seen) == 2
    assert os.listdir(tmp_path) == []


async def test_redirects_and_encodings_are_refused(tmp_path: Path) -> None:
    """Neither was requested. The other host receives no request."""
    async with peer(reply(200, FILE)) as other:
        moved = reply(302, b"", f"Location: {other.url}/x")
        async with files(moved, reply(200, b"x", "Content-Encoding: gzip")) as (host, project):
            with pytest.raises(DecodeError, match=r"redirects \(302\) to 127\.0\.0\.1"):
                await project.download_export(done(f"{host.url}/x"), tmp_path / "x")
            with pytest.raises(DecodeError, match="gzip"):
                await project.download_export(done(f"{host.url}/x"), tmp_path / "x")
        assert other.seen == []


# --- where files may be read from


@pytest.mark.parametrize(
    "url",
    [
        "http://x.blob.core.windows.net/a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "http://127.0.0.1:1/a",
        "https://169.254.169.254/metadata",
        "http://169.254.169.254/metadata",
        "https://10.0.0.1/a",
        "https://[fd00::1]/a",
        "https://2130706433/a",
        "https://localhost/a",
        "https://evil.example/a",
        "https://blob.core.windows.net.evil.example/a",
        "https://x.blob.core.windows.net@evil.example/a",
        "https://user:pw@x.blob.core.windows.net/a",
        "https://x.blob.core.windows.net:8443/a",
        "https://xblob.core.windows.net/a",
        "https://x.blob.core.windows.net.:443/a",
        "file:///etc/passwd",
        "data:text/plain,x",
        "ftp://x.blob.core.windows.net/a",
        "//x.blob.core.windows.net/a",
        "https:///a",
        "https://[/a",
        "https://x.blob.core.windows.net:99999/a",
    ],
)
async def test_addresses_that_are_not_read_from(url: str, tmp_path: Path) -> None:
    """A URL of a response that leads elsewhere is refused before its name is resolved."""
    async with TrainingClient("https://orchard.cognitiveservices.azure.com", KEY) as training:
        project = training.get_project_client(PROJECT)
        with pytest.raises(ConnectError) as caught:
            await project.download_export(done(url), tmp_path / "x")
        assert "pw" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("20.60.1.1", True, True),
        ("2603:1030::1", True, True),
        ("10.1.2.3", False, True),
        ("192.168.0.1", False, True),
        ("fd00::1", False, True),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("0.0.0.0", False, False),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:7f00:1::", False, False),
        ("224.0.0.1", False, False),
        ("100.64.0.1", False, False),
    ],
)
def test_addresses_that_a_name_may_lead_to(address: str, public: bool, private: bool) -> None:
    """Public addresses are allowed, private ones only for explicitly named hosts, loopback ones
    never.
    """
    assert is_allowed_address(address, private=False) is public
    assert is_allowed_address(address, private=True) is private


class Resolver:
    """Resolves every name to one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_INET
    ) -> list[dict[str, Any]]:
        """Return the address."""
        return [
            {
                "hostname": host,
                "host": self.address,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        """Do nothing."""


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    """A blob host that resolves to a loopback or link-local address is refused at connect time."""
    async with peer(reply(200, FILE)) as host:
        port = int(host.url.rpartition(":")[2])
        for address in ("127.0.0.1", "169.254.169.254", "10.0.0.1"):
            hosts = BlobHosts([f"https://x.blob.core.windows.net:{port}"])
            reader = BlobReader(hosts, resolver=Resolver(address))
            with pytest.raises(ConnectError, match="not public"):
                async with reader.open(f"https://x.blob.core.windows.net:{port}/a"):
                    pass
            await reader.aclose()
        assert host.connections == 0


def test_hosts_that_can_be_added() -> None:
    """A host, a suffix or an origin. http only for literal loopback. A single string is refused."""
    hosts = BlobHosts(
        ["files.example.com", ".cdn.example", "http://127.0.0.1:8000", "https://[::1]:8443"],
        suffixes=BLOB_HOSTS,
        endpoint="http://[::1]:9",
    )
    for url in (
        "https://files.example.com/a",
        "https://x.cdn.example/a",
        "http://127.0.0.1:8000/a",
        "https://[::1]:8443/a",
        "http://[::1]:9/a",
        "https://x.blob.core.chinacloudapi.cn/a",
    ):
        hosts.check(url, "D")
    for url in (
        "https://cdn.example/a",
        "http://127.0.0.1:8001/a",
        "http://[::1]:10/a",
        "https://127.0.0.1:8000/a",
    ):
        with pytest.raises(ConnectError):
            hosts.check(url, "D")
    for bad in (
        "http://localhost:1",
        "http://10.0.0.1",
        "ftp://x",
        "https://x/path",
        "https://u@x",
    ):
        with pytest.raises(ValueError):
            BlobHosts([bad])
    with pytest.raises(TypeError, match="blob_hosts="):
        BlobHosts("files.example.com")
    with pytest.raises(ConnectError):
        BlobHosts(endpoint="https://orchard.cognitiveservices.azure.com").check(
            "https://orchard.cognitiveservices.azure.com/a", "D"
        )


async def test_no_signature_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The URL grants access to the file: no log and no error has it, even if the connection
    fails.
    """
    caplog.set_level(logging.DEBUG)
    async with files(cut(FILE, 10), retry=Retry(max_attempts=1)) as (host, project):
        url = f"{host.url}/model.zip?sig=topsecret"
        with pytest.raises(ResponseLost) as caught:
            await project.download_export(done(url), tmp_path / "x")
    error: BaseException | None = caught.value
    while error is not None:
        assert "topsecret" not in repr(error) + str(error)
        error = error.__context__
    assert "topsecret" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("customvision")
    )
