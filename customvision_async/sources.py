"""Sources of images for batches: folders, lists of URLs, and manifests.

All are lazy iterables. Iterate over one to list its items without a batch.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
import stat
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import anyio.to_thread
import msgspec

from ._blocking import in_thread, when_descriptors_allow
from ._inputs.image_header import NotAnImage, inspect_path, unread
from ._inputs.normalize import normalize_image
from ._inputs.scanned import ScannedImage
from ._paged_iterator import PagedIterator, items_of, lists_of
from .errors import ItemError, LimitExceeded, attempt
from .models import (
    ImageFile,
    ImageFromPrediction,
    ImageUrl,
    Region,
    SkippedItem,
    Tag,
)
from .models.inputs import TagLike

__all__ = [
    "FolderImages",
    "ManifestImages",
    "Origin",
    "OtherProjectError",
    "ScannedImage",
    "images_from_manifest",
    "images_from_urls",
    "images_in",
    "manifest_entry",
]

_GROUP = 128
"""Files inspected per call of a worker thread. A call costs about 60 us, a file 10 us."""
_PREFETCH = 32 * 1024
"""Maximum size in bytes of a file to prefetch at inspection, which saves opening it twice."""

Found: TypeAlias = "ScannedImage | ImageFile | SkippedItem"
Entry: TypeAlias = "ImageFile | ImageUrl | ImageFromPrediction | SkippedItem"
Listed: TypeAlias = "Entry | FolderImages"


def images_in(
    folder: str | os.PathLike[str],
    *,
    tags: Iterable[TagLike] = (),
    tags_from_folders: bool = False,
    recursive: bool = True,
) -> FolderImages:
    """Return the images in a folder, in the order of their names.

    An image is a regular file that starts like a JPEG, PNG, GIF or BMP file. Hidden files and
    folders, symbolic links and other files are yielded as :class:`SkippedItem` with the reason, and
    reports count them as skipped. Files that cannot be read, subfolders that cannot be listed, and
    images that the service would refuse (over 6 MB, sides over 10,240 pixels or 25:1) are yielded
    as :class:`ImageFile`, and fail before anything is sent. If no file descriptor is free, the scan
    waits.

    Args:
        folder: Path of the folder, or of a single file.
        tags: Tags of every image.
        tags_from_folders: Add the name of the first subfolder as a tag:
            ``photos/apple/2024/1.jpg`` gets the tag "apple". Images directly in `folder` get none.
        recursive: Include images in subfolders.

    Raises:
        FileNotFoundError: No such folder.
        PermissionError: The folder cannot be read.
        TypeError: `tags` is a single string.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags is one string; write tags=[{tags!r}]")
    return FolderImages(os.fsdecode(folder), tuple(tags), tags_from_folders, recursive)


