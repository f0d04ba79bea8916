"""Download a file to disk, complete or not at all.

The length and the MD5 (if the host gives one) are checked before the file gets its name. After a
broken connection the download resumes, if the host supports it and the file has not changed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio

from .._options import Retry
from .._statuses import meaning_of
from ..errors import (
    DecodeError,
    DownloadLinkExpired,
    InternalServerError,
    NotFoundError,
    ResponseLost,
    ServiceError,
    TransportError,
)
from .atomic_file import AtomicFile, atomic_file
from .blob_reader import BlobPart, BlobReader
from .retry import parse_retry_after

__all__ = ["Downloader", "save"]

_WRITE = 1 << 20
"""Bytes that one call of a worker thread writes."""
_PROGRESS = 1 << 16
"""Bytes beyond the previous maximum that count as progress, so that retries start anew."""


class _HostUnavailable(InternalServerError):
    """The host is temporarily unavailable. `retry_after` is the wait that it asks for."""

    def __init__(self, retry_after: float | None, **fields: Any) -> None:
        super().__init__("the host of the file is temporarily unavailable", **fields)
        self.retry_after = retry_after


class Downloader:
    """Download files with a :class:`BlobReader`, and retry as the options of the client allow."""

    def __init__(self, reader: BlobReader, retry: Retry | None = None) -> None:
        self._reader = reader
        self._retry = retry or Retry()

    async def fetch(
        self,
        url: str,
        path: str | os.PathLike[str],
        *,
        operation: str,
        max_bytes: int,
        overwrite: bool = True,
    ) -> Path:
        """Download the file at `url` to `path`, and return the path.

        Args:
            url: URL of the file.
            path: File to write.
            operation: Name for error messages.
            max_bytes: Maximum size of the file.
            overwrite: Whether to replace an existing file.

        Raises:
            FileExistsError: `path` exists, and must not be overwritten.
            OSError: The file cannot be written.
            DownloadLinkExpired: The URL is no longer valid.
            ServiceError, TransportError: The file could not be read.
            DecodeError: The file is too large, or the URL is redirected.
        """
        self._reader.hosts.check(url, operation)
        async with atomic_file(path, overwrite=overwrite) as file:
            await _Transfer(self._reader, self._retry, url, operation, max_bytes, file).run()
        return Path(path)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._reader.aclose()


async def save(data: bytes, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write `data` to `path`, complete or not at all, and return the path."""
    async with atomic_file(path, overwrite=overwrite) as file:
        await file.write(data)
    return Path(path)


