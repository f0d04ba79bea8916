"""The client of a prediction resource: classify images and detect objects in them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, Unpack, cast, overload
from uuid import UUID

import anyio.to_thread

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import Progress
from .._batch.run import BatchRun
from .._batch.settler import FailureAction
from .._batch.spec import BatchSpec
from .._batch.work_item import Done, Failed, Outcome, WorkItem
from .._batching import Prepared, chunk_events, classify_error, prepare_item, skipped_item
from .._content import Blob, ContentError
from .._events import Observer
from .._inputs.loading import (
    blob_of,
    content_error_as_os_error,
    is_async_file,
    predictable_image,
    read_async_file,
)
from .._inputs.normalize import is_single_image
from .._inputs.scanned import ScannedImage
from .._operations import NamedBlob, PredictionOperations
from .._options import Concurrency, Retry, Timeouts
from .._project.base import Source
from .._project.client import ProjectLike
from .._transport.base import Meter, Transport
from .._transport.credentials import KeyCredential, TokenCredential, mask_secret
from .._versions import PredictionVersion
from .._wire.request import id_of, plain_text
from ..errors import CustomVisionError, NotFoundError, attempt
from ..models import ImageFile, ImagePrediction, ImageUrl, Iteration, SkippedItem
from ..models.inputs import ImageSource
from .connection import Connection, ConnectionOptions, from_env

__all__ = ["Model", "PredictionClient"]

Model: TypeAlias = str | UUID | Iteration | None
"""The model to predict with.