class FolderImages:
    """The images and skipped files of a folder, as returned by :func:`images_in`.

    Each iteration scans the folder again.
    """

    def __init__(
        self, folder: str, tags: tuple[TagLike, ...], tags_from_folders: bool, recursive: bool
    ) -> None:
        if not os.path.isdir(folder):
            # Raises if `folder` does not exist or is not accessible.
            os.stat(folder)
        else:
            os.scandir(folder).close()
        self._folder = folder
        self._tags = tags
        self._tags_from_folders = tags_from_folders
        self._recursive = recursive

    def __repr__(self) -> str:
        return f"images_in({self._folder!r})"

    def __aiter__(self) -> PagedIterator[Found]:
        # The caller may keep the items, so do not prefetch.
        return items_of(self._groups(0))

    def groups(self) -> PagedIterator[list[Found]]:
        """Iterate over lists of items, for uploads. Small files are prefetched."""
        return lists_of(self._groups(_PREFETCH))

    def files(self) -> AsyncGenerator[list[Found], None]:
        """Yield lists of items, none of them prefetched."""
        return self._groups(0)

    async def count(self) -> int:
        """Return the number of items, images and skipped files, without reading the files.

        Use it as the total of a progress bar. The folder may change before the upload scans it.
        """
        return await in_thread(self._count)

    def _count(self) -> int:
        number = 0
        folders = [self._folder]
        while folders:
            try:
                with when_descriptors_allow(os.scandir, folders.pop()) as listing:
                    for entry in listing:
                        is_folder = False
                        with suppress(OSError):
                            is_folder = entry.is_dir(follow_symlinks=False)
                        if not is_folder or entry.name.startswith("."):
                            number += 1
                        elif self._recursive:
                            folders.append(entry.path)
            # A single file, or a folder that cannot be listed, is one item.
            except OSError:
                number += 1
        return number

    async def _groups(self, prefetch: int) -> AsyncGenerator[list[Found], None]:
        """Yield the items of one call of a worker thread at a time."""
        found = self._scan(prefetch)
        while group := await anyio.to_thread.run_sync(lambda: list(islice(found, _GROUP))):
            yield group

    def _scan(self, prefetch: int) -> Iterator[Found]:
        if not os.path.isdir(self._folder):
            yield self._look(self._folder, os.path.basename(self._folder), self._tags, prefetch)
            return
        # A stack, because folders may be nested deeper than the recursion limit.
        open_folders = [self._listed(self._folder, "", self._tags, prefetch)]
        while open_folders:
            for found in open_folders[-1]:
                if isinstance(found, _Folder):
                    open_folders.append(
                        self._listed(found.path, f"{found.name}/", found.tags, prefetch)
                    )
                    break
                yield found
            else:
                open_folders.pop()

    def _listed(
        self, folder: str, prefix: str, tags: tuple[TagLike, ...], prefetch: int
    ) -> Iterator[Found | _Folder]:
        """Yield the entries directly in `folder`, sorted by name.

        Keep little per entry, because a folder may hold a million.
        """
        names: list[str] = []
        links: set[str] = set()
        folders: set[str] = set()
        problem: OSError | None = None
        try:
            with when_descriptors_allow(os.scandir, folder) as listing:
                for entry in listing:
                    names.append(entry.name)
                    # Inspecting the file reports the error.
                    with suppress(OSError):
                        if entry.is_symlink():
                            links.add(entry.name)
                        elif entry.is_dir(follow_symlinks=False):
                            folders.add(entry.name)
        except OSError as error:
            problem = error
            if prefix:
                yield _unread_image(error, folder, prefix, tags)
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
                yield self._look(path, name, tags, prefetch)
            elif self._recursive:
                yield _Folder(
                    path,
                    name,
                    (*tags, base)
                    if self._tags_from_folders and not prefix and base not in tags
                    else tags,
                )
        if problem is not None and not prefix:
            raise problem

    def _look(self, path: str, name: str, tags: tuple[TagLike, ...], prefetch: int) -> Found:
        try:
            blob = inspect_path(path, follow_symlinks=path == self._folder, prefetch=prefetch)
            return ScannedImage(path, name=name, tags=tags, blob=blob)
        except NotAnImage as error:
            return SkippedItem(name, str(error), path)
        except LimitExceeded:
            # The upload inspects the file again, and reports the error.
            return ImageFile(path, name=name, tags=tags)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return SkippedItem(name, "a symbolic link: these are not followed", path)
            if _is_special(path):
                return SkippedItem(name, "not a regular file", path)
            return _unread_image(error, path, name, tags)


def _unread_image(error: OSError, path: str, name: str, tags: tuple[TagLike, ...]) -> ScannedImage:
    """Return an image that fails with `error`, because it could not be read."""
    return ScannedImage(path, name=name, tags=tags, blob=unread(error, path))


class _Folder(NamedTuple):
    path: str
    name: str
    tags: tuple[TagLike, ...]


