"""Items that are wrong in every way that an object can be. Each must fail on its own."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from customvision_async import (
    AuthenticationError,
    ConnectError,
    ImageFile,
    ImageFromPrediction,
    ImageUrl,
    Region,
)

__all__ = [
    "BAD_FILES",
    "BAD_IDS",
    "BAD_IMAGES",
    "BAD_REGIONS",
    "ERRORS",
    "IMAGE",
    "LONG_NAME",
    "LateFile",
    "raising",
]

IMAGE = b"GIF89a\x08\x00\x08\x00"
"""The start of an image. Any bytes may follow."""
LONG_NAME = "n" * 20_000
"""A tag name that fits in no URL."""


class ItemsOwn(Exception):
    """The error of the objects below. Its text raises too."""

    def __str__(self) -> str:
        raise ItemsOwn


ERRORS: tuple[Callable[[], BaseException], ...] = (
    ItemsOwn,
    lambda: ValueError("a value"),
    lambda: OSError(errno.EIO, "Input/output error"),
    lambda: ExceptionGroup("a group", [ItemsOwn()]),
    StopIteration,
    StopAsyncIteration,
    RecursionError,
    MemoryError,
    TimeoutError,
    asyncio.CancelledError,
    lambda: ConnectError("the item has a client of its own"),
    lambda: AuthenticationError("the item has a client of its own", status=401),
)
"""Exceptions that an object may raise. Some look like an error of the run."""

_error: Callable[[], BaseException] = ItemsOwn


@contextmanager
def raising(error: Callable[[], BaseException]) -> Iterator[None]:
    """Let the objects below raise `error` inside the block."""
    global _error
    _error = error
    try:
        yield
    finally:
        _error = ItemsOwn


def _raises(*_: object, **__: object) -> Any:
    raise _error()


class Hostile:
    """An object that raises from every special method."""

    __eq__ = __hash__ = __repr__ = __str__ = __len__ = __bool__ = __iter__ = __float__ = _raises
    __getattr__ = _raises
    read = name = path = id = property(_raises)


class HostileClass:
    """An object that raises when asked for its class."""

    __class__ = property(_raises)  # type: ignore[assignment]  # on purpose


class HostilePath(os.PathLike[str]):
    """A path that raises."""

    __eq__ = __hash__ = __repr__ = __str__ = __fspath__ = _raises


class HostileFile:
    """A file whose `read` attribute raises."""

    read = property(_raises)


class BrokenFile:
    """A file that raises on read."""

    name = property(_raises)

    def read(self, count: int = -1) -> bytes:
        raise _error()

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return 0

    def seek(self, *_: int) -> int:
        return 10


class LateFile(BrokenFile):
    """A file that passes the inspection and raises on upload."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, count: int = -1) -> bytes:
        self.reads += 1
        if self.reads > 1:
            raise _error()
        return IMAGE


class HostileText(str):
    """Text that cannot be compared, hashed or shown."""

    __slots__ = ()
    __eq__ = __hash__ = __repr__ = __str__ = __format__ = encode = startswith = endswith = _raises  # type: ignore[assignment]


class HostileMapping(Mapping[str, str]):
    """Metadata that raises on read."""

    __getitem__ = __iter__ = _raises

    def __len__(self) -> int:
        return 1


class EndlessMapping(HostileMapping):
    """Metadata that never ends."""

    def items(self) -> Any:
        def pairs() -> Iterator[tuple[str, str]]:
            number = 0
            while True:
                yield str(number), ""
                number += 1

        return pairs()


class OddMapping(HostileMapping):
    """Metadata that yields items that are not pairs."""

    def items(self) -> Any:
        return [1, 2, 3]


class Itself:
    """A model whose id is the model itself."""

    @property
    def id(self) -> Itself:
        return self


def _number(value: Any) -> Region:
    return Region("tag1", value, 0.1, 0.2, 0.2)


BAD_REGIONS: tuple[Callable[[], Any], ...] = (
    lambda: _number(10**400),
    lambda: _number(10**5000),
    lambda: _number(float("nan")),
    lambda: _number(float("-inf")),
    lambda: _number("left"),
    lambda: _number(None),
    lambda: _number(1j),
    lambda: _number(Hostile()),
    lambda: Region(Hostile(), 0.1, 0.1, 0.2, 0.2),  # type: ignore[arg-type]
    lambda: Region(HostileClass(), 0.1, 0.1, 0.2, 0.2),  # type: ignore[arg-type]
    lambda: Region(["tag1"], 0.1, 0.1, 0.2, 0.2),  # type: ignore[arg-type]
    lambda: Region("no such tag", 0.1, 0.1, 0.2, 0.2),
    lambda: Region(LONG_NAME, 0.1, 0.1, 0.2, 0.2),
    lambda: Region("\ud800", 0.1, 0.1, 0.2, 0.2),
)
"""Regions that are invalid for every image."""


def _image(number: int, **given: Any) -> ImageFile:
    return ImageFile(data=IMAGE + b"bad %d" % number, **given)


BAD_FILES: tuple[Callable[[], Any], ...] = (
    Hostile,
    HostileClass,
    HostilePath,
    HostileFile,
    BrokenFile,
    LateFile,
    Itself,
    lambda: HostileText("\0"),
    lambda: ImageFile(HostilePath()),
    lambda: ImageFile(file=HostileFile()),  # type: ignore[arg-type]
    lambda: ImageFile(file=BrokenFile()),  # type: ignore[arg-type]
    lambda: ImageFile(file=LateFile()),  # type: ignore[arg-type]
    lambda: ImageUrl("https://images.example/\ud800"),
    lambda: ImageUrl(HostileText("https://images.example/\r\n")),
    lambda: ImageFromPrediction("\ud800"),
)
"""Items that hold no valid image."""

BAD_IMAGES: tuple[Callable[[], Any], ...] = (
    *(lambda make=make: _image(0, regions=[make()]) for make in BAD_REGIONS[:11]),  # type: ignore[misc]
    *BAD_FILES,
    lambda: _image(1, tags=[LONG_NAME]),
    lambda: _image(2, tags=["\ud800"]),
    lambda: _image(3, tags=["\r\n"]),
    lambda: _image(4, tags=[["tag0"]]),
    lambda: _image(5, tags=[Hostile()]),
    lambda: _image(6, tags=[HostileClass()]),
    lambda: _image(7, tags=[HostileText("\r\n")]),
    lambda: _image(8, metadata=Hostile()),
    lambda: _image(9, metadata=HostileMapping()),
    lambda: _image(10, metadata=EndlessMapping()),
    lambda: _image(11, metadata=OddMapping()),
    lambda: _image(12, metadata={"k": "\ud800"}),
    lambda: _image(13, metadata={"k": Hostile()}),
    lambda: _image(14, metadata={Itself(): "v"}),
    lambda: _image(15, name=HostileText("n"), regions=[("tag0", 0, 0, 1, 1)]),
)
"""Images that cannot be uploaded."""

BAD_IDS: tuple[Callable[[], Any], ...] = (
    Hostile,
    HostileClass,
    Itself,
    HostilePath,
    lambda: HostileText("no id"),
    lambda: "\ud800" * 36,
    lambda: "n" * 20_000,
    lambda: None,
    lambda: 10**400,
    lambda: b"bytes",
    lambda: UUID,
)
"""Items that are not a valid id."""
