"""A file of a folder that has been inspected, so that an upload need not open it twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import IO, TypedDict, Unpack

from .._content import Blob
from ..models.inputs import ImageFile, Region, TagLike

__all__ = ["ScannedImage"]


class _FileOptions(TypedDict, total=False):
    """The arguments of :class:`ImageFile`, besides its path."""

    data: bytes | bytearray | memoryview | None
    file: IO[bytes] | None
    name: str | None
    tags: Iterable[TagLike]
    regions: Iterable[Region]
    metadata: Mapping[str, str] | None


class ScannedImage(ImageFile):
    """A file of a folder that has been inspected.

    `blob` is the result of the inspection, which need not be repeated. It is an OSError if the file
    could not be read, or is a folder that could not be listed. Such an item fails with that error.

    Copies, and results of ``dataclasses.replace``, have no `blob` and are inspected like any file.
    """

    __slots__ = ("blob",)
    blob: Blob | OSError | None

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        blob: Blob | OSError | None = None,
        **options: Unpack[_FileOptions],
    ) -> None:
        super().__init__(path, **options)
        # The base class is frozen.
        object.__setattr__(self, "blob", blob)

    def __reference__(self) -> ScannedImage:
        """Return the image itself, without its prefetched bytes."""
        if isinstance(self.blob, Blob):
            self.blob.pop_prefetched()
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return partial(
            ImageFile,
            self.path,
            name=self.name,
            tags=self.tags,
            regions=self.regions,
            metadata=self.metadata,
        ), ()
