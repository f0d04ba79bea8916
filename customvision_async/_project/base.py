"""What every part of a project's client stands on: which project, and how a run over many items is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import ItemResult, Progress
from .._batch.run import BatchRun, BatchSpec
from .._batch.work_item import WorkItem
from .._batching import BatchCaller, classify_error, image_id, items_from_ids
from .._events import ChunkCompleted, Observer, notify
from .._operations import Operations
from .._options import Concurrency
from .._transport.download import Downloader
from ..models import Tag
from ..models.inputs import TagLike
from .tag_resolver import TagResolver

__all__ = ["ProjectBase", "as_tags", "prepare_ids"]


class ProjectBase:
    """The base of the parts of :class:`~customvision_async.ProjectClient`, each of which is the verbs of one subject."""

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
        """The REST calls themselves; see :attr:`TrainingClient.operations`."""
        self.id = project_id
        """The id of the project."""
        self.name = name
        """Its name, where it is known without asking (the service may have changed the one that was asked for)."""
        self._concurrency = concurrency or Concurrency()
        self._observers = observers
        self._downloads = downloads
        self._prediction_resource_id = prediction_resource_id

    async def _tag_id(self, tag: TagLike) -> str:
        return str((await self._tags_once((tag,))())[0])

    def _tags_once(self, tags: tuple[TagLike, ...]) -> Callable[[], Any]:
        """A function that gives the ids of `tags`, looked up the first time."""
        book = TagResolver(self.operations, self.id)
        found: list[tuple[str, ...]] = []

        async def find() -> tuple[str, ...]:
            if not found:
                await book.learn(tags)
                found.append(tuple(dict.fromkeys(book.id_of(tag) for tag in tags)))
            return found[0]

        return find

    # --- how a run is made

    def _calls(self) -> BatchCaller:
        return BatchCaller(self.operations, self.id, Progress())

    def _run(
        self,
        source: Any,
        calls: BatchCaller,
        prepare: Any,
        send: Any,
        limit: ChunkLimits,
        verb: str,
    ) -> BatchRun[Any, Any]:
        def settled(items: int, succeeded: int, failed: int, seconds: float) -> None:
            notify(self._observers, ChunkCompleted(verb, items, succeeded, failed, seconds))

        job = BatchSpec(
            prepare,
            send,
            classify_error,
            limit,
            chunks=self._concurrency.max_requests,
            on_chunk=settled,
            progress=calls.progress,
        )
        return BatchRun(source, job)

    def _url_limits(self, count: int) -> ChunkLimits:
        """As many ids as a URL holds beside its beginning, which is never longer than 300 bytes and the endpoint."""
        return ChunkLimits(count, limits.URL_BYTES.value - 300 - len(self.operations.endpoint))


def as_tags(tags: Iterable[TagLike]) -> tuple[TagLike, ...]:
    if isinstance(tags, (str, Tag, UUID)):
        raise TypeError(
            f"tags is a single tag: write tags=[{tags.name if isinstance(tags, Tag) else tags!r}]"
        )
    return tuple(tags)


def prepare_ids(*, weight: int, read: Callable[[Any], str] = image_id) -> Any:
    async def prepare(
        start: int, items: Sequence[Any]
    ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
        return items_from_ids(start, items, weight=weight, read=read)

    return prepare