From v3.0: the name of a published iteration, or the published iteration itself. In v1.1 and v2.0:
an iteration or its id, or None for the default iteration of the project.
"""


Kind: TypeAlias = Literal["Classify", "Detect"]
PredictionItem: TypeAlias = ImageSource | SkippedItem
"""An item of the source of a batch of predictions."""

T = TypeVar("T")
SourceT = TypeVar("SourceT", bound=ImageSource)
ItemT = TypeVar("ItemT", bound=PredictionItem)


class PredictionOptions(ConnectionOptions, total=False):
    """The options of a :class:`PredictionClient`."""

    api_version: PredictionVersion | str


class PredictionClient:
    """A client of one Custom Vision prediction resource.

    ::

        async with PredictionClient(endpoint, key) as prediction:
            result = await prediction.classify_image(project, "production", "apple.jpg")
            print(result.predictions[0].tag_name)

    An image is a path, bytes, an open binary file, an :class:`ImageFile`, or a URL (a string or an
    :class:`ImageUrl`) that the service fetches. The maximum size is 4 MB. Close the client with
    ``async with`` or :meth:`aclose`.

    Args:
        endpoint: Endpoint of the resource, from its page in the Azure portal. Endpoint and key may
            differ from those of the training resource.
        credential: Prediction key (a string or a :class:`KeyCredential`), or an object with
            ``async get_token(...)``.
        api_version: Version of the prediction API.
        retry: When to retry requests. See :class:`Retry`.
        timeouts: Timeouts of the phases of a request. See :class:`Timeouts`.
        concurrency: Limits on concurrent work. See :class:`Concurrency`.
        ca_file: Certificates to trust instead of those of the system, for a corporate proxy.
        ssl_context: TLS context to use instead of one with `ca_file`.
        observers: Called with each :data:`Event`.
        transport: Transport to use instead of aiohttp, for tests.

    Raises:
        ValueError: The endpoint or the key is invalid.
        TypeError: `credential` is not a credential.
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
        credential = mask_secret(credential)
        connection = Connection(
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
        self.endpoint: str = connection.endpoint
        """The normalized endpoint."""
        self.api_version: PredictionVersion = PredictionVersion(api_version)
        """The version of the prediction API."""
        self._connection = connection
        self.operations: PredictionOperations = PredictionOperations(
            connection.pipeline, connection.endpoint, self.api_version
        )
        """The REST operations: one coroutine per operation, which sends one request."""

    @classmethod
    def from_env(cls, **options: Unpack[PredictionOptions]) -> Self:
        """Return a client configured by environment variables.

        It reads VISION_PREDICTION_ENDPOINT and VISION_PREDICTION_KEY, the names that Microsoft's
        quickstarts use.

        Raises:
            LookupError: A variable is not set.
        """
        return cls(*from_env("VISION_PREDICTION_ENDPOINT", "VISION_PREDICTION_KEY"), **options)

    def __repr__(self) -> str:
        # A client whose constructor failed has no endpoint, and may appear in a traceback.
        return f"<PredictionClient {getattr(self, 'endpoint', '(not made)')}>"

    async def __aenter__(self) -> Self:
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
        await self._connection.pipeline.aclose()

    # --- one image

    async def classify_image(
        self,
        project: ProjectLike,
        published_name: Model,
        image: ImageSource,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> ImagePrediction:
        """Classify an image, and return its tags with probabilities, the most probable first.

        Args:
            project: Project, its client or its id.
            published_name: Model to predict with. See :data:`Model`.
            image: Image to classify.
            store: Whether the service stores the image with its prediction for 30 days, for
                ``project.list_predictions()``. With it, F0 allows 2 requests per second and S0
                allows 10. Without it, S0 allows 20.
            application: Name to store with the prediction.

        Raises:
            LimitExceeded: The image is larger than 4 MB. Nothing was sent.
            ValueError, OSError: The image has an unsupported format, or cannot be read.
            NotFoundError: No such project, or no model is published under that name.
            ServiceError: The service rejected the request. See its `code`.
        """
        return await self._predict("Classify", project, published_name, image, store, application)

    async def detect_image(
        self,
        project: ProjectLike,
        published_name: Model,
        image: ImageSource,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> ImagePrediction:
        """Detect objects in an image, and return tags with probabilities and bounding boxes.

        Arguments and errors are those of :meth:`classify_image`.
        """
        return await self._predict("Detect", project, published_name, image, store, application)

    async def _predict(
        self,
        kind: Kind,
        project: ProjectLike,
        model: Model,
        image: ImageSource,
        store: bool,
        application: str | None,
    ) -> ImagePrediction:
        predict = _PredictCall(self.operations, kind, project, model, store, application)
        normalized = predictable_image(image)
        payload = await _off_loop(normalized, _payload_of, normalized)
        with content_error_as_os_error():
            return await predict(payload)

    # --- any number of images

    @overload
    def classify_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: SourceT,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[SourceT, ImagePrediction]: ...
    @overload
    def classify_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: Source[ItemT],
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[ItemT, ImagePrediction]: ...
    @overload
    def classify_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: ImageSource | Source[PredictionItem],
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[PredictionItem, ImagePrediction]: ...
    def classify_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: ImageSource | Source[PredictionItem],
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[PredictionItem, ImagePrediction]:
        """Classify any number of images.

        The `value` of each result is an :class:`ImagePrediction`. An image that is invalid, larger
        than 4 MB or rejected by the service fails on its own. See :class:`BatchRun` for how to run
        the batch.

        Args:
            project: Project, its client or its id.
            published_name: Model to predict with. See :data:`Model`.
            images: Iterable or async iterable of images, such as ``images_in(folder)``.
            store: As for :meth:`classify_image`.
            application: As for :meth:`classify_image`.
        """
        return self._predict_batch("Classify", project, published_name, images, store, application)

    @overload
    def detect_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: SourceT,
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[SourceT, ImagePrediction]: ...
    @overload
    def detect_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: Source[ItemT],
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[ItemT, ImagePrediction]: ...
    @overload
    def detect_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: ImageSource | Source[PredictionItem],
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[PredictionItem, ImagePrediction]: ...
    def detect_images(
        self,
        project: ProjectLike,
        published_name: Model,
        images: ImageSource | Source[PredictionItem],
        *,
        store: bool = True,
        application: str | None = None,
    ) -> BatchRun[PredictionItem, ImagePrediction]:
        """Detect objects in any number of images. See :meth:`classify_images`."""
        return self._predict_batch("Detect", project, published_name, images, store, application)

    def _predict_batch(
        self,
        kind: Kind,
        project: ProjectLike,
        model: Model,
        images: ImageSource | Source[PredictionItem],
        store: bool,
        application: str | None,
    ) -> BatchRun[PredictionItem, ImagePrediction]:
        source = cast("Source[PredictionItem]", [images] if is_single_image(images) else images)
        predict = _PredictCall(self.operations, kind, project, model, store, application)
        progress = Progress()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            return [await _outcome(predict, work_item, progress) for work_item in work_items]

        # The service accepts one image per request.
        one_per_request = ChunkLimits(1)
        spec = BatchSpec(
            _prepare,
            send,
            _classify_error,
            one_per_request,
            max_in_flight=self._connection.concurrency.max_requests,
            on_chunk=chunk_events(self._connection.observers, f"{kind.lower()}_images"),
            progress=progress,
        )
        return BatchRun(source, spec)


class _PredictCall:
    """A prediction operation with the arguments that all images share.

    Raises:
        ValueError, TypeError: `model` is not a model in this API version.
    """

    def __init__(
        self,
        operations: PredictionOperations,
        kind: Kind,
        project: ProjectLike,
        model: Model,
        store: bool,
        application: str | None,
    ) -> None:
        self._operations = operations
        self._project_id = id_of(project, "project")
        self._application = application
        self._kind = kind
        self.stores = store
        self._published_name: str | None = None
        self._iteration_id: str | None = None
        if operations.version >= PredictionVersion.V3_0:
            self._published_name = _published_name(model)
        elif model is not None:
            self._iteration_id = id_of(model, "iteration")

    async def __call__(self, image: Blob | str, meter: Meter | None = None) -> ImagePrediction:
        """Predict one image: the bytes of a blob, or the image at a URL."""
        operations, project_id = self._operations, self._project_id
        if self._published_name is not None:
            name = self._published_name
            if isinstance(image, str):
                by_url = _PUBLISHED_URL[self._kind, self.stores]
                return await by_url(
                    operations, project_id, name, image, application=self._application, meter=meter
                )
            by_data = _PUBLISHED_DATA[self._kind, self.stores]
            data = NamedBlob("", image)
            return await by_data(
                operations, project_id, name, data, application=self._application, meter=meter
            )
        if isinstance(image, str):
            return await _ITERATION_URL[self.stores](
                operations,
                project_id,
                image,
                iteration_id=self._iteration_id,
                application=self._application,
                meter=meter,
            )
        return await _ITERATION_DATA[self.stores](
            operations,
            project_id,
            NamedBlob("", image),
            iteration_id=self._iteration_id,
            application=self._application,
            meter=meter,
        )


# The operation of each kind of prediction, by whether the service stores the image.
_PUBLISHED_DATA = {
    ("Classify", True): PredictionOperations.classify_image,
    ("Classify", False): PredictionOperations.classify_image_with_no_store,
    ("Detect", True): PredictionOperations.detect_image,
    ("Detect", False): PredictionOperations.detect_image_with_no_store,
}
_PUBLISHED_URL = {
    ("Classify", True): PredictionOperations.classify_image_url,
    ("Classify", False): PredictionOperations.classify_image_url_with_no_store,
    ("Detect", True): PredictionOperations.detect_image_url,
    ("Detect", False): PredictionOperations.detect_image_url_with_no_store,
}
_ITERATION_DATA = {
    True: PredictionOperations.predict_image,
    False: PredictionOperations.predict_image_with_no_store,
}
_ITERATION_URL = {
    True: PredictionOperations.predict_image_url,
    False: PredictionOperations.predict_image_url_with_no_store,
}


def _published_name(model: Model) -> str:
    if isinstance(model, Iteration):
        if not model.publish_name:
            raise ValueError(
                f"the iteration {model.name!r} is not published; await"
                " project.publish_iteration(...), and get it again"
            )
        return model.publish_name
    if not isinstance(model, str) or not model:
        raise TypeError(f"published_name must be the name of a published iteration, not {model!r}")
    return plain_text(model, "published_name")


_T = TypeVar("_T")


async def _off_loop(image: object, function: Callable[..., _T], *args: Any) -> _T:
    """Return ``function(*args)``, called in a worker thread if `image` is a file to read."""
    if isinstance(image, ImageFile) and image.data is None and not isinstance(image, ScannedImage):
        return await anyio.to_thread.run_sync(function, *args)
    return function(*args)


def _payload_of(image: ImageFile | ImageUrl | SkippedItem) -> Blob | str:
    """Return the blob or the URL to send for an image. The start of a file is read.

    Raises:
        ValueError, LimitExceeded, OSError: The image cannot be sent.
    """
    if isinstance(image, SkippedItem):
        raise ValueError(f"{image.name}: {image.reason}")
    if isinstance(image, ImageUrl):
        return plain_text(image.url, "url")
    return blob_of(image, limits.PREDICTION_BYTES)


async def _prepare(start: int, items: Sequence[Any]) -> list[Prepared]:
    return [await _prepare_item(index, item) for index, item in enumerate(items, start)]


async def _prepare_item(index: int, item: Any) -> Prepared:
    image = attempt(predictable_image, item)
    if isinstance(image, SkippedItem):
        return skipped_item(index, item, image)
    if is_async_file(image):
        try:
            image = await read_async_file(image, limits.PREDICTION_BYTES)
        except ValueError as error:
            image = error
    return await _off_loop(image, prepare_item, index, item, _work_item, index, item, image)


def _work_item(index: int, item: Any, image: ImageFile | ImageUrl | Exception) -> WorkItem:
    if isinstance(image, Exception):
        raise image
    payload = _payload_of(image)
    memory = payload.size if isinstance(payload, Blob) and payload.data is not None else 0
    return WorkItem(index, item, payload, memory=memory)


async def _outcome(predict: _PredictCall, work_item: WorkItem, progress: Progress) -> Outcome:
    """Predict one image and return its outcome.

    Only errors that all other images would get too are raised, such as a rejected key.
    """
    meter = Meter()
    try:
        return Done(value=await predict(work_item.payload, meter))
    except ContentError as error:
        # The report keeps the error, and the frames of its traceback hold buffers.
        return Failed(error.reason, cause=error.with_traceback(None))
    except CustomVisionError as error:
        if _classify_error(error) is FailureAction.FATAL:
            raise
        return Failed(str(error), status=str(getattr(error, "code", "")), cause=error)
    finally:
        progress.requests += meter.requests
        progress.retries += meter.retries
        progress.bytes_sent += meter.bytes_sent
        work_item.attempts += meter.requests
        work_item.in_doubt = work_item.in_doubt or (meter.in_doubt and predict.stores)


def _classify_error(error: Exception) -> FailureAction:
    # Without the project or the model, every other image fails too.
    return FailureAction.FATAL if isinstance(error, NotFoundError) else classify_error(error)
