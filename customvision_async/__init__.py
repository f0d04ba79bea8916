"""An asyncio client for Azure Custom Vision.

Upload, tag, list, download and classify any number of images. Every failed image is reported with a
cause and a fix. Start with :class:`TrainingClient`.
"""

from __future__ import annotations

import types as _types
import typing as _typing

from ._batch.report import BatchReport as BatchReport
from ._batch.report import ItemReference as ItemReference
from ._batch.report import ItemResult as ItemResult
from ._batch.report import Progress as Progress
from ._batch.report import has_value as has_value
from ._batch.run import BatchRun as BatchRun
from ._clients.prediction import PredictionClient as PredictionClient
from ._clients.training import TrainingClient as TrainingClient
from ._events import ChunkCompleted as ChunkCompleted
from ._events import Event as Event
from ._events import Observer as Observer
from ._events import RequestCompleted as RequestCompleted
from ._events import RetryScheduled as RetryScheduled
from ._options import Concurrency as Concurrency
from ._options import Retry as Retry
from ._options import Timeouts as Timeouts
from ._paging import AsyncItemPaged as AsyncItemPaged
from ._polling import AsyncLROPoller as AsyncLROPoller
from ._polling import Polling as Polling
from ._polling import PollingProgress as PollingProgress
from ._project.client import ProjectClient as ProjectClient
from ._transport.credentials import KeyCredential as KeyCredential
from ._transport.credentials import TokenCredential as TokenCredential
from ._versions import ApiVersion as ApiVersion
from ._versions import PredictionVersion as PredictionVersion
from .errors import AuthenticationError as AuthenticationError
from .errors import BadRequestError as BadRequestError
from .errors import BatchError as BatchError
from .errors import ConflictError as ConflictError
from .errors import ConnectError as ConnectError
from .errors import CustomVisionError as CustomVisionError
from .errors import DecodeError as DecodeError
from .errors import DownloadLinkExpired as DownloadLinkExpired
from .errors import InternalServerError as InternalServerError
from .errors import ItemError as ItemError
from .errors import LimitExceeded as LimitExceeded
from .errors import NotFoundError as NotFoundError
from .errors import OperationFailed as OperationFailed
from .errors import PermissionDeniedError as PermissionDeniedError
from .errors import RateLimitError as RateLimitError
from .errors import RequestTimeout as RequestTimeout
from .errors import ResponseLost as ResponseLost
from .errors import ServiceError as ServiceError
from .errors import TransportError as TransportError
from .errors import UnsupportedOperation as UnsupportedOperation
from .models import Domain as Domain
from .models import Export as Export
from .models import Image as Image
from .models import ImageFile as ImageFile
from .models import ImageFromPrediction as ImageFromPrediction
from .models import ImagePrediction as ImagePrediction
from .models import ImageUrl as ImageUrl
from .models import Iteration as Iteration
from .models import Project as Project
from .models import ProjectExport as ProjectExport
from .models import Region as Region
from .models import SkippedItem as SkippedItem
from .models import StoredImagePrediction as StoredImagePrediction
from .models import Tag as Tag
from .sources import images_from_manifest as images_from_manifest
from .sources import images_from_urls as images_from_urls
from .sources import images_in as images_in

__version__ = "0.1.0"

__all__ = [
    "ApiVersion",
    "AsyncItemPaged",
    "AsyncLROPoller",
    "AuthenticationError",
    "BadRequestError",
    "BatchError",
    "BatchReport",
    "BatchRun",
    "ChunkCompleted",
    "Concurrency",
    "ConflictError",
    "ConnectError",
    "CustomVisionError",
    "DecodeError",
    "Domain",
    "DownloadLinkExpired",
    "Event",
    "Export",
    "Image",
    "ImageFile",
    "ImageFromPrediction",
    "ImagePrediction",
    "ImageUrl",
    "InternalServerError",
    "ItemError",
    "ItemReference",
    "ItemResult",
    "Iteration",
    "KeyCredential",
    "LimitExceeded",
    "NotFoundError",
    "Observer",
    "OperationFailed",
    "PermissionDeniedError",
    "Polling",
    "PollingProgress",
    "PredictionClient",
    "PredictionVersion",
    "Progress",
    "Project",
    "ProjectClient",
    "ProjectExport",
    "RateLimitError",
    "Region",
    "RequestCompleted",
    "RequestTimeout",
    "ResponseLost",
    "Retry",
    "RetryScheduled",
    "ServiceError",
    "SkippedItem",
    "StoredImagePrediction",
    "Tag",
    "Timeouts",
    "TokenCredential",
    "TrainingClient",
    "TransportError",
    "UnsupportedOperation",
    "__version__",
    "has_value",
    "images_from_manifest",
    "images_from_urls",
    "images_in",
]


def _set_modules() -> None:
    """Set the module of each public X, so that tracebacks and pickles say `customvision_async.X`.

    The annotations of a class are resolved first, because their names belong to its old module.
    """
    for name in __all__:
        value = globals()[name]
        if not isinstance(value, (type, _types.FunctionType)):
            continue
        if isinstance(value, type) and "__annotations__" in vars(value):
            hints = _typing.get_type_hints(value, include_extras=True)
            value.__annotations__ = {each: hints[each] for each in value.__annotations__}
        value.__module__ = __name__


_set_modules()
