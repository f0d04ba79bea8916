"""The REST operations: one coroutine each, one request each, named after its operationId in snake_case."""

from __future__ import annotations

from .._versions import ApiVersion
from ._call import Answer, Sends
from ._images import ImageOperations

__all__ = ["Answer", "Operations", "Sends"]


class Operations(ImageOperations):
    """Every operation of the Training API, in one version at one endpoint."""

    version: ApiVersion

    def __init__(self, transport: Sends, endpoint: str, version: ApiVersion = ApiVersion.V3_3) -> None:
        super().__init__(transport, endpoint, version)
