"""Exports, downloads of images, and projects that move to another resource, over real sockets."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from customvision_async import (
    ApiVersion,
    BadRequestError,
    Export,
    NotFoundError,
    OperationFailed,
    ServiceError,
)
from tests.support.images import image_bytes
from tests.support.trained_project import FAST, project_with_images, serving, trained

pytestmark = pytest.mark.anyio

PROJECT = "11111111-1111-1111-1111-111111111111"


# --- exports


async def test_an_export_is_begun_waited_for_and_downloaded(tmp_path: Path) -> None:
    """The file is the zip of the service, readable by its owner only. No other file is left."""
    async with serving(export_seconds=0.1) as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        poller = orchard.begin_export(iteration, "DockerFile", "Linux", polling=FAST)
        assert (await poller.start()).status == "Exporting"
        export = await poller
        assert (export.status, export.flavor, poller.id) == (
            "Done",
            "Linux",
            f"{iteration.id}/DockerFile/Linux",
        )
        path = await orchard.download_export(export, tmp_path / "model.zip")
        assert path == tmp_path / "model.zip"
        assert zipfile.ZipFile(path).testzip() is None
        assert os.listdir(tmp_path) == ["model.zip"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [one.platform for one in await orchard.list_exports(iteration).all()] == [
            "DockerFile"
        ]
        assert (await orchard.resume_export(iteration, "dockerfile")).download_uri
        assert sum(seen.operation == "ExportIteration" for seen in emulator.requests) == 1


async def test_flavors_of_a_platform_are_told_apart() -> None:
    """Two ONNX exports are each found by their flavor."""
    async with serving(export_seconds=0.05) as (_, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        for flavor in ("ONNX10", "ONNX12"):
            assert (
                await orchard.begin_export(iteration, "ONNX", flavor, polling=FAST)
            ).flavor == flavor
        assert (await orchard.resume_export(iteration, "ONNX", "ONNX12")).flavor == "ONNX12"
        with pytest.raises(NotFoundError, match="CoreML"):
            await orchard.resume_export(iteration, "CoreML")


async def test_an_export_whose_answer_is_lost_is_found() -> None:
    """It is found by listing, and not started again."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        emulator.faults.add("lost_answer", operation="ExportIteration")
        assert (await orchard.begin_export(iteration, "ONNX", polling=FAST)).status == "Done"
        assert sum(seen.operation == "ExportIteration" for seen in emulator.requests) == 1


async def test_what_cannot_be_exported_says_so() -> None:
    """The error has the service's code and a fix.

    The domain may not be compact, the platform may be unknown, or the export may exist already.
    """
    async with serving(export_seconds=30) as (_, training):
        plain = await project_with_images(training, domain="General")
        with pytest.raises(BadRequestError) as caught:
            await plain.begin_export(await trained(plain), "ONNX")
        assert caught.value.code
        assert caught.value.advice
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        with pytest.raises(ServiceError):
            await orchard.begin_export(iteration, "Abacus")
        begun = await orchard.begin_export(iteration, "ONNX", wait=False)
        assert begun.status == "Exporting"
        with pytest.raises(BadRequestError, match="Wait for the export") as caught:
            await orchard.begin_export(iteration, "ONNX")
        assert caught.value.code == "BadRequestExportAlreadyInProgress"
        with pytest.raises(ValueError, match="resume_export"):
            await orchard.download_export(begun, "never.zip")


