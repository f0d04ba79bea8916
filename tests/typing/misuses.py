"""Misuses of the public interface that a type checker should find, marked `misuse`.

Never run: tests/test_typing.py passes it to mypy and pyright.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import customvision_async as cv


async def clients(key: str) -> None:
    cv.TrainingClient("https://a.example")  # misuse: no credential
    cv.TrainingClient("https://a.example", 42)  # misuse: a number for a key
    cv.TrainingClient("https://a.example", key, timeout=3)  # misuse: no such option
    cv.TrainingClient("https://a.example", key, retry=3)  # misuse: a number for Retry
    cv.TrainingClient.from_env(timeout=3)  # misuse: no such option
    cv.TrainingClient.from_env(retry=3)  # misuse: a number for Retry
    cv.TrainingClient.from_env("https://a.example")  # misuse: a positional endpoint
    cv.PredictionClient.from_env(api_key="secret")  # misuse: no such option
    cv.PredictionClient.from_env(blob_hosts=["a"])  # misuse: an option of training
    cv.Retry(attempts=3)  # misuse: a name of old
    cv.Concurrency(on_throttle="some")  # misuse: neither "call" nor "all"
    cv.Timeouts(connect="3")  # misuse: text for seconds


async def projects(training: cv.TrainingClient) -> None:
    await training.create_project("Orchard", domian="General")  # misuse: misspelt
    await training.create_project("Orchard", target_export_platforms=3)  # misuse: a number
    await training.create_project(name=42)  # misuse: a number for a name
    training.get_project_client(42)  # misuse: a number for an id
    await training.list_projects()  # misuse: a list is iterated over
    training.create_project("Orchard").id  # misuse: not awaited
    await training.update_project("6f1c", export_platforms=[3])  # misuse: a number
    (await training.find_project("Orchard")).upload("a.jpg")  # misuse: no such method


async def uploads(project: cv.ProjectClient, numbers: list[int], tag: cv.Tag) -> None:
    await project.upload_images(42)  # misuse: a number
    await project.upload_images([3, 4])  # misuse: numbers
    await project.upload_images(numbers)  # misuse: numbers
    await project.upload_images(None)  # misuse: nothing
    await project.upload_images([Path("a.jpg"), None])  # misuse: nothing among them
    await project.upload_images([tag])  # misuse: a tag for an image
    await project.upload_images(["a.jpg"], tags=[3])  # misuse: a number for a tag
    await project.upload_images(["a.jpg"], tags=tag)  # misuse: a single tag
    await project.upload_images(["a.jpg"], create_missing=True)  # misuse: no such option
    await project.upload_images(["a.jpg"], {"a": "b"}, True)  # misuse: positional options
    await project.upload_images([open("a.jpg")])  # misuse: a text file  # noqa: SIM115
    await project.upload_images([cv.images_in("a"), cv.images_in("b")])  # misuse: a list of sources
    cv.ImageFile(b"...")  # misuse: bytes for a path
    cv.ImageFile("a.jpg", tags=[1])  # misuse: a number for a tag
    cv.ImageFile("a.jpg", regions=[(0, 0, 1, 1)])  # misuse: a tuple for a Region
    cv.ImageUrl(Path("a.jpg"))  # misuse: a path for a URL
    cv.images_in("photos", tag="a")  # misuse: misspelt
    # No checker can find these three: text is an iterable of text, and a run may be kept for later.
    cv.ImageFile("a.jpg", tags="apple")  # misuse: a single tag
    project.delete_images("6f1c")  # misuse: a single id
    project.upload_images(["a.jpg"])  # misuse: neither awaited nor entered


async def results(project: cv.ProjectClient) -> None:
    async with project.upload_images(cv.images_in("photos")) as upload:
        async for result in upload:
            print(result.image.id)  # misuse: not seen to be ok
            print(result.item.filename)  # misuse: no such attribute
            print(result.error.status)  # misuse: not seen to have failed
            if cv.has_value(result):
                print(result.image.name)  # misuse: an Image has no name
        print(upload.progress.percent)  # misuse: no such attribute
    report = await project.upload_images(["a.jpg"])
    print(report.failures[0].item.upper())  # misuse: may be an ItemReference
    print(report.errors)  # misuse: no such attribute
    for _ in project.upload_images(["a.jpg"]):  # misuse: iterated over without async
        pass
    try:
        await project.upload_images(["a.jpg"])
    except cv.BatchError as error:
        print(error.report.failures[0].reason)  # misuse: no such attribute
        print(error.report.unsettled)  # misuse: a name of old


async def batches(project: cv.ProjectClient, images: list[cv.Image], tag: cv.Tag) -> None:
    await project.delete_images(42)  # misuse: a number
    await project.delete_images([3, 4])  # misuse: numbers
    await project.delete_images([tag])  # misuse: a tag for an image
    await project.tag_images(images)  # misuse: no tags
    await project.tag_images(images, 3)  # misuse: a number for tags
    await project.tag_images([(images[0], 3)])  # misuse: a number for the tags of a pair
    await project.upload_image(3)  # misuse: a number for an image
    await project.update_image_metadata(images, {"year": 2024})  # misuse: a number for text
    await project.create_regions([cv.Region("a", 0, 0, 1, 1)])  # misuse: no image
    await project.delete_regions([3])  # misuse: a number for a region
    await project.delete_predictions([3])  # misuse: a number for a prediction
    async with project.delete_images(images) as run:
        print([one.value.id async for one in run])  # misuse: a deletion has no value
        print([one.item.upper() async for one in run])  # misuse: the item is an Image


async def lists(project: cv.ProjectClient) -> None:
    project.list_images(order="random")  # misuse: neither "newest" nor "oldest"
    project.list_images(iteration=3)  # misuse: a number for an iteration
    project.list_tags(iteration=3)  # misuse: a number for an iteration
    await project.count_images(iteration=3.5)  # misuse: a number for an iteration
    await project.get_image(42)  # misuse: a number for an image
    [image.name async for image in project.list_images()]  # misuse: an Image has no name
    [page.id async for page in project.list_images().by_page()]  # misuse: a page is a list
    await project.download_image(42, "a.jpg")  # misuse: a number for an image
    await project.download_image("6f1c", "a.jpg", size="huge")  # misuse: no such size
    await project.get_region_proposals(42)  # misuse: a number for an image
    (await project.begin_training()).upload_images([])  # misuse: the result is an Iteration
    await project.begin_training(polling=5)  # misuse: a number for Polling


async def predictions(client: cv.PredictionClient, project: cv.ProjectClient) -> None:
    await client.classify_image(project, "production", 42)  # misuse: a number for an image
    await client.classify_image(42, "production", "a.jpg")  # misuse: a number for a project
    await client.classify_image(project, 42, "a.jpg")  # misuse: a number for a model
    await client.classify_images(project, "production", [1, 2])  # misuse: numbers
    await client.detect_images(project, "production", [UUID(int=1)])  # misuse: an id
    await project.quick_test(42)  # misuse: a number for an image
    await project.suggest_tags_and_regions("6f1c", [3])  # misuse: a number for an image
    (await client.detect_image(project, "production", "a.jpg")).image  # misuse: no such attribute
