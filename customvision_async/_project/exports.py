"""Export models, images and whole projects, and delete all images of a project."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeAlias, overload

import anyio
from anyio import TemporaryDirectory

from .._batching import image_id
from .._operations import Operations
from .._paging import AsyncItemPaged, one_page
from .._polling import AsyncLROPoller, Polling, PollingMethod, PollResult, StartOnce
from .._transport.base import Meter
from .._transport.download import save
from .._wire.request import id_of
from ..errors import DownloadLinkExpired, NotFoundError
from ..models import Export, ExportFlavor, ExportPlatform, ExportStatus, Image, ProjectExport
from ..models.inputs import PredictionLike
from .base import ImageLike, IterationLike, ProjectBase
from .image_list import ImageList

__all__ = ["ExportMethods"]

_EXPORT_BYTES = 8 * 1024**3
"""Maximum size of an exported model. Most have 2 MB to some hundred MB. The largest are containers
with their base image."""
_IMAGE_BYTES = 16 * 1024**2
"""Maximum size of a stored image. Uploaded images have at most 6 MB."""

_ABSOLUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|//)").match

ImageSize: TypeAlias = Literal["original", "resized", "thumbnail"]
_URIS = {"original": "original_uri", "resized": "resized_image_uri", "thumbnail": "thumbnail_uri"}


class ExportMethods(ProjectBase):
    """The methods of :class:`~customvision_async.ProjectClient` for exports and downloads."""

    # --- models

    def list_exports(self, iteration: IterationLike) -> AsyncItemPaged[Export]:
        """List the exports of an iteration, including those in progress, in a single page."""
        return AsyncItemPaged(
            lambda: one_page(lambda: self.operations.get_exports(self.id, iteration))
        )

    def begin_export(
        self,
        iteration: IterationLike,
        platform: ExportPlatform | str,
        flavor: ExportFlavor | str | None = None,
        *,
        wait: bool = True,
        polling: Polling | None = None,
    ) -> AsyncLROPoller[Export, Export]:
        """Export a trained iteration of a compact domain.

        Await the poller to get the export, and download it with :meth:`download_export`::

            export = await project.begin_export(iteration, "ONNX")

        If a response is lost, the exports are listed to find out whether the export has started.

        Args:
            iteration: Iteration to export.
            platform: "CoreML", "TensorFlow", "DockerFile", "ONNX", "VAIDK" or "OpenVino", if
                `Iteration.exportable_to` and the API version allow it.
            flavor: "Linux", "Windows" or "ARM" for DockerFile, "ONNX10" or "ONNX12" for ONNX, or
                "TensorFlowNormal" or "TensorFlowLite" for TensorFlow (since v2.0).
            wait: Whether awaiting the poller waits for the end of the export, not only its start.
            polling: How often to poll.

        Raises (when awaited):
            BadRequestError: The iteration is not trained or not exportable. With code
                BadRequestExportAlreadyInProgress: wait for the other export with
                :meth:`resume_export`.
            OperationFailed: The export failed.
        """
        iteration_id = id_of(iteration, "iteration")
        export = _Export(self.operations, self.id, iteration_id, platform, flavor, begin=True)
        return AsyncLROPoller(export, polling, wait=wait)

    def resume_export(
        self,
        iteration: IterationLike,
        platform: ExportPlatform | str,
        flavor: ExportFlavor | str | None = None,
        *,
        polling: Polling | None = None,
    ) -> AsyncLROPoller[Export, Export]:
        """Resume waiting for an export that was started earlier, here or in another program.

        Raises (when awaited):
            NotFoundError: There is no export for that platform and flavor.
        """
        iteration_id = id_of(iteration, "iteration")
        export = _Export(self.operations, self.id, iteration_id, platform, flavor, begin=False)
        return AsyncLROPoller(export, polling)

    async def download_export(
        self, export: Export, path: str | os.PathLike[str], *, overwrite: bool = True
    ) -> Path:
        """Download a completed export to the file `path`, and return the path.

        The file is complete or absent. After a broken connection the download resumes. The
        credential is not sent. The host must be one of Azure's blob stores or of the client's
        `blob_hosts`.

        Args:
            export: Result of :meth:`begin_export`.
            path: File to write.
            overwrite: Whether to replace an existing file.

        Raises:
            ValueError: The export is not completed.
            DownloadLinkExpired: The URL is no longer valid. URLs expire after a day. List the
                exports again.
            ConnectError: The URL is not allowed, or no connection could be made.
            FileExistsError: The file exists, and `overwrite` is False.
            OSError: The file cannot be written.
        """
        if not export.download_uri:
            raise ValueError(
                f"the export for {export.platform} has no file, because its status is"
                f" {export.status}; await begin_export or resume_export"
            )
        return await self._download(
            export.download_uri, path, "DownloadExport", _EXPORT_BYTES, overwrite
        )

    # --- images

    @overload
    async def download_image(
        self,
        image: ImageLike | PredictionLike,
        *,
        size: ImageSize = "original",
    ) -> bytes: ...
    @overload
    async def download_image(
        self,
        image: ImageLike | PredictionLike,
        path: str | os.PathLike[str],
        *,
        size: ImageSize = "original",
        overwrite: bool = True,
    ) -> Path: ...
    async def download_image(
        self,
        image: ImageLike | PredictionLike,
        path: str | os.PathLike[str] | None = None,
        *,
        size: ImageSize = "original",
        overwrite: bool = True,
    ) -> Path | bytes:
        """Download an image. Return its bytes, or the path of the file if `path` is given.

        See :meth:`download_export` for errors. If the URL of an image has expired, a new one is
        requested.

        Args:
            image: Model or id of an image, or model of a stored prediction.
            path: File to write, or None to return the bytes.
            size: "original" for the image as uploaded, "resized" for a smaller copy, or
                "thumbnail".
            overwrite: Whether to replace an existing file.
        """
        if size not in _URIS:
            raise ValueError(f"size must be one of {', '.join(_URIS)}, not {size!r}")
        if path is not None:
            return await self._download_image(image, path, size, overwrite)
        async with TemporaryDirectory() as folder:
            file = await self._download_image(image, os.path.join(folder, "image"), size, True)
            return await anyio.Path(file).read_bytes()

    async def _download_image(
        self,
        image: ImageLike | PredictionLike,
        path: str | os.PathLike[str],
        size: ImageSize,
        overwrite: bool,
    ) -> Path:
        url = getattr(image, _URIS[size], None)
        if url is not None:
            try:
                return await self._download(url, path, "DownloadImage", _IMAGE_BYTES, overwrite)
            except DownloadLinkExpired:
                if not isinstance(image, Image):
                    raise
        wanted = image_id(image)
        found = await self.operations.get_images_by_ids(self.id, [wanted])
        url = getattr(found[0], _URIS[size]) if found else None
        if url is None:
            missing = f"no image {wanted}" if not found else f"no {size} file of image {wanted}"
            raise NotFoundError(
                f"the project has {missing}",
                status=200,
                operation="GetImagesByIds",
            )
        return await self._download(url, path, "DownloadImage", _IMAGE_BYTES, overwrite)

    async def _download(
        self,
        url: str,
        path: str | os.PathLike[str],
        operation: str,
        max_bytes: int,
        overwrite: bool,
    ) -> Path:
        if not _ABSOLUTE(url):
            # A resource with a private network gives paths, which need the credential.
            return await save(await self.get_artifact(url), path, overwrite=overwrite)
        if self._downloads is None:
            raise RuntimeError("only a ProjectClient from a TrainingClient can download files")
        return await self._downloads.fetch(
            url, path, operation=operation, max_bytes=max_bytes, overwrite=overwrite
        )

    async def get_artifact(self, path: str) -> bytes:
        """Return the content of the file at a relative URI (since v3.3).

        Resources with a private network use such URIs for images and exports.
        """
        return await self.operations.get_artifact(self.id, path)

    # --- the whole project

    async def export_project(self) -> ProjectExport:
        """Return a token to import the project into another resource (since v3.2).

        Use it with ``await other.begin_import(export)``. It is valid for a day. Anyone who has the
        token can read all images of the project.
        """
        return await self.operations.export_project(self.id)

    def begin_delete_all_images(
        self, *, all_iterations: bool = False, wait: bool = True, polling: Polling | None = None
    ) -> AsyncLROPoller[int, int]:
        """Delete all images of the project (since v3.1).

        Irreversible, and without confirmation. Await the poller to get the number of images that
        there were. Its state is the number of images that are left::

            number = await project.begin_delete_all_images()

        Images that are uploaded meanwhile may be deleted too, or keep the count above 0.

        Args:
            all_iterations: Whether to delete the images from all trained iterations too, not only
                from the workspace.
            wait: Whether awaiting the poller waits until the images are deleted.
            polling: How often to count the images that are left.
        """
        images = ImageList(self.operations, self.id, _no_tags, None, False, None, None, 1)
        return AsyncLROPoller(
            _DeleteAll(self.operations, self.id, images.count, all_iterations), polling, wait=wait
        )


async def _no_tags() -> tuple[str, ...]:
    return ()


class _Export(PollingMethod[Export, Export]):
    """Export an iteration for a platform and flavor, or without `begin` resume its export."""

    operation = "ExportIteration"

    def __init__(
        self,
        operations: Operations,
        project_id: str,
        iteration: str,
        platform: str,
        flavor: str | None,
        *,
        begin: bool,
    ) -> None:
        self._operations = operations
        self._path = {"projectId": project_id, "iterationId": iteration}
        self._platform = platform
        self._flavor = flavor
        self._outdated = False
        self._start = StartOnce(self._send, self._remember, self._find) if begin else None

    async def begin(self) -> PollResult[Export]:
        """Start the export, or find the one to resume."""
        if self._start is not None:
            return _poll_result(await self._start())
        found, retry_after = await self._list()
        if found is None:
            name = f"{self._platform} {self._flavor or ''}".strip()
            raise NotFoundError(
                f"the iteration has no export for {name}",
                status=200,
                operation="GetExports",
            )
        return _poll_result(found, retry_after)

    async def poll(self, state: Export) -> PollResult[Export]:
        """Poll the export. An export that is no longer listed keeps its last state."""
        found, retry_after = await self._list(state)
        return _poll_result(found or state, retry_after)

    def result(self, state: Export) -> Export:
        """Return the export."""
        return state

    def id(self, state: Export) -> str:
        """Return the id of the iteration, the platform and the flavor."""
        return "/".join(
            filter(
                None,
                (
                    self._path["iterationId"],
                    str(state.platform),
                    str(state.flavor or self._flavor or ""),
                ),
            )
        )

    def resume_hint(self, state: Export) -> str:
        """Return the call that resumes the export."""
        flavor = f", {self._flavor!r}" if self._flavor else ""
        return f"resume_export({self._path['iterationId']!r}, {str(state.platform)!r}{flavor})"

    async def _send(self) -> Export:
        return await self._operations.export_iteration(
            self._path["projectId"], self._path["iterationId"], self._platform, flavor=self._flavor
        )

    async def _remember(self) -> None:
        before, _ = await self._list()
        self._outdated = before is not None and before.newer_version_available

    async def _find(self) -> Export | None:
        """Return the export for the platform and flavor, or None.

        Exports by other clients count, because they are equal. A failed one does not count, nor an
        outdated one from before.
        """
        found, _ = await self._list()
        if (
            found is None
            or found.status == ExportStatus.FAILED
            or (self._outdated and found.newer_version_available)
        ):
            return None
        return found

    async def _list(self, begun: Export | None = None) -> tuple[Export | None, float | None]:
        """Return the export for the platform and flavor, or None, and the Retry-After.

        If no flavor was requested, an export without a flavor is preferred to others. With `begun`,
        return the export of the same platform and flavor as `begun`.
        """
        platform, flavor = (
            (self._platform, self._flavor) if begun is None else (begun.platform, begun.flavor)
        )
        meter = Meter()
        exports = [
            export
            for export in await self._operations.get_exports(
                self._path["projectId"], self._path["iterationId"], meter=meter
            )
            if _same(export.platform, platform)
        ]
        exact = [export for export in exports if _same(export.flavor, flavor)]
        if not exact and begun is None and flavor is None:
            exact = exports
        return (exact[0] if exact else None), meter.retry_after


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").lower() == (other or "").lower()


def _poll_result(export: Export, retry_after: float | None = None) -> PollResult[Export]:
    end: Literal["", "done", "failed"] = ""
    if export.status == ExportStatus.DONE:
        end = "done"
    elif export.status == ExportStatus.FAILED:
        end = "failed"
    reason = "the service gives no reason; start it again" if end == "failed" else ""
    return PollResult(export, str(export.status), end, reason, retry_after=retry_after)


class _DeleteAll(PollingMethod[int, int]):
    """Delete all images. The state is the number of images that are left."""

    operation = "DeleteImages"

    def __init__(
        self,
        operations: Operations,
        project_id: str,
        count: Callable[[], Awaitable[int]],
        all_iterations: bool,
    ) -> None:
        self._operations = operations
        self._project_id = project_id
        self._count = count
        self._all_iterations = all_iterations
        self._total: int | None = None

    async def begin(self) -> PollResult[int]:
        """Start the deletion."""
        if self._total is None:
            self._total = await self._count()
        await self._operations.delete_images(
            self._project_id, all_images=True, all_iterations=self._all_iterations or None
        )
        return await self.poll(self._total)

    async def poll(self, state: int) -> PollResult[int]:
        """Count the images that are left."""
        left = await self._count()
        total = self._total or 0
        done = max(0.0, 1 - left / total) if total else 1.0
        return PollResult(
            left,
            "Deleting" if left else "Deleted",
            "" if left else "done",
            fraction=1.0 if not left else done,
        )

    def result(self, state: int) -> int:
        """Return the number of images that there were."""
        return self._total or 0

    def id(self, state: int) -> str:
        """Return the id of the project."""
        return self._project_id
