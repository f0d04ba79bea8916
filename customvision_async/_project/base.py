"""What every part of a project's client stands on: which project, and how a run over many items is
made.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import ItemResult, Progress
from .._batch.run import BatchRun
from .._batch.settler import Send
from .._batch.spec import BatchSpec, Prepare
from .._batch.work_item import WorkItem
from .._batching import BatchContext, chunk_events, classify_error, image_id, items_from_ids
from .._events import Observer
from .._operations import Operations
from .._options import Concurrency
from .._transport.download import Downloader
from ..models import Image, ImagePerformance, Iteration, StoredSuggestedTagAndRegion, Tag
from ..models.inputs import TagLike
from .tag_resolver import TagResolver

__all__ = [
    "ImageLike",
    "ImageT",
    "IterationLike",
    "ProjectBase",
    "Source",
    "as_tags",
    "prepare_ids",
]

T = TypeVar("T")

Source: TypeAlias = Iterable[T] | AsyncIterable[T]
"""Any number of items. The type of a run's items is that of its source's."""

ImageLike: TypeAlias = (
    str | UUID | Image | ImagePerformance | StoredSuggestedTagAndRegion | ItemResult[object, Image]
)
"""An image of the project as a caller gives it: its id, a model, or the result of its upload."""

ImageT = TypeVar("ImageT", bound=ImageLike)
"""The form that a caller gives images in, and gets them back in as the items of the results.

Where this is not one form, mypy takes a list such as ``["6f1c...", image]`` for one of any objects.
An overload with :data:`ImageLike` then accepts it, though mypy says that it never could.
"""

IterationLike: TypeAlias = str | UUID | Iteration
"""An iteration as a caller gives it: its id or its model."""


class ProjectBase:
    """The base of the parts of :class:`~customvision_async.ProjectClient`, each of which is the
    verbs of one subject.
    """

    def __init__(
        self,
        operations: Operations,
        project_id: str,
        *,
        name: str | None = None,
        concurrency: Concurrency | None = None,
        observers: tuple[Observer, ...] = (),
        downloads: Downloader | None = None,
        prediction_resource_id: str | None = None,
    ) -> None:
        self.operations = operations
        """The REST context themselves; see :attr:`TrainingClient.operations`."""
        self.id = project_id
        """The id of the project."""
        self.name = name
        """Its name, where it is known without asking (the service may have changed the one that was asked for)."""
        self._concurrency = concurrency or Concurrency()
        self._observers = observers
        self._downloads = downloads
        self._prediction_resource_id = prediction_resource_id

    async def _tag_id(self, tag: TagLike) -> str:
        return (await self._tags_once((tag,))())[0]

    def _tags_once(self, tags: tuple[TagLike, ...]) -> Callable[[], Awaitable[tuple[str, ...]]]:
        """A function that gives the ids of `tags`, looked up the first time."""
        resolver = TagResolver(self.operations, self.id)
        found: list[tuple[str, ...]] = []

        async def find() -> tuple[str, ...]:
            if not found:
                await resolver.load(tags)
                found.append(tuple(dict.fromkeys(resolver.id_of(tag) for tag in tags)))
            return found[0]

        return find

    # --- how a run is made

    def _context(self) -> BatchContext:
        return BatchContext(self.operations, self.id, Progress())

    def _run(
        self,
        source: Source[object],
        context: BatchContext,
        prepare: Prepare,
        send: Send,
        limit: ChunkLimits,
        verb: str,
    ) -> BatchRun[Any, Any]:
        spec = BatchSpec(
            prepare,
            send,
            classify_error,
            limit,
            max_in_flight=self._concurrency.max_requests,
            on_chunk=chunk_events(self._observers, verb),
            progress=context.progress,
        )
        return BatchRun(source, spec)

    def _url_limits(self, count: int) -> ChunkLimits:
        """As many ids as a URL holds beside its beginning, which is never longer than 300 bytes and
        the endpoint.
        """
        return ChunkLimits(count, limits.URL_BYTES.value - 300 - len(self.operations.endpoint))


def as_tags(tags: Iterable[TagLike]) -> tuple[TagLike, ...]:
    if isinstance(tags, (str, Tag, UUID)):
        raise TypeError(
            f"tags is a single tag: write tags=[{tags.name if isinstance(tags, Tag) else tags!r}]"
        )
    return tuple(tags)


def prepare_ids(*, size: int, read: Callable[[Any], str] = image_id) -> Prepare:
    async def prepare(
        start: int, items: Sequence[Any]
    ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
        return items_from_ids(start, items, size=size, read=read)

    return prepare
