"""The upload as a programmer would write it for one occasion, with aiohttp and msgspec.

It does only the necessary: find the files, cut them into batches of 64 images and 16 MB, stream
each batch as multipart in pieces of 128 KiB, eight at a time, and check that every image has status
OK. It does not inspect images, retry, adapt to a rate, match results to files or report failures.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator

import aiohttp
import msgspec
from yarl import URL

from .worker import PROJECT, Meter, Task

__all__ = ["upload"]

_PIECE = 128 * 1024
_YIELD_EVERY = 256 * 1024
_BATCH_BYTES = 16_000_000


class _Result(msgspec.Struct):
    status: str


class _Summary(msgspec.Struct):
    images: list[_Result]


_decode = msgspec.json.Decoder(_Summary).decode


def _files(folder: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _files(entry.path)
            else:
                yield entry.path, entry.stat().st_size


def _batches(folder: str) -> Iterator[list[tuple[str, int]]]:
    batch: list[tuple[str, int]] = []
    weight = 0
    for path, size in _files(folder):
        if batch and (len(batch) == 64 or weight + size > _BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append((path, size))
        weight += size
    if batch:
        yield batch


async def _body(
    batch: list[tuple[str, int]], heads: list[bytes]
) -> AsyncIterator[bytearray | memoryview]:
    buffer = memoryview(bytearray(_PIECE))
    at = sent = 0
    for (path, _), head in zip(batch, heads, strict=False):
        if at + len(head) > _PIECE:
            yield buffer[:at]
            buffer, at = memoryview(bytearray(_PIECE)), 0
        buffer[at : at + len(head)] = head
        at += len(head)
        file = os.open(path, os.O_RDONLY)
        try:
            while count := os.readv(file, [buffer[at:]]):
                at += count
                if at == _PIECE:
                    yield buffer
                    buffer, at = memoryview(bytearray(_PIECE)), 0
                    sent += _PIECE
                    if sent >= _YIELD_EVERY:
                        sent = 0
                        await asyncio.sleep(0)
        finally:
            os.close(file)
    yield buffer[:at]
    yield memoryview(heads[-1])


async def _send(session: aiohttp.ClientSession, url: URL, batch: list[tuple[str, int]]) -> int:
    heads = [
        b'\r\n--batch\r\nContent-Disposition: form-data; name="imageData"; filename="%d"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" % number
        for number in range(len(batch))
    ]
    heads[0] = heads[0][2:]
    heads.append(b"\r\n--batch--\r\n")
    length = sum(map(len, heads)) + sum(size for _, size in batch)
    headers = {
        "Content-Type": "multipart/form-data; boundary=batch",
        "Content-Length": str(length),
        "Training-Key": "0" * 32,
    }
    async with session.post(url, data=_body(batch, heads), headers=headers) as response:
        summary = _decode(await response.read())
    return sum(result.status == "OK" for result in summary.images)


async def _upload(task: Task) -> dict[str, float]:
    context = ssl.create_default_context(cafile=task.ca) if task.ca is not None else True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=8, ssl=context)
    ) as session:
        base = f"{task.endpoint}/customvision/v3.3/training/projects/{PROJECT}"
        async with session.get(f"{base}/tags") as response:
            await response.read()
        url = URL(f"{base}/images", encoded=True)
        with Meter() as meter:
            batches = _batches(task.folder)

            async def work() -> int:
                return sum([await _send(session, url, batch) for batch in batches])

            done = sum(await asyncio.gather(*(work() for _ in range(8))))
        assert done == task.count, done
        return meter.counted(done)


def upload(task: Task) -> dict[str, float]:
    """Upload a folder."""
    return asyncio.run(_upload(task))