def _is_special(path: str) -> bool:
    """Return whether `path` is a socket, a device or the like, which may fail to open."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def images_from_urls(urls: Iterable[str], *, tags: Iterable[TagLike] = ()) -> Iterator[ImageUrl]:
    """Return an iterator of images for the service to fetch, one per URL.

    Args:
        urls: URLs, read as the batch proceeds. An open text file with one URL per line is allowed,
            and empty lines are skipped. An item that is not a string fails on its own.
        tags: Tags of every image.

    Raises:
        TypeError: `urls` or `tags` is a single string.
    """
    for argument, name in ((urls, "urls"), (tags, "tags")):
        if isinstance(argument, str):
            raise TypeError(f"{name} is one string; write {name}=[{argument[:80]!r}]")
    return _image_urls(urls, tuple(tags))


def _image_urls(urls: Iterable[Any], tags: tuple[TagLike, ...]) -> Iterator[ImageUrl]:
    for url in urls:
        # isinstance() may call the object's __class__, which may raise.
        if not issubclass(type(url), str):
            yield url
        elif line := str.strip(url):
            yield ImageUrl(line, tags=tags)


class OtherProjectError(ValueError):
    """A failed-items file belongs to another project than the target of the upload."""


def images_from_manifest(
    path: str | os.PathLike[str], *, project: str | None = None
) -> ManifestImages:
    """Return the images of a manifest: a text file with one JSON object per line.

    Failed-items files are manifests. Each object has one of `path` (relative to the manifest; a
    folder means all images in it), `url` and `prediction`. It may have `name`, `tags` (names or
    ids), `regions` (objects with `tag`, `left`, `top`, `width`, `height`) and `metadata`. Invalid
    lines, also those with other fields, are yielded as :class:`SkippedItem`.

    Args:
        path: Path of the manifest.
        project: Id of the project to upload to. If given, the iteration raises
            :class:`OtherProjectError` at a line that names another project. The first line of a
            failed-items file names its project.

    Raises:
        FileNotFoundError: No such file.
    """
    os.stat(path)
    return ManifestImages(Path(path), project)


class ManifestImages:
    """The images of a manifest, as returned by :func:`images_from_manifest`."""

    def __init__(self, path: Path, project: str | None) -> None:
        self._path = path
        self._project = project

    def __aiter__(self) -> PagedIterator[Entry]:
        return items_of(self._groups())

    async def _groups(self) -> AsyncGenerator[Sequence[Entry], None]:
        """Yield the items of several lines, or of one call of a worker thread for a folder."""
        lines = self._lines()
        try:
            while group := await in_thread(next, lines, None):
                items: list[Entry] = []
                for item in group:
                    if not isinstance(item, FolderImages):
                        items.append(item)
                        continue
                    yield items
                    items = []
                    async with aclosing(item.files()) as folder:
                        async for files in folder:
                            yield files
                yield items
        finally:
            # An abandoned thread may still run the generator.
            with suppress(ValueError):
                lines.close()

    def _lines(self) -> Generator[list[Listed], None, None]:
        """Yield the items of several lines at a time. Block."""
        with when_descriptors_allow(open, self._path, "rb") as file:
            # The writer of a pipe may wait for the result of each line.
            count = _GROUP if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else 1
            lines = enumerate(file, 1)
            while batch := list(islice(lines, count)):
                if group := [
                    item
                    for number, line in batch
                    if line.strip() and (item := self._read(line, number)) is not None
                ]:
                    yield group

    def _read(self, line: bytes, number: int) -> Listed | None:
        try:
            # msgspec's JSON decoder rejects file names with lone surrogates.
            fields = json.loads(line)
            _check_fields(fields)
            entry = msgspec.convert(fields, _Entry)
            if entry.failed_items_of is not None:
                self._check(entry.failed_items_of)
                return None
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
                if os.path.isdir(path):
                    return _folder_of(os.fspath(path), tuple(entry.tags))
                return ImageFile(path, **{**common, "name": entry.name or entry.path})
            if entry.url is not None:
                return ImageUrl(entry.url, **common)
            if entry.prediction is not None:
                return ImageFromPrediction(entry.prediction, **common)
        except OtherProjectError:
            raise
        # The errors of msgspec and json are ValueErrors.
        except (ValueError, RecursionError) as error:
            return SkippedItem(
                f"{self._path.name}:{number}", f"not a line of a manifest: {error}", str(self._path)
            )
        return SkippedItem(
            f"{self._path.name}:{number}",
            "not a line of a manifest: it has none of path, url, prediction",
            str(self._path),
        )

    def _check(self, origin: Origin) -> None:
        if self._project is not None and origin.id.lower() != self._project.lower():
            raise OtherProjectError(
                f"{self._path} lists items of project {origin.name or origin.id}"
                f" ({origin.id} at {origin.endpoint}), not of {self._project}"
            )


def _folder_of(path: str, tags: tuple[str, ...]) -> FolderImages | ScannedImage:
    """Return the images of a folder, or an item that holds the error if it cannot be listed."""
    try:
        return FolderImages(path, tags, tags_from_folders=False, recursive=True)
    except OSError as error:
        return _unread_image(error, path, os.path.join(path, ""), tags)


class Origin(msgspec.Struct):
    """The project of a failed-items file."""

    id: str
    name: str | None = None
    endpoint: str = ""


class _Box(msgspec.Struct):
    tag: str
    left: float
    top: float
    width: float
    height: float


class _Entry(msgspec.Struct, omit_defaults=True):
    """A line of a manifest. A failed-items file has the fields at the end too."""

    path: str | None = None
    url: str | None = None
    prediction: str | None = None
    name: str | None = None
    tags: list[str] = []
    regions: list[_Box] = []
    metadata: dict[str, str] | None = None
    error: str | None = None
    outcome: str | None = None
    status: str | None = None
    failed_items_of: Origin | None = None


_FIELDS = frozenset(_Entry.__struct_fields__)
_BOX_FIELDS = frozenset(_Box.__struct_fields__)
_MEANT = {
    **dict.fromkeys(("label", "labels", "class", "classes", "category", "categories"), "tags"),
    **dict.fromkeys(("bbox", "bboxes", "box", "boxes", "annotations", "objects"), "regions"),
    **dict.fromkeys(("file", "file_name", "filename", "image", "file_path"), "path"),
    **dict.fromkeys(("uri", "href", "coco_url"), "url"),
}
"""Names of other formats, by which a field of a manifest may be called."""


def _check_fields(entry: object) -> None:
    """Raise ValueError if a line, or a region in it, has an unknown field.

    It would be ignored, and the labels in it would be lost.
    """
    if not isinstance(entry, dict):
        return
    _check_names(entry, _FIELDS)
    regions = entry.get("regions")
    for region in regions if isinstance(regions, list) else ():
        if isinstance(region, dict):
            _check_names(region, _BOX_FIELDS)


def _check_names(entry: Mapping[str, object], known: frozenset[str]) -> None:
    for name in entry.keys() - known:
        similar = _MEANT.get(name.lower(), "")
        if similar not in known:
            similar = next(iter(difflib.get_close_matches(name, known, 1)), "")
        raise ValueError(
            f"unknown field {name!r}" + (f": did you mean {similar!r}?" if similar else "")
        )


def manifest_entry(item: object, error: ItemError | str | None = None) -> dict[str, object] | None:
    """Return the manifest line of an item, or None if it has no path, URL or prediction id.

    Args:
        item: Item of a batch.
        error: Error to record in the line.

    Paths are absolute, so the manifest may be written to any folder.
    """

    def name_or_id(tag: TagLike) -> str:
        return tag.id if isinstance(tag, Tag) else str(tag)

    image = attempt(normalize_image, item)
    entry = _Entry(error=str(error) if error else None)
    if isinstance(image, ImageFile) and image.path is not None:
        entry.path = os.path.abspath(image.path)
    elif isinstance(image, ImageUrl):
        entry.url = image.url
    elif isinstance(image, ImageFromPrediction):
        entry.prediction = image.id
    else:
        return None
    # Otherwise the name is the default, derived from the path, the URL or the id.
    if image is item:
        entry.name = image.name
        entry.tags = [name_or_id(tag) for tag in image.tags]
        entry.regions = [
            _Box(name_or_id(region.tag), region.left, region.top, region.width, region.height)
            for region in image.regions
        ]
        entry.metadata = dict(image.metadata) if image.metadata else None
    plain: dict[str, object] = msgspec.to_builtins(entry)
    return plain
