"""Uses of the public interface that a type checker must accept, marked `use`.

Never run: tests/test_typing.py passes it to mypy and pyright.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from uuid import UUID

import customvision_async as cv
from customvision_async import models


async def clients(key: str, token: cv.TokenCredential, event_log: list[cv.Event]) -> None:
    cv.TrainingClient("https://a.example", key)  # use
    cv.TrainingClient("https://a.example", token, api_version="v3.3")  # use
    cv.TrainingClient("https://a.example", key, retry=cv.Retry(max_attempts=3))  # use
    cv.TrainingClient("https://a.example", key, observers=[event_log.append])  # use
    cv.TrainingClient.from_env(timeouts=cv.Timeouts(), blob_hosts=["a.example"])  # use
    cv.PredictionClient.from_env(concurrency=cv.Concurrency(max_requests=8))  # use
    async with cv.TrainingClient.from_env() as training:
        training.operations.version >= cv.ApiVersion.V3_0  # use


class OurClient(cv.TrainingClient):
    """A subclass, as a program may define one."""

    def ours(self) -> str:
        return self.endpoint


async def subclass() -> None:
    async with OurClient.from_env() as training:
        training.ours().upper()  # use


async def projects(training: cv.TrainingClient, a_domain: cv.Domain) -> None:
    project = await training.create_project("Orchard", domain="General")  # use
    await training.create_project("Orchard", a_domain, classification_type="Multiclass")  # use
    await training.create_project("Orchard", target_export_platforms=["CoreML"])  # use
    await training.update_project(project, export_platforms=[models.ExportPlatform.ONNX])  # use
    (await training.find_project("Orchard")).id.upper()  # use
    [one.name async for one in training.list_projects()]  # use
    (await training.begin_import(await project.export_project())).upload_images([])  # use
    (await project.get_properties()).name.upper()  # use


async def uploads(
    project: cv.ProjectClient,
    paths: Iterator[Path],
    texts: Iterable[str],
    streams: AsyncIterator[bytes],
    stored: list[cv.StoredImagePrediction],
    a_tag: cv.Tag,
) -> None:
    await project.upload_images(
        [cv.ImageFile("a.jpg", tags=["a"]), cv.ImageUrl("https://b")]
    )  # use
    await project.upload_images(["a.jpg", Path("b.jpg"), b"..."])  # use
    await project.upload_images(paths, tags=texts)  # use
    await project.upload_images(streams, tags=(a_tag, "b", UUID(int=1)))  # use
    await project.upload_images(stored, create_missing_tags=True)  # use
    await project.upload_images(cv.images_in("photos", tags_from_folders=True))  # use
    await project.upload_images(cv.images_from_urls(texts))  # use
    await project.upload_images(cv.images_from_manifest("failed.jsonl"))  # use
    await project.upload_images("a.jpg")  # use
    await project.upload_images(cv.ImageFile(data=b"...", name="a"))  # use
    await project.upload_images(UUID(int=1))  # use
    with open("a.jpg", "rb") as file:
        await project.upload_images(file)  # use
        await project.upload_images([file, io.BytesIO(b"...")])  # use
        cv.ImageFile(file=file, regions=[cv.Region("a", 0.1, 0.1, 0.5, 0.5)])  # use
    await project.upload_images(image async for image in cv.images_in("photos"))  # use


async def results(project: cv.ProjectClient) -> None:
    async with project.upload_images(cv.images_in("photos")) as upload:
        async for result in upload:
            print(result.item.name, result.error)  # use
            if cv.has_value(result):
                print(result.image.id, result.value.width)  # use
            elif result.error is not None:
                print(result.error.status, result.error.index + 1)  # use
            if result.ok and result.image is not None:
                print(result.image.original_uri)  # use
        print(upload.progress.rate + 1, upload.report.failed + 1)  # use


async def reports(project: cv.ProjectClient, paths: list[Path]) -> None:
    report = await project.upload_images(paths)
    for failure in report.failures:
        if not isinstance(failure.item, cv.ItemReference):
            print(failure.item.name)  # use
    again = [f.item for f in report.failures if not isinstance(f.item, cv.ItemReference)]
    await project.upload_images(again)  # use
    try:
        await project.upload_images(paths)
    except cv.BatchError as error:
        print(error.report.failed + 1, error.report.failures[0].status.upper())  # use


def bare(result: cv.ItemResult, report: cv.BatchReport, run: cv.BatchRun) -> str:
    return f"{result.status.upper()} {report.succeeded + 1} {run.progress.done + 1}"  # use


def handled(result: cv.ItemResult[str, cv.Image]) -> str:
    return result.value.id if cv.has_value(result) else result.item.upper()  # use


async def batches(project: cv.ProjectClient, images: list[cv.Image], ids: Iterable[UUID]) -> None:
    results = [one async for one in project.upload_images(["a.jpg"])]
    await project.delete_images(images)  # use
    await project.delete_images(ids)  # use
    await project.delete_images(results)  # use
    await project.delete_images(project.list_images(tagged=False))  # use
    await project.tag_images(images, ["ripe"])  # use
    await project.untag_images(["6f1c", images[0]], ["ripe"])  # use
    await project.update_image_metadata(images, {"camera": "3"})  # use
    await project.tag_images([(images[0], ["ripe"]), (images[1], ["unripe"])])  # use
    await project.untag_images([("6f1c", ["ripe"])])  # use
    await project.update_image_metadata([(image, {"name": image.id}) for image in images])  # use
    (await project.upload_image(b"...", ["ripe"], create_missing_tags=True)).id.upper()  # use
    await project.download_image(images[0]) + b""  # use
    await project.create_regions([(images[0], cv.Region("a", 0, 0, 1, 1))])  # use
    await project.delete_regions(region for image in images for region in image.regions)  # use
    async with project.delete_images(images) as run:
        print([one.item.id async for one in run])  # use


async def lists(project: cv.ProjectClient, iteration: cv.Iteration) -> None:
    [image.id async for image in project.list_images(tags=["a"], order="oldest")]  # use
    [len(page) async for page in project.list_images(iteration=iteration).by_page()]  # use
    {tag.name: tag.image_count for tag in await project.list_tags().to_list()}  # use
    await project.count_images(tags=["a"], iteration="6f1c") + 1  # use
    (await project.get_image("6f1c")).width + 1  # use
    (await project.create_tag("a", type="Negative")).id.upper()  # use
    [one.id async for one in project.list_predictions(order="suggested")]  # use


async def work(project: cv.ProjectClient, image: cv.Image) -> None:
    iteration = await project.begin_training(budget_hours=1)
    await project.publish_iteration(iteration, "production", overwrite=True)  # use
    export = await project.begin_export(iteration, "ONNX", polling=cv.Polling(max_interval=5))
    (await project.download_export(export, Path("model.zip"))).stat()  # use
    (await project.download_image(image, "a.jpg", size="thumbnail")).stat()  # use
    async for state in project.begin_training(force=True):
        print(state.status, state.publish_name)  # use
    await project.begin_delete_all_images() + 1  # use
    await project.get_region_proposals(image)  # use


async def predictions(client: cv.PredictionClient, project: cv.ProjectClient) -> None:
    (await client.classify_image(project, "production", "a.jpg")).predictions[0].tag_name  # use
    await client.detect_image("6f1c", "production", b"...", store=False)  # use
    await project.quick_test(cv.ImageUrl("https://a"), iteration=UUID(int=1))  # use
    async with client.classify_images(project, "production", cv.images_in("photos")) as run:
        print([one.value.predictions async for one in run if cv.has_value(one)])  # use
    await client.detect_images(project, "production", ["a.jpg", cv.ImageFile(data=b"...")])  # use
