"""The base of all parts of a project's client: the project, and how to build a batch."""

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
"""Any number of items. The results of a run have items of the same type."""

ImageLike: TypeAlias = (
    str | UUID | Image | ImagePerformance | StoredSuggestedTagAndRegion | ItemResult[object, Image]
)
"""An image of the project: its id, a model, or the result of its upload."""

ImageT = TypeVar("ImageT", bound=ImageLike)
"""The type of the images that a caller gives, which is the type of the items of the results.

If a list has several types, such as ``["6f1c...", image]``, mypy infers a list of objects. A second
overload with :data:`ImageLike` accepts such lists, although mypy reports that it can never match.
"""

IterationLike: TypeAlias = str | UUID | Iteration
"""An iteration: its id or its model."""


class ProjectBase:
    """The base of the parts of :class:`~customvision_async.ProjectClient`.

    Each part has the methods of one subject, such as tags or iterations.
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
        """The REST operations. See :attr:`TrainingClient.operations`."""
        self.id = project_id
        """The id of the project."""
        self.name = name
        """The name of the project, or None if no response has told it. The service may have chosen
        another name than the requested one."""
        self._concurrency = concurrency or Concurrency()
        self._observers = observers
        self._downloads = downloads
        self._prediction_resource_id = prediction_resource_id

    async def _tag_id(self, tag: TagLike) -> str:
        return (await self._tags_once((tag,))())[0]

    def _tags_once(
        self, tags: tuple[TagLike, ...], *, create_missing: bool = False
    ) -> Callable[[], Awaitable[tuple[str, ...]]]:
        """Return a function that returns the ids of `tags`. Its first call requests them."""
        resolver = TagResolver(self.operations, self.id, create_missing=create_missing)
        found: list[tuple[str, ...]] = []

        async def find() -> tuple[str, ...]:
            if not found:
                found.append(await resolver.ids_of(tags))
            return found[0]

        return find

    # --- batches

    def _context(self) -> BatchContext:
        """Return the context of a new run."""
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
        """Return a run over `source`. `verb` is its name in events."""
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
        """Return the limits of a chunk of ids in a URL: at most `count`, fewer if they are long."""
        # The rest of a URL is shorter than the endpoint and 300 bytes.
        return ChunkLimits(count, limits.URL_BYTES.value - 300 - len(self.operations.endpoint))


def as_tags(tags: Iterable[TagLike]) -> tuple[TagLike, ...]:
    """Return `tags` as a tuple. Raise TypeError if it is a single tag."""
    if isinstance(tags, (str, Tag, UUID)):
        raise TypeError(
            f"tags is a single tag; write tags=[{tags.name if isinstance(tags, Tag) else tags!r}]"
        )
    return tuple(tags)


def prepare_ids(*, size: int, read: Callable[[Any], str] = image_id) -> Prepare:
    """Return a `prepare` of a batch whose items are ids. See :func:`items_from_ids`."""

    async def prepare(
        start: int, items: Sequence[Any]
    ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
        return items_from_ids(start, items, size=size, read=read)

    return prepare