class _Transfer:
    """The download of one file, over as many connections as it needs."""

    def __init__(
        self,
        reader: BlobReader,
        retry: Retry,
        url: str,
        operation: str,
        max_bytes: int,
        file: AtomicFile,
    ) -> None:
        self._reader = reader
        self._retry = retry
        self._url = url
        self._operation = operation
        self._max_bytes = max_bytes
        self._file = file
        self._received = 0
        self._furthest = 0
        self._total: int | None = None
        self._validator = ""
        self._md5 = ""
        self._digest = hashlib.md5(usedforsecurity=False)

    async def run(self) -> None:
        """Download the file, and retry until it is complete or the attempts are used up."""
        failures = 0
        while True:
            requested: float | None = None
            try:
                await self._attempt()
                return
            except TransportError as error:
                failure: Exception = error
            except ServiceError as error:
                if not meaning_of(error.status).retried:
                    raise
                failure, requested = (
                    error,
                    error.retry_after if isinstance(error, _HostUnavailable) else None,
                )
            failures = 0 if self._received >= self._furthest + _PROGRESS else failures + 1
            self._furthest = max(self._furthest, self._received)
            if failures >= self._retry.max_attempts:
                raise failure
            wait = random.uniform(  # noqa: S311 - no secret
                0.0, min(self._retry.max_backoff, self._retry.initial_backoff * 2.0**failures)
            )
            await anyio.sleep(max(wait, min(requested or 0.0, self._retry.max_retry_after)))

    async def _attempt(self) -> None:
        start = self._received if self._validator else 0
        if start and start == self._total:
            start = 0  # the whole file arrived, and was wrong
        async with self._reader.open(
            self._url, start=start, validator=self._validator, operation=self._operation
        ) as part:
            if part.status == 206 and start and _range_of(part.headers, start, self._total):
                pass
            elif part.status == 200:
                await self._start_over(part.headers)
            elif part.status in (206, 416):
                # The host did not send the requested range. Start from the beginning.
                self._received, self._validator = 0, ""
                raise ResponseLost(
                    f"the host did not send the requested part of the file ({part.status})",
                    operation=self._operation,
                )
            else:
                raise await _error_of(part, self._operation)
            await self._copy(part.pieces)
        self._check()

    async def _start_over(self, headers: Mapping[str, str]) -> None:
        length = headers.get("content-length", "")
        self._total = int(length) if length.isascii() and length.isdigit() else None
        self._check_size(self._total or 0)
        etag = headers.get("etag", "")
        ranges = headers.get("accept-ranges", "").lower() == "bytes" or "x-ms-version" in headers
        self._validator = etag if ranges and etag.startswith('"') else ""
        self._md5 = headers.get("content-md5", "")
        self._digest = hashlib.md5(usedforsecurity=False)
        self._received = 0
        await self._file.restart()

    async def _copy(self, pieces: AsyncIterator[bytes]) -> None:
        pending: list[bytes] = []
        size = 0
        try:
            async for piece in pieces:
                pending.append(piece)
                size += len(piece)
                self._check_size(self._received + size)
                if size >= _WRITE:
                    await self._write(pending)
                    pending, size = [], 0
        except TransportError:
            await self._write(pending)  # so that it need not be requested again
            raise
        await self._write(pending)

    async def _write(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        await self._file.write(data)
        self._digest.update(data)
        self._received += len(data)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise DecodeError(
                f"{self._operation}: the file is larger than the maximum of"
                f" {self._max_bytes:,} bytes"
            )

    def _check(self) -> None:
        if self._total is not None and self._received != self._total:
            wrong = f"{self._received:,} of {self._total:,} bytes arrived"
        elif self._md5 and base64.b64encode(self._digest.digest()).decode() != self._md5.strip():
            wrong = "the data does not match the checksum that the host gives"
        else:
            return
        self._received, self._validator = 0, ""
        raise ResponseLost(wrong, operation=self._operation)


def _range_of(headers: Mapping[str, str], start: int, total: int | None) -> bool:
    """Return whether the response is the file from byte `start` on."""
    unit, _, rest = headers.get("content-range", "").partition(" ")
    span, _, whole = rest.partition("/")
    return (
        unit.lower() == "bytes"
        and span.startswith(f"{start}-")
        and (total is None or whole.strip() in ("*", str(total)))
    )


async def _error_of(part: BlobPart, operation: str) -> Exception:
    """Return the error for a response without the file."""
    status = part.status
    body = b""
    async for piece in part.pieces:
        body += piece
        if len(body) > 4096:
            break
    code = part.headers.get("x-ms-error-code", "")
    fields: dict[str, Any] = {
        "status": status,
        "code": code,
        "operation": operation,
        "request_id": part.headers.get("x-ms-request-id", ""),
    }
    if status == 403:
        return DownloadLinkExpired(
            "the URL of the file is not valid, or no longer: such URLs expire after a day",
            **fields,
        )
    if status == 404:
        return NotFoundError("the file does not exist, or no longer exists", **fields)
    if meaning_of(status).may_have_effect or meaning_of(status).retried:
        return _HostUnavailable(parse_retry_after(part.headers, body, time.time()), **fields)
    return ServiceError("the host of the file rejected the request", **fields)
