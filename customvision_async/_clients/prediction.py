"""One prediction resource: classify or detect one picture, or any number of them."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeAlias
from uuid import UUID

import anyio.to_thread
import msgspec

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import ItemResult, Progress
from .._batch.run import BatchRun, BatchSpec
from .._batch.settler import FailureAction
from .._batch.work_item import Done, Failed, Outcome, WorkItem
from .._batching import classify_error, item_failure
from .._content import Blob, Content, ContentError
from .._events import ChunkCompleted, Observer, notify
from .._inputs.normalize import blob_of, content_error_as_os_error, normalize_image
from .._operations import PredictionOperations
from .._options import Concurrency, Retry, Timeouts
from .._transport.base import Meter, Transport
from .._transport.credentials import KeyCredential, TokenCredential, sealed
from .._versions import PredictionVersion
from .._wire.bodies import json_body, octet_stream
from .._wire.request import id_of, plain_text
from ..errors import CustomVisionError, NotFoundError
from ..models import ImageFile, ImagePrediction, ImageUrl, Iteration, SkippedItem
from ..models.requests import Id
from ..sources import ScannedImage
from .connection import Connection, from_env

__all__ = ["Model", "PredictionClient"]

Model: TypeAlias = str | UUID | Iteration | None
"""Which model predicts: from v3.0 the name an iteration is published under (or the iteration, which knows it); in v1.1 and v2.0 an
iteration or its id, or None for the project's default one."""

Kind: TypeAlias = Literal["Classify", "Detect"]
Source: TypeAlias = Iterable[Any] | AsyncIterable[Any]


