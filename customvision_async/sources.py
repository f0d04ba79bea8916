"""Things to feed a batch: a folder, URLs, a manifest. Each is lazy, and can be iterated over by itself to see what it would give."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import aiofiles
import anyio.to_thread
import msgspec

from ._content import Blob
from ._inputs.image_header import NotAnImage, inspect_path
from .errors import ItemError, LimitExceeded
from .models import (
    ImageFile,
    ImageFromPrediction,
    ImagePrediction,
    ImageUrl,
    Region,
    SkippedItem,
    StoredImagePrediction,
    Tag,
)
from .models.inputs import TagLike

__all__ = [
    "FolderImages",
    "ManifestImages",
    "ScannedImage",
    "images_from_manifest",
    "images_from_urls",
    "images_in",
    "manifest_entry",
]

_GROUP = 128
"""Files looked at in one hop to a worker thread: a hop costs about 60 us, a file 10."""
_AHEAD = 32 * 1024
"""A file of up to this length is read when it is looked at: to open it once more for the body would cost more than to keep it a while."""

Found: TypeAlias = "ScannedImage | ImageFile | SkippedItem"


class ScannedImage(ImageFile):
    """A file of a folder that has been looked at: `blob` is its place, size and stamp, so it need not be looked at again.

    A copy of one, or what ``dataclasses.replace`` makes of it, has no `blob`: it is a file like any other.
    """

    __slots__ = ("blob",)
    blob: Blob | None

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _put_blob(self, None)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(
            ImageFile,
            self.path,
            name=self.name,
            tags=self.tags,
            regions=self.regions,
            metadata=self.metadata,
        ), ()


_put_blob, _put_path, _put_data, _put_file, _put_name, _put_tags, _put_regions, _put_metadata = (
    getattr(ScannedImage, name).__set__
    for name in ("blob", "path", "data", "file", "name", "tags", "regions", "metadata")
)


def _scanned(blob: Blob, name: str, tags: tuple[TagLike, ...]) -> ScannedImage:
    """Not by ``__init__``: nothing here needs checking, and there are many."""
    file = ScannedImage.__new__(ScannedImage)
    _put_blob(file, blob)
    _put_path(file, blob.path)
    _put_data(file, None)
    _put_file(file, None)
    _put_name(file, name)
    _put_tags(file, tags)
    _put_regions(file, ())
    _put_metadata(file, None)
    return file


def images_in(
    folder: str | os.PathLike[str],
    *,
    tags: Iterable[TagLike] = (),
    tags_from_folders: bool = False,
    recursive: bool = True,
) -> FolderImages:
    """The pictures in a folder, in the order of their names: regular files whose first bytes are JPEG, PNG, GIF or BMP.

    Args:
        folder: where to look; a single file will do too.
        tags: given to every picture.
        tags_from_folders: the first folder below `folder` on the way to a picture is a tag of it:
            ``photos/apple/2024/1.jpg`` is an apple. Pictures right in `folder` get none.
        recursive: look into the folders below too.

    What is left out is not silent: hidden files and folders, symbolic links, files that are no pictures or cannot be read come as
    :class:`SkippedItem` with the reason, and a report counts them as skipped. A picture the service would refuse
    (over 6 MB, sides over 10,240 pixels or 25:1) comes as an :class:`ImageFile` like any other, and fails before it is sent.

    Raises:
        FileNotFoundError: there is no such folder.
        PermissionError: it cannot be read.
        TypeError: `tags` is a single string.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags is one string; write tags=[{tags!r}]")
    return FolderImages(os.fsdecode(folder), tuple(tags), tags_from_folders, recursive)


