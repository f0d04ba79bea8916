"""What leaves a project: trained models, images, the project itself; and all its images at once."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

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
"""An exported model is 2 MB to some hundred; a container with its base image is the largest."""
_IMAGE_BYTES = 16 * 1024**2
"""An image is 6 MB at the max_bytes when it is uploaded."""

_ABSOLUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|//)").match

_URIS = {"original": "original_uri", "resized": "resized_image_uri", "thumbnail": "thumbnail_uri"}


class ExportMethods(ProjectBase):
    """The verbs of :class:`~customvision_async.ProjectClient` that take something out."""

    # --- models

    def list_exports(self, iteration: IterationLike) -> AsyncItemPaged[Export]:
        """The exports of an iteration, those under way included, all at once."""
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
        """Export a trained iteration of a compact domain: ``export = await
        project.begin_export(iteration, "ONNX")``.

        Args: iteration: which. platform: CoreML, TensorFlow, DockerFile, ONNX, VAIDK or OpenVino,
            as far as `Iteration.exportable_to` and the version go. flavor: Linux, Windows or ARM of
            a DockerFile; ONNX10 or ONNX12; TensorFlowNormal or TensorFlowLite (since v2.0). wait:
            False, and awaiting the poller begins the export and does not wait for its end. polling:
            how often to look.

        The result is for :meth:`download_export`. A lost answer is resolved by listing the exports.

        Raises (when awaited): BadRequestError: not exportable, not trained, or
            BadRequestExportAlreadyInProgress: :meth:`resume_export` waits for that one.
            OperationFailed: the export failed.
        """
        which = id_of(iteration, "iteration")
        export = _Export(self.operations, self.id, which, platform, flavor, begin=True)
        return AsyncLROPoller(export, polling, wait=wait)

    def resume_export(
        self,
        iteration: IterationLike,
        platform: ExportPlatform | str,
        flavor: ExportFlavor | str | None = None,
        *,
        polling: Polling | None = None,
    ) -> AsyncLROPoller[Export, Export]:
        """Wait for an export that was begun before, here or elsewhere.

        Raises (when awaited):
            NotFoundError: there is none for that platform and flavor.
        """
        which = id_of(iteration, "iteration")
        return AsyncLROPoller(
            _Export(self.operations, self.id, which, platform, flavor, begin=False), polling
        )

    async def download_export(
        self, export: Export, path: str | os.PathLike[str], *, overwrite: bool = True
    ) -> Path:
        """Download an export that is done to the file `path`, whole or not at all.

        Broken connections are taken up where they broke. The host gets no key, and must be one of
        Azure's blob stores or of the client's `blob_hosts`.

        Raises: ValueError: the export is not done. DownloadLinkExpired: its address is no longer
            valid (they live for a day): list the exports again. ConnectError: its address is not
            one that files are read from. OSError: the file cannot be written; FileExistsError if it
            is there and not to be overwritten.
        """
        if not export.download_uri:
            raise ValueError(
                f"the export for {export.platform} has no file, it is {export.status}: await "
                "begin_export or resume_export"
            )
        return await self._download(
            export.download_uri, path, "DownloadExport", _EXPORT_BYTES, overwrite
        )

    # --- images

    async def download_image(
        self,
        image: ImageLike | PredictionLike,
        path: str | os.PathLike[str],
        *,
        size: Literal["original", "resized", "thumbnail"] = "original",
        overwrite: bool = True,
    ) -> Path:
        """Download the image of an image to the file `path`, whole or not at all; see
        :meth:`download_export`.

        Args: image: an image or a stored prediction, as its model; or the id of an image. An
            address that is too old is asked for anew. path: the file. size: the image as it was
            uploaded, the one made smaller, or the small one. overwrite: whether to replace a file
            that is there.
        """
        if size not in _URIS:
            raise ValueError(f"size is one of {', '.join(_URIS)}, not {size!r}")
        url = getattr(image, _URIS[size], None)
        if url is not None:
            try:
                return await self._download(url, path, "DownloadImage", _IMAGE_BYTES, overwrite)
            except DownloadLinkExpired:
                if not isinstance(image, Image):
                    raise
        which = image_id(image)
        found = await self.operations.get_images_by_ids(self.id, [which])
        url = getattr(found[0], _URIS[size]) if found else None
        if url is None:
            what = f"no image {which}" if not found else f"no {size} image of image {which}"
            raise NotFoundError(
                f"the project has {what}",
                status=200,
                operation="GetImagesByIds",
            )
        return await self._download(url, path, "DownloadImage", _IMAGE_BYTES, overwrite)

    async def _download(
        self, url: str, path: str | os.PathLike[str], operation: str, max_bytes: int, overwrite: bool
    ) -> Path:
        if not _ABSOLUTE(url):  # of a resource in a virtual network: a path, behind the key
            return await save(await self.get_artifact(url), path, overwrite=overwrite)
        if self._downloads is None:
            raise RuntimeError("a ProjectClient downloads only if a TrainingClient has made it")
        return await self._downloads.fetch(
            url, path, operation=operation, max_bytes=max_bytes, overwrite=overwrite
        )

    async def get_artifact(self, path: str) -> bytes:
        """The bytes behind a relative address, as resources in a virtual network give them for
        images and exports (since v3.3).
        """
        return await self.operations.get_artifact(self.id, path)

    # --- the whole project

    async def export_project(self) -> ProjectExport:
        """A token by which the project can be imported elsewhere, for a day (since v3.2): ``await
        other.begin_import(export)``.

        It opens all images of the project to whoever has it.
        """
        return await self.operations.export_project(self.id)

    def begin_delete_all_images(
        self, *, all_iterations: bool = False, wait: bool = True, polling: Polling | None = None
    ) -> AsyncLROPoller[int, int]:
        """Delete every image of the project (since v3.1): ``number = await
        project.begin_delete_all_images()``.

        Args: all_iterations: from all trained iterations too, not from the workspace alone. wait:
            False, and awaiting the poller does not wait until they are gone: the service takes its
            time. polling: how often to count those that are left, which is the state of the poller.

        The result is how many there were. Images uploaded meanwhile may go as well, or keep the
        count from reaching 0.
        """
        images = ImageList(self.operations, self.id, _no_tags, None, False, None, None, 1)
        return AsyncLROPoller(
            _DeleteAll(self.operations, self.id, images.count, all_iterations), polling, wait=wait
        )


async def _no_tags() -> tuple[str, ...]:
    return ()


class _Export(PollingMethod[Export, Export]):
    """The export of an iteration for a platform, and a flavor of it."""

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
        self._begun = StartOnce(self._send, self._remember, self._find) if begin else None

    async def begin(self) -> PollResult[Export]:
        """Begin it, or find it."""
        if self._begun is not None:
            return _export_seen(await self._begun())
        found, retry_after = await self._list()
        if found is None:
            name = f"{self._platform} {self._flavor or ''}".strip()
            raise NotFoundError(
                f"the iteration has no export for {name}",
                status=200,
                operation="GetExports",
            )
        return _export_seen(found, retry_after)

    async def look(self, state: Export) -> PollResult[Export]:
        """How it is now."""
        found, retry_after = await self._list(state)
        return _export_seen(found or state, retry_after)

    def result(self, state: Export) -> Export:
        """The export."""
        return state

    def id(self, state: Export) -> str:
        """Iteration, platform and flavor."""
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

    def again(self, state: Export) -> str:
        """How to take it up."""
        return f"resume_export({self._path['iterationId']!r}, {str(state.platform)!r}{f', {self._flavor!r}' if self._flavor else ''})"

    async def _send(self) -> Export:
        return await self._operations.export_iteration(
            self._path["projectId"], self._path["iterationId"], self._platform, flavor=self._flavor
        )

    async def _remember(self) -> None:
        before, _ = await self._list()
        self._outdated = before is not None and before.newer_version_available

    async def _find(self) -> Export | None:
        """An export of this kind, whoever began it: they are all the same, unless there was one for
        which there is a better.
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
        """The export that is meant, or that has `begun`; one without a flavor, if none was asked
        for and there are several.
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


def _export_seen(export: Export, retry_after: float | None = None) -> PollResult[Export]:
    end: Literal["", "done", "failed"] = ""
    if export.status == ExportStatus.DONE:
        end = "done"
    elif export.status == ExportStatus.FAILED:
        end = "failed"
    reason = "the service does not say why; begin it again" if end == "failed" else ""
    return PollResult(export, str(export.status), end, reason, retry_after=retry_after)


class _DeleteAll(PollingMethod[int, int]):
    """The deletion of all images. The state is how many are left."""

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
        """Ask for it."""
        if self._total is None:
            self._total = await self._count()
        await self._operations.delete_images(
            self._project_id, all_images=True, all_iterations=self._all_iterations or None
        )
        return await self.look(self._total)

    async def look(self, state: int) -> PollResult[int]:
        """Count what is left."""
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
        """How many there were."""
        return self._total or 0

    def id(self, state: int) -> str:
        """The project's."""
        return self._project_id