class PredictionClient:
    """One Custom Vision prediction resource.

    ::

        async with PredictionClient(endpoint, key) as prediction:
            answer = await prediction.classify_image(project, "production", "apple.jpg")
            print(answer.predictions[0].tag_name)

    Args:
        endpoint: as the resource's page in the Azure portal gives it. It may differ from the training resource's, and so may the key.
        credential: the prediction key, as a string or a :class:`KeyCredential`, or anything with ``async get_token(...)``.
        api_version: the version of the Prediction API to speak.
        retry, timeouts, concurrency: how it behaves; see these records for each default and its reason.
        ca_file: certificates to trust instead of the system's (a corporate proxy).
        observers: called with each event (requests, retries, chunks settled).
        transport: what carries requests, in place of aiohttp over the network. For tests.

    A picture is a path, bytes, an open binary file, an :class:`ImageFile`, or an :class:`ImageUrl` or web address that the service
    fetches; up to 4 MB. Close the client with ``async with`` or :meth:`aclose`.

    Raises:
        ValueError: the endpoint or the key cannot be right; the message says why.
        TypeError: the credential is none.
    """

    def __init__(
        self,
        endpoint: str,
        credential: str | KeyCredential | TokenCredential,
        *,
        api_version: PredictionVersion | str = PredictionVersion.V3_1,
        retry: Retry | None = None,
        timeouts: Timeouts | None = None,
        concurrency: Concurrency | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        observers: Iterable[Observer] = (),
        transport: Transport | None = None,
    ) -> None:
        credential = sealed(credential)
        link = Connection(
            endpoint,
            credential,
            "Prediction-Key",
            retry=retry,
            timeouts=timeouts,
            concurrency=concurrency,
            ca_file=ca_file,
            ssl_context=ssl_context,
            observers=observers,
            transport=transport,
        )
        self.endpoint = link.endpoint
        """The endpoint in its plain form."""
        self.api_version = PredictionVersion(api_version)
        """The version of the API that is spoken."""
        self._link = link
        self.operations = PredictionOperations(link.pipeline, link.endpoint, self.api_version)
        """The REST calls themselves, one coroutine each, named after their operationIds."""

    @classmethod
    def from_env(cls, **options: Any) -> PredictionClient:
        """A client for the resource that VISION_PREDICTION_ENDPOINT and VISION_PREDICTION_KEY name, as Microsoft's quickstarts do.

        Raises:
            LookupError: one of them is not set.
        """
        return from_env(cls, ("VISION_PREDICTION_ENDPOINT", "VISION_PREDICTION_KEY"), options)

    def __repr__(self) -> str:
        return f"<PredictionClient {getattr(self, 'endpoint', '(not made)')}>"  # as that of TrainingClient

    async def __aenter__(self) -> PredictionClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.pipeline.aclose()

    # --- one picture

    async def classify_image(
        self,
        project: Id,
        published_name: Model,
        image: Any,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> ImagePrediction:
        """What a picture shows: tags with their probabilities, the most probable first.

        Args:
            project: the project, its client or its id.
            published_name: which model; see :data:`Model`.
            image: the picture.
            store: let the service keep the picture with its prediction, for 30 days: ``project.list_predictions()``. F0 allows 2 calls a
                second so, S0 10; without, S0 allows 20.
            application: a name that is kept with the prediction.

        Raises:
            LimitExceeded: it is over 4 MB. Nothing was sent.
            ValueError, OSError: it is no picture the service takes, or cannot be read.
            NotFoundError: no such project, or nothing published under that name.
            ServiceError: the service refuses it; see its `code`.
        """
        return await self._one("Classify", project, published_name, image, store, application)

    async def detect_image(
        self,
        project: Id,
        published_name: Model,
        image: Any,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> ImagePrediction:
        """Where things are in a picture: tags with probabilities and boxes. See :meth:`classify_image`."""
        return await self._one("Detect", project, published_name, image, store, application)

    async def _one(
        self,
        kind: Kind,
        project: Id,
        model: Model,
        image: Any,
        store: bool,
        application: str | None,
    ) -> ImagePrediction:
        ask = _PredictCall(self.operations, kind, project, model, store, application)
        load = await _prepared(normalize_image(image))
        if isinstance(load, Exception):
            raise load
        with content_error_as_os_error():
            return await ask(load)

    # --- any number

    def classify_images(
        self,
        project: Id,
        published_name: Model,
        images: Source,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[Any, ImagePrediction]:
        """Classify any number of pictures, from any iterable or async iterable (``images_in(folder)`` is one).

        A result's `value` is the :class:`ImagePrediction`. A picture that is none, over 4 MB or refused fails alone. See
        :meth:`classify_image` for the arguments and :class:`BatchRun` for how to go about it.
        """
        return self._many("Classify", project, published_name, images, store, application)

    def detect_images(
        self,
        project: Id,
        published_name: Model,
        images: Source,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[Any, ImagePrediction]:
        """Detect things in any number of pictures. See :meth:`classify_images`."""
        return self._many("Detect", project, published_name, images, store, application)

    def _many(
        self,
        kind: Kind,
        project: Id,
        model: Model,
        images: Any,
        store: bool,
        application: str | None,
    ) -> BatchRun[Any, ImagePrediction]:
        if isinstance(
            images, (str, bytes, bytearray, memoryview, os.PathLike, ImageFile, ImageUrl)
        ) or hasattr(images, "read"):
            images = [images]
        ask = _PredictCall(self.operations, kind, project, model, store, application)
        progress = Progress()
        observers = self._link.observers
        verb = f"{kind.lower()}_images"

        async def send(units: Sequence[WorkItem]) -> Sequence[Outcome]:
            return [await _outcome(ask, unit, progress) for unit in units]

        def settled(items: int, succeeded: int, failed: int, seconds: float) -> None:
            notify(observers, ChunkCompleted(verb, items, succeeded, failed, seconds))

        one_at_a_time = ChunkLimits(1)  # the service takes one picture a call
        job = BatchSpec(
            _units,
            send,
            _classify_error,
            one_at_a_time,
            chunks=self._link.concurrency.max_requests,
            on_chunk=settled,
            progress=progress,
        )
        return BatchRun(images, job)


class _PredictCall:
    """One operation, with all that does not change from picture to picture.

    Raises:
        ValueError, TypeError: `model` names none in this version.
    """

    def __init__(
        self,
        operations: PredictionOperations,
        kind: Kind,
        project: Id,
        model: Model,
        store: bool,
        application: str | None,
    ) -> None:
        self._operations = operations
        self._kind: str = kind
        self._path: dict[str, Any] = {"projectId": id_of(project, "project")}
        self._query: dict[str, Any] = {"application": application}
        self._suffix = "" if store else "WithNoStore"
        self.stores = store
        if operations.version >= PredictionVersion.V3_0:
            self._path["publishedName"] = _published_name(model)
        else:
            self._kind = "Predict"
            self._query["iterationId"] = None if model is None else id_of(model, "iteration")

    async def __call__(self, load: Blob | str, meter: Meter | None = None) -> ImagePrediction:
        content: Content
        if isinstance(load, str):
            operation, content = (
                f"{self._kind}ImageUrl{self._suffix}",
                json_body({"url": load}, self._operations.version),
            )
        else:
            operation, content = f"{self._kind}Image{self._suffix}", octet_stream(load)
        query: Mapping[str, Any] = self._query
        answer = await self._operations.call(
            operation, path=self._path, query=query, content=content, meter=meter
        )
        prediction: ImagePrediction = answer.value
        return prediction


def _published_name(model: Model) -> str:
    if isinstance(model, Iteration):
        if not model.publish_name:
            raise ValueError(
                f"the iteration {model.name!r} is not published: await project.publish_iteration(...), and get it again"
            )
        return model.publish_name
    if not isinstance(model, str) or not model:
        raise TypeError(
            f"from v3.0 a model is the name that an iteration is published under, not {model!r}"
        )
    return plain_text(model, "published_name")


async def _prepared(picture: ImageFile | ImageUrl | SkippedItem) -> Blob | str | Exception:
    """What is to be sent of a picture, or why nothing is. A file is looked at in a worker thread."""
    if isinstance(picture, SkippedItem):
        return ValueError(f"{picture.name}: {picture.reason}")
    if isinstance(picture, ImageUrl):
        try:
            return plain_text(picture.url, "url")
        except ValueError as error:
            return error
    if picture.data is not None or (isinstance(picture, ScannedImage) and picture.blob is not None):
        return blob_of(picture, limits.PREDICTION_BYTES)
    return await anyio.to_thread.run_sync(blob_of, picture, limits.PREDICTION_BYTES)


async def _units(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
    return [await _unit(index, item) for index, item in enumerate(items, start)]


async def _unit(index: int, item: Any) -> WorkItem | ItemResult[Any, Any]:
    try:
        picture = normalize_image(item)
    except TypeError as error:
        return item_failure(index, item, error)
    load = await _prepared(picture)
    if isinstance(load, Exception):
        result = item_failure(
            index, item, load, "Skipped" if isinstance(picture, SkippedItem) else ""
        )
        return msgspec.structs.replace(result, skipped=isinstance(picture, SkippedItem))
    return WorkItem(
        index,
        item,
        load,
        memory=load.size if isinstance(load, Blob) and load.data is not None else 0,
    )


async def _outcome(ask: _PredictCall, unit: WorkItem, progress: Progress) -> Outcome:
    """What became of one picture. Only an error that the next one would meet too (a refused key, no such model) is raised."""
    meter = Meter()
    try:
        return Done(value=await ask(unit.payload, meter))
    except ContentError as error:
        return Failed(
            error.reason, cause=error.with_traceback(None)
        )  # kept with the report, and those frames hold buffers
    except CustomVisionError as error:
        if _classify_error(error) is FailureAction.FATAL:
            raise
        return Failed(str(error), status=str(getattr(error, "code", "")), cause=error)
    finally:
        progress.requests += meter.requests
        progress.retries += meter.retries
        progress.bytes_sent += meter.bytes_sent
        unit.attempts += meter.requests
        unit.in_doubt = unit.in_doubt or (meter.in_doubt and ask.stores)


def _classify_error(error: Exception) -> FailureAction:
    """A project or a model that is not there is not there for the next picture either."""
    return FailureAction.FATAL if isinstance(error, NotFoundError) else classify_error(error)