class FolderImages:
    """What :func:`images_in` gives: an async iterable of pictures and skipped files, which can be gone through any number of times."""

    def __init__(
        self, folder: str, tags: tuple[TagLike, ...], tags_from_folders: bool, recursive: bool
    ) -> None:
        if not os.path.isdir(folder):
            os.stat(folder)  # raises what is the matter
        else:
            os.scandir(folder).close()
        self._folder = folder
        self._tags = tags
        self._tags_from_folders = tags_from_folders
        self._recursive = recursive

    def __repr__(self) -> str:
        return f"images_in({self._folder!r})"

    async def __aiter__(self) -> AsyncIterator[Found]:
        async with aclosing(
            self._groups(0)
        ) as groups:  # whoever takes them one by one may keep them: no bytes are read ahead
            async for group in groups:
                for found in group:
                    yield found

    def groups(self) -> AsyncIterator[list[Found]]:
        """The same in lists, for an upload. The bytes of small files come with them, and are let go as they are sent."""
        return self._groups(_AHEAD)

    async def _groups(self, ahead: int) -> AsyncGenerator[list[Found], None]:
        """Each group is one hop to a worker thread."""
        found = self._scan(ahead)
        while group := await anyio.to_thread.run_sync(lambda: list(islice(found, _GROUP))):
            yield group

    def _scan(self, ahead: int) -> Iterator[Found]:
        if not os.path.isdir(self._folder):
            yield self._look(self._folder, os.path.basename(self._folder), self._tags, ahead)
            return
        open_folders = [
            self._listed(self._folder, "", self._tags, ahead)
        ]  # a stack, since folders may be deeper than Python recurses
        while open_folders:
            for found in open_folders[-1]:
                if isinstance(found, _Folder):
                    open_folders.append(
                        self._listed(found.path, f"{found.name}/", found.tags, ahead)
                    )
                    break
                yield found
            else:
                open_folders.pop()

    def _listed(
        self, folder: str, prefix: str, tags: tuple[TagLike, ...], ahead: int
    ) -> Iterator[Found | _Folder]:
        """What is right in `folder`, by name. Of a name only what cannot be found out later is kept: there may be a million."""
        names: list[str] = []
        links: set[str] = set()
        folders: set[str] = set()
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    names.append(entry.name)
                    if entry.is_symlink():
                        links.add(entry.name)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.add(entry.name)
        except OSError as error:
            if not prefix:
                raise
            yield SkippedItem(prefix, _reason(error), folder)
            return
        names.sort(reverse=True)
        root = os.path.join(folder, "")
        while names:
            base = names.pop()
            path, name = root + base, prefix + base
            if base.startswith("."):
                yield SkippedItem(name, "hidden", path)
            elif base in links:
                yield SkippedItem(name, "a symbolic link: these are not followed", path)
            elif base not in folders:
                yield self._look(path, name, tags, ahead)
            elif self._recursive:
                yield _Folder(
                    path,
                    name,
                    (*tags, base)
                    if self._tags_from_folders and not prefix and base not in tags
                    else tags,
                )

    def _look(self, path: str, name: str, tags: tuple[TagLike, ...], ahead: int) -> Found:
        try:
            return _scanned(
                inspect_path(path, follow=path == self._folder, ahead=ahead), name, tags
            )
        except NotAnImage as error:
            return SkippedItem(name, str(error), path)
        except LimitExceeded:
            return ImageFile(
                path, name=name, tags=tags
            )  # looked at again when it is prepared, and failed there with the reason
        except OSError as error:
            return SkippedItem(name, _reason(error), path)


class _Folder(NamedTuple):
    path: str
    name: str
    tags: tuple[TagLike, ...]


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a symbolic link: these are not followed"
    return f"cannot be read: {error.strerror or error}"


def images_from_urls(urls: Iterable[str], *, tags: Iterable[TagLike] = ()) -> Iterator[ImageUrl]:
    """Pictures for the service to fetch, each with `tags`. Lazy: `urls` is read as the batch goes (an open text file of URLs will do).

    What is no string goes through as it is, and fails as that one item of the batch.

    Raises:
        TypeError: `urls` or `tags` is a single string.
    """
    for given, name in ((urls, "urls"), (tags, "tags")):
        if isinstance(given, str):
            raise TypeError(f"{name} is one string; write {name}=[{given[:80]!r}]")
    return _image_urls(urls, tuple(tags))