async def test_a_failed_export_is_an_error() -> None:
    """The error holds the export."""
    async with serving(export_seconds=0.05) as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)

        def fail(exports: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [export | {"status": "Failed"} for export in exports]

        emulator.faults.add("edit", operation="GetExports", after=1, edit=fail)
        with pytest.raises(OperationFailed, match="ExportIteration: it ended as Failed") as caught:
            await orchard.begin_export(iteration, "ONNX", polling=FAST)
        assert isinstance(caught.value.state, Export)


@pytest.mark.parametrize(
    "version", [ApiVersion.V1_2, ApiVersion.V2_1, ApiVersion.V3_4_PREVIEW], ids=str
)
async def test_exports_in_old_and_new_versions(version: ApiVersion, tmp_path: Path) -> None:
    """The same methods work from the first version to the last."""
    async with serving(version) as (_, training):
        orchard = await project_with_images(training)
        export = await orchard.begin_export(await trained(orchard), "TensorFlow", polling=FAST)
        assert zipfile.is_zipfile(await orchard.download_export(export, tmp_path / "model.zip"))


# --- images


async def test_images_come_back_as_they_went(tmp_path: Path) -> None:
    """By model and by id, in three sizes. A stored prediction too."""
    async with serving() as (_, training):
        orchard = await project_with_images(training, each=5)
        image = next(image for image in await orchard.list_images().all())
        path = await orchard.download_image(image, tmp_path / "a.jpg")
        assert path.read_bytes() in {image_bytes(seed) for seed in (*range(5), *range(100, 105))}
        assert (
            await orchard.download_image(image.id, tmp_path / "b.jpg")
        ).read_bytes() == path.read_bytes()
        for size in ("resized", "thumbnail"):
            assert (
                await orchard.download_image(image.id, tmp_path / size, size=size)
            ).stat().st_size > 100
        await orchard.quick_test(image_bytes(77), iteration=await trained(orchard))
        (kept,) = await orchard.list_predictions().all()
        assert (await orchard.download_image(kept, tmp_path / "c.jpg")).read_bytes() == image_bytes(
            77
        )
        with pytest.raises(NotFoundError):
            await orchard.download_image(PROJECT, tmp_path / "d.jpg")
        with pytest.raises(ValueError, match="original, resized, thumbnail"):
            await orchard.download_image(image, tmp_path / "d.jpg", size="huge")


async def test_an_image_with_an_old_address_is_asked_for_anew(tmp_path: Path) -> None:
    """A model whose URL has expired can still be downloaded."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training, each=5)
        image = (await orchard.list_images().all())[0]
        emulator.faults.add("status", operation="Blob", status=403, body=b"<Error/>")
        assert (await orchard.download_image(image, tmp_path / "a.jpg")).stat().st_size
        assert sum(seen.operation == "GetImagesByIds" for seen in emulator.requests) == 1


@pytest.mark.parametrize("version", [ApiVersion.V1_2, ApiVersion.V2_1, ApiVersion.V3_0], ids=str)
async def test_images_of_old_versions(version: ApiVersion, tmp_path: Path) -> None:
    """The field with the URL may have any of its names."""
    async with serving(version) as (_, training):
        orchard = await project_with_images(training, each=5, domain="General")
        image = (await orchard.list_images().all())[0]
        assert (
            (await orchard.download_image(image, tmp_path / "a.jpg"))
            .read_bytes()
            .startswith(b"\xff\xd8\xff")
        )


async def test_images_of_a_resource_in_a_virtual_network(tmp_path: Path) -> None:
    """Relative addresses are artifacts, downloaded from the service itself."""
    async with serving(vnet=True) as (emulator, training):
        orchard = await project_with_images(training, each=5)
        image = (await orchard.list_images().all())[0]
        assert "://" not in (image.original_uri or "")
        path = await orchard.download_image(image, tmp_path / "a.jpg")
        assert path.read_bytes().startswith(b"\xff\xd8\xff")
        assert await orchard.get_artifact(image.original_uri or "") == path.read_bytes()
        assert any(seen.operation == "GetArtifact" for seen in emulator.requests)


# --- whole projects


@pytest.mark.parametrize(
    "version", [ApiVersion.V3_2, ApiVersion.V3_3, ApiVersion.V3_4_PREVIEW], ids=str
)
async def test_a_project_moves_to_another_resource(version: ApiVersion) -> None:
    """Images, tags and regions move from one emulator to another."""
    async with serving(version) as (_, here), serving(version, import_seconds=0.05) as (_, there):
        orchard = await project_with_images(here, each=5)
        export = await orchard.export_project()
        assert (export.image_count, export.tag_count) == (10, 2)
        poller = there.begin_import(export, polling=FAST)
        moved = await poller
        assert (moved.id, moved.name, poller.status) == (poller.id, "Orchard", "Succeeded")
        assert await moved.count_images(tags=["apple"]) == 5
        if version >= ApiVersion.V3_3:
            again = await there.begin_import(export.token, name="Orchard", polling=FAST)
            assert again.name == "Orchard (1)"


async def test_an_import_whose_answer_is_lost_is_found() -> None:
    """The new project is found. No second project is created."""
    async with serving(import_seconds=0.05) as (emulator, training):
        orchard = await project_with_images(training, each=5)
        export = await orchard.export_project()
        emulator.faults.add("lost_answer", operation="ImportProject")
        copy = await training.begin_import(export, name="Copy", polling=FAST)
        assert copy.name == "Copy"
        assert sorted([project.name async for project in training.list_projects()]) == [
            "Copy",
            "Orchard",
        ]
        assert (await training.resume_import(copy.id)).id == copy.id


async def test_an_import_token_of_nowhere() -> None:
    """The error has the service's code and tells where a token comes from.

    A project cannot be exported during a training.
    """
    async with serving(training_seconds=30) as (_, training):
        with pytest.raises(BadRequestError, match="Export the project again") as caught:
            await training.begin_import("http://127.0.0.1:9/nowhere")
        assert caught.value.code == "BadRequestInvalidImportToken"
        orchard = await project_with_images(training)
        await orchard.begin_training(wait=False)
        with pytest.raises(BadRequestError) as caught:
            await orchard.export_project()
        assert caught.value.code == "BadRequestExportWhileTraining"


async def test_an_import_that_fails() -> None:
    """The error says so."""
    async with serving() as (emulator, training):
        export = await (await project_with_images(training, each=5)).export_project()
        emulator.faults.add(
            "edit",
            operation="GetProject",
            times=None,
            edit=lambda project: project | {"status": "Failed"},
        )
        with pytest.raises(OperationFailed, match="ImportProject: it ended as Failed"):
            await training.begin_import(export, polling=FAST)


# --- all images


@pytest.mark.parametrize(
    "version", [version for version in ApiVersion if version >= ApiVersion.V3_1], ids=str
)
async def test_all_images_are_deleted_and_counted_out(version: ApiVersion) -> None:
    """Images are counted until none is left. The result is their number."""
    async with serving(version, delete_all_seconds=0.2) as (emulator, training):
        orchard = await project_with_images(training, each=5)
        poller = orchard.begin_delete_all_images(polling=FAST)
        left = [number async for number in poller]
        assert left[0] == 10
        assert left[-1] == 0
        assert await poller == 10
        assert poller.progress.fraction == 1
        assert await orchard.count_images() == 0
        assert sum(seen.operation == "DeleteImages" for seen in emulator.requests) == 1
        assert await orchard.begin_delete_all_images() == 0


async def test_all_images_of_all_iterations() -> None:
    """Delete from the workspace only, or from trained iterations too."""
    async with serving() as (_, training):
        orchard = await project_with_images(training, each=5)
        iteration = await trained(orchard)
        await orchard.begin_delete_all_images(polling=FAST)
        assert await orchard.count_images(iteration=iteration) == 10
        await orchard.begin_delete_all_images(all_iterations=True, polling=FAST)
        assert await orchard.count_images(iteration=iteration) == 0
