"""A stand-in for the service with minimal overhead: ``python -m benchmarks.sink '{"core": 1,
...}'``.

It runs in a process of its own on its own core, with one thread per connection and blocking calls.
The kernel discards bodies of plain HTTP (``MSG_TRUNC``); bodies of TLS are decrypted into one
buffer. Responses are prepared in advance, with the form and length of those of the service: 64
results with their images are 80 KB, a page of 256 images is 310 KB.

It does not parse bodies of images. All images have one known length, so the Content-Length gives
their number. This holds for multipart and for base64, because the overhead per image is far shorter
than an image (or the batch is full).
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

__all__ = ["Options", "image_json"]

_BUFFER = 1 << 20
_START = 512
"""Bytes of a body that are inspected."""
_DISCARD = getattr(socket, "MSG_TRUNC", 0)


@dataclass
class Options:
    """The options of the sink: `image_size` is the length of every image, `images` the length of a
    list, and `think` the seconds per request.
    """

    core: int | None = None
    image_size: int = 20_000
    images: int = 50_000
    think: float = 0.0
    certificate: str | None = None
    seen: dict[str, int] = field(default_factory=dict[str, int])


def image_json(number: int) -> bytes:
    """Return an image as the service writes it, 1.2 KB."""
    name = f"{number:08x}95b24c0b8a2c1c3f0c1d2e3f"
    store = f"https://irisprodeutraining.blob.core.windows.net:443/i-{name}/"
    key = (
        "?sv=2020-04-08&se=2024-05-21T08%3A41%3A57Z&sr=b&sp=r"
        "&sig=Q0fT9xkV3mJ2nUoW4yZbR7sLd1eHc8aGp6iKtXqMwE0%3D"
    )
    tags = [
        {
            "tagId": f"48cdc50b-0ee0-4f02-afa8-e100568e1f6{n}",
            "tagName": f"tag number {n}",
            "created": "2024-05-20T08:41:57.3047123Z",
        }
        for n in range(2)
    ]
    image = {
        "id": f"{number:08x}-95b2-4c0b-8a2c-1c3f0c1d2e3f",
        "created": "2024-05-20T08:41:57.1527345Z", "width": 640, "height": 480,
        "resizedImageUri": f"{store}i-{name}{key}", "thumbnailUri": f"{store}t-{name}{key}",
        "originalImageUri": f"{store}o-{name}{key}", "tags": tags, "regions": [],
    }  # fmt: skip
    return json.dumps(image, separators=(",", ":")).encode()


@cache
def _image(number: int) -> bytes:
    return image_json(number)


_NONCE = re.compile(rb'(?:filename=|"name": ?)"([0-9a-f]{16})00"')
"""The name of the first image in a request of this package. Its names are in the response."""
_ANY_NONCE = b"0123456789abcdef"


def _summary_to(start: bytes, count: int, *, quoted: bool) -> bytes:
    """Return the response to a create request whose body begins with `start`."""
    if (found := _NONCE.search(start)) is None:
        return _summary(count, quoted, b"")
    return _summary(count, quoted, _ANY_NONCE).replace(_ANY_NONCE, found[1])


@cache
def _summary(count: int, quoted: bool, nonce: bytes) -> bytes:
    """Return the response to a create request, in another order than the request."""
    results = []
    for number in sorted(range(count), key=lambda n: (n * 7) % 64):
        name = f"{nonce.decode()}{number:02}" if nonce else str(number)
        name = f'"\\"{name}\\""' if quoted else f'"{name}"'
        results.append(
            b'{"sourceUrl":%s,"status":"OK","image":%s}' % (name.encode(), _image(number))
        )
    return _answer(200, b'{"isBatchSuccessful":true,"images":[%s]}' % b",".join(results))


def _answer(status: int, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    return (
        head.encode()
        + b"apim-request-id: 6d2f5a4e-0f5a-4b6e-9a53-2f0d5ad6a3d1\r\n"
        + b"Date: Mon, 20 May 2024 08:41:58 GMT\r\n\r\n"
        + body
    )


class _Connection:
    """One connection, in one thread."""

    def __init__(self, peer: socket.socket, options: Options) -> None:
        self._peer = peer
        self._options = options
        self._buffer = memoryview(bytearray(_BUFFER))
        self._tls = isinstance(peer, ssl.SSLSocket)

    def serve(self) -> None:
        with suppress(OSError), self._peer:
            have = b""
            while True:
                while (end := have.find(b"\r\n\r\n")) < 0:
                    data = self._peer.recv(65536)
                    if not data:
                        return
                    have += data
                head, have = have[:end], have[end + 4 :]
                have = self._request(head, have)

    def _request(self, head: bytes, have: bytes) -> bytes:
        """Respond to one request. Return the bytes that were read beyond it."""
        line, _, headers = head.partition(b"\r\n")
        method, target, _ = line.split(b" ", 2)
        path, _, query = target.partition(b"?")
        length = _length(headers)
        body, left = have[:length], have[length:]
        options = self._options
        verb = path.rsplit(b"/", 1)[-1].decode()
        name = f"{method.decode()} {verb}"
        if method == b"POST" and verb == "tags" and b"/images/" in path:
            body += self._whole(length - len(body))
            pairs = body[body.index(b"[") : body.rindex(b"]") + 1]
            response = _answer(200, b'{"created":%s,"duplicated":[],"exceeded":[]}' % pairs)
        else:
            if method == b"POST" and verb in ("images", "files"):
                body += self._whole(min(length, _START) - len(body))
            self._throw_away(length - len(body))
            response = self._canned(method, verb, query, length, body)
        options.seen[name] = options.seen.get(name, 0) + 1
        if options.think:
            time.sleep(options.think)
        self._peer.sendall(response)
        return left

    def _canned(self, method: bytes, verb: str, query: bytes, length: int, start: bytes) -> bytes:
        image_size = self._options.image_size
        if method == b"POST" and verb == "images":
            return _summary_to(start, min(64, length // image_size), quoted=True)
        if method == b"POST" and verb == "files":
            return _summary_to(start, min(64, length // ((image_size + 2) // 3 * 4)), quoted=False)
        if method == b"GET" and verb == "images":
            fields = dict(pair.split(b"=", 1) for pair in query.split(b"&"))
            first = int(fields.get(b"skip", b"0"))
            last = min(self._options.images, first + int(fields.get(b"take", b"50")))
            return _answer(200, b"[%s]" % b",".join(map(_image, range(first, last))))
        if method == b"GET" and verb == "count":
            return _answer(200, str(self._options.images).encode())
        if method == b"GET" and verb == "seen":
            return _answer(200, json.dumps(self._options.seen).encode())
        if method == b"DELETE":
            return b"HTTP/1.1 204 No Content\r\nDate: Mon, 20 May 2024 08:41:58 GMT\r\n\r\n"
        return _answer(200, b"[]")

    def _throw_away(self, length: int) -> None:
        receive, buffer = self._peer.recv_into, self._buffer
        while length > 0:
            count = (
                receive(buffer, min(length, _BUFFER))
                if self._tls
                else receive(buffer, min(length, _BUFFER), _DISCARD)
            )
            if not count:
                raise ConnectionResetError
            length -= count

    def _whole(self, length: int) -> bytes:
        parts = []
        while length > 0:
            parts.append(self._peer.recv(length))
            length -= len(parts[-1])
        return b"".join(parts)


def _length(headers: bytes) -> int:
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _accept(listener: socket.socket, options: Options, context: ssl.SSLContext | None) -> None:
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_shake_hands, args=(peer, options, context), daemon=True).start()


def _shake_hands(peer: socket.socket, options: Options, context: ssl.SSLContext | None) -> None:
    if context is not None:
        try:
            peer = context.wrap_socket(peer, server_side=True)
        except OSError:
            return
    _Connection(peer, options).serve()


def main() -> None:
    """Serve until standard input ends. Print the port first."""
    told: dict[str, Any] = json.loads(sys.argv[1])
    options = Options(**told)
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    context = None
    if options.certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=_accept, args=(listener, options, context), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