def _image_urls(urls: Iterable[Any], tags: tuple[TagLike, ...]) -> Iterator[ImageUrl]:
    for url in urls:
        if not isinstance(url, str):
            yield url
        elif line := url.strip():
            yield ImageUrl(line, tags=tags)


def images_from_manifest(path: str | os.PathLike[str]) -> ManifestImages:
    """The pictures that a manifest lists: a text file with one JSON object a line, as a failed-items file is.

    Each has one of `path` (relative to the manifest), `url` and `prediction`, and may have `name`, `tags` (names or ids), `regions`
    (objects with `tag`, `left`, `top`, `width`, `height`) and `metadata`. A line that cannot be read comes as a :class:`SkippedItem`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    os.stat(path)
    return ManifestImages(Path(path))


class ManifestImages:
    """What :func:`images_from_manifest` gives."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __aiter__(
        self,
    ) -> AsyncIterator[ImageFile | ImageUrl | ImageFromPrediction | SkippedItem]:
        number = 0
        async with aiofiles.open(self._path, "rb") as lines:
            async for line in lines:
                number += 1
                if line.strip():
                    yield self._read(line, number)

    def _read(
        self, line: bytes, number: int
    ) -> ImageFile | ImageUrl | ImageFromPrediction | SkippedItem:
        try:
            entry = msgspec.convert(
                json.loads(line), _Entry
            )  # msgspec's own reader refuses names that are no Unicode
            regions = [
                Region(box.tag, box.left, box.top, box.width, box.height) for box in entry.regions
            ]
            common: dict[str, Any] = {
                "name": entry.name,
                "tags": entry.tags,
                "regions": regions,
                "metadata": entry.metadata,
            }
            if entry.path is not None:
                path = self._path.parent / entry.path
                return ImageFile(path, **{**common, "name": entry.name or entry.path})
            if entry.url is not None:
                return ImageUrl(entry.url, **common)
            if entry.prediction is not None:
                return ImageFromPrediction(entry.prediction, **common)
        except (ValueError, RecursionError) as error:  # msgspec's errors and json's are ValueErrors
            return SkippedItem(
                f"{self._path.name}:{number}", f"not a line of a manifest: {error}", str(self._path)
            )
        return SkippedItem(
            f"{self._path.name}:{number}",
            "not a line of a manifest: it has none of path, url, prediction",
            str(self._path),
        )


class _Box(msgspec.Struct):
    tag: str
    left: float
    top: float
    width: float
    height: float


class _Entry(msgspec.Struct, omit_defaults=True):
    path: str | None = None
    url: str | None = None
    prediction: str | None = None
    name: str | None = None
    tags: list[str] = []
    regions: list[_Box] = []
    metadata: dict[str, str] | None = None
    error: str | None = None


def manifest_entry(item: object, error: ItemError | str | None = None) -> dict[str, Any] | None:
    """The manifest line for an item of a batch (with what went wrong), or None where nothing on disk or the web stands for it.

    Paths are made absolute, so that the manifest may be written anywhere.
    """

    def known(tag: TagLike) -> str:
        return tag.id if isinstance(tag, Tag) else str(tag)

    entry = _Entry(error=str(error) if error else None)
    if isinstance(item, ImageFile) and item.path is not None:
        entry.path = os.path.abspath(item.path)
    elif isinstance(item, ImageUrl):
        entry.url = item.url
    elif isinstance(item, ImageFromPrediction):
        entry.prediction = item.id
    elif isinstance(item, (UUID, ImagePrediction, StoredImagePrediction)):
        entry.prediction = str(item if isinstance(item, UUID) else item.id)
    elif isinstance(item, (str, PurePath)):
        entry.path = os.path.abspath(item)
    else:
        return None
    if isinstance(item, (ImageFile, ImageUrl, ImageFromPrediction)):
        entry.name = item.name
        entry.tags = [known(tag) for tag in item.tags]
        entry.regions = [
            _Box(known(region.tag), region.left, region.top, region.width, region.height)
            for region in item.regions
        ]
        entry.metadata = dict(item.metadata) if item.metadata else None
    plain: dict[str, Any] = msgspec.to_builtins(entry)
    return plain
