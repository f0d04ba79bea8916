"""Render a planned body to the bytes that are sent."""

from __future__ import annotations

import base64
from pathlib import Path

from customvision_async._content import Blob, Content


def rendered(content: Content) -> bytes:
    """Return all bytes of `content`, with its blobs read (in base64 where it says so)."""
    return b"".join(
        piece if isinstance(piece, bytes) else _blob(piece, encode=content.base64)
        for piece in content.pieces
    )


def _blob(blob: Blob, *, encode: bool) -> bytes:
    if blob.data is not None:
        data = bytes(blob.data)
    elif blob.path is not None:
        data = Path(blob.path).read_bytes()
    else:
        assert blob.file is not None
        blob.file.seek(blob.offset)
        data = blob.file.read(blob.size)
    assert len(data) == blob.size
    return base64.b64encode(data) if encode else data
