"""The REST operations: one coroutine each, one request each, named after its operationId in snake_case.

All take ids as text, `uuid.UUID` or the model that has one, and raise what :meth:`Caller.call` raises.
"""

from __future__ import annotations

from .._versions import ApiVersion
from ._call import Answer, Caller, Sends
from ._images import ImageOperations
from ._iterations import IterationOperations
from ._prediction import PredictionOperations
from ._predictions import StoredPredictionOperations
from ._projects import ProjectOperations
from ._tags import TagOperations

__all__ = ["Answer", "Caller", "Operations", "PredictionOperations", "Sends"]


class Operations(
    ProjectOperations,
    TagOperations,
    ImageOperations,
    IterationOperations,
    StoredPredictionOperations,
):
    """Every operation of the Training API, in one version at one endpoint."""

    version: ApiVersion

    def __init__(
        self, pipeline: Sends, endpoint: str, version: ApiVersion = ApiVersion.V3_3
    ) -> None:
        super().__init__(pipeline, endpoint, version)
