"""The REST operations: one coroutine per operationId, each of which sends one request.

Ids may be strings, UUIDs or models. The errors are those of :meth:`Caller._call`.
"""

from __future__ import annotations

from .._versions import ApiVersion
from ._call import Caller, Sends
from ._image_data import NamedBlob
from ._images import ImageOperations
from ._iterations import IterationOperations
from ._prediction import PredictionOperations
from ._predictions import StoredPredictionOperations
from ._projects import ProjectOperations
from ._tags import TagOperations

__all__ = ["Caller", "NamedBlob", "Operations", "PredictionOperations", "Sends"]


class Operations(
    ProjectOperations,
    TagOperations,
    ImageOperations,
    IterationOperations,
    StoredPredictionOperations,
):
    """The operations of the Training API, in one version at one endpoint."""

    version: ApiVersion

    def __init__(
        self, pipeline: Sends, endpoint: str, version: ApiVersion = ApiVersion.V3_3
    ) -> None:
        super().__init__(pipeline, endpoint, version)
