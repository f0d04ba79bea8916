"""Training and its results: predictions, exports, suggestions and project transfer."""

from __future__ import annotations

import io
import uuid
import zipfile
from typing import Any

import anyio
import pytest

from customvision_async.emulator import Emulator
from tests.support.images import image_bytes
from tests.support.operations import Caller, calling

pytestmark = pytest.mark.anyio

COMPACT = "0732100f-1a38-4e49-a514-c9b44c697ab5"
DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"
NOWHERE = "00000000-0000-0000-0000-000000000000"


async def ready(call: Caller, each: int = 5, **query: str) -> tuple[str, list[str]]:
    """Create a project with two tags and `each` images of both. Return its path and tags."""
    project = await call.project("Trained", **query)
    tags = [await call.tag(project, name) for name in ("apple", "pear")]
    for number, tag in enumerate(tags):
        await call.upload(
            project,
            {str(seed): image_bytes(seed) for seed in range(100 * number, 100 * number + each)},
            [tag],
        )
    return project, tags


async def trained(call: Caller, project: str, query: str = "") -> str:
    """Train a project, and return the path of the iteration."""
    iteration = (await call("POST", f"{project}/train{query}"))["id"]
    path = f"{project}/iterations/{iteration}"
    with anyio.fail_after(10):
        while (await call("GET", path))["status"] != "Completed":
            await anyio.sleep(0.005)
    return path


async def predicted(call: Caller, project: str, seed: int, query: str = "") -> dict[str, Any]:
    """Return the quick test of an image."""
    headers = {"Content-Type": "application/octet-stream"}
    answer: dict[str, Any] = await call(
        "POST", f"{project}/quicktest/image{query}", data=image_bytes(seed), headers=headers
    )
    return answer


async def test_training_goes_through_its_states() -> None:
    """An iteration is Training without date and domain, then Completed.

    The next one is "Iteration 2" and needs a change or force.
    """
    async with calling("v3.4-preview", training_seconds=0.2) as call:
        project, tags = await ready(call)
        begun = await call("POST", f"{project}/train")
        assert (begun["status"], begun["name"], begun["domainId"], begun["classificationType"]) == (
            "Training",
            "Iteration 1",
            None,
            None,
        )
        assert "trainedAt" not in begun
        assert (
            await call.refused("POST", f"{project}/train") == "BadRequestTrainingAlreadyInProgress"
        )
        path = f"{project}/iterations/{begun['id']}"
        assert (
            await call.refused("GET", f"{path}/performance?threshold=0.5")
            == "BadRequestIterationIsNotTrained"
        )
        assert (
            await call.refused("POST", f"{path}/publish?publishName=x&predictionId=/y")
            == "BadRequestIterationIsNotTrained"
        )
        assert await call.refused("GET", f"{project}/export") == "BadRequestExportWhileTraining"
        with anyio.fail_after(10):
            while (done := await call("GET", path))["status"] == "Training":
                await anyio.sleep(0.01)
        assert done["trainedAt"].endswith("Z")
        assert done["classificationType"] == "Multilabel"
        assert done["trainingTimeInMinutes"] == 1
        assert await call.refused("POST", f"{project}/train") == "BadRequestTrainingNotNeeded"
        assert (await call("POST", f"{project}/train?forceTrain=true"))["name"] == "Iteration 2"
        assert tags


async def test_training_needs_enough_images() -> None:
    """Classification needs 2 tags of 5 images, detection 15 images per tag. The code names the
    kind.
    """
    async with calling() as call:
        for kind, subject in (
            ("Multilabel", "MultiLabelClassification"),
            ("Multiclass", "MultiClassClassification"),
        ):
            project, _ = await ready(call, each=4, classificationType=kind)
            answer = await call("POST", f"{project}/train", 400)
            assert answer["code"] == f"BadRequest{subject}TrainingValidationFailed"
            assert answer["message"] == "Not enough images for training"
        project, _ = await ready(call, each=14, domainId=DETECTION)
        assert (
            await call.refused("POST", f"{project}/train")
            == "BadRequestDetectionTrainingValidationFailed"
        )
        project = await call.project("One tag")
        await call.upload(
            project,
            {str(seed): image_bytes(seed) for seed in range(6)},
            [await call.tag(project, "apple")],
        )
        assert (
            await call.refused("POST", f"{project}/train")
            == "BadRequestMultiLabelClassificationTrainingValidationFailed"
        )


async def test_parameters_of_training() -> None:
    """Advanced training needs a budget, an email address must be valid, and selected tags must
    exist.
    """
    async with calling() as call:
        project, tags = await ready(call)
        refused = await call.refused("POST", f"{project}/train?trainingType=Advanced")
        assert refused == "BadRequestReservedBudgetInHoursNotEnoughForAdvancedTraining"
        assert (
            await call.refused("POST", f"{project}/train?notificationEmailAddress=me")
            == "BadRequestInvalidEmailAddress"
        )
        assert await call.refused("POST", f"{project}/train?trainingType=Odd") == "BadRequest"
        assert (
            await call.refused("POST", f"{project}/train", 404, json={"selectedTags": [NOWHERE]})
            == "NotFoundTag"
        )
        third = await call.tag(project, "plum")
        await call.upload(
            project, {str(seed): image_bytes(seed) for seed in range(300, 306)}, [third]
        )
        begun = await call(
            "POST",
            f"{project}/train?trainingType=Advanced&reservedBudgetInHours=2",
            json={"selectedTags": tags},
        )
        assert (begun["trainingType"], begun["reservedBudgetInHours"]) == ("Advanced", 2)
        listed = await call("GET", f"{project}/tags?iterationId={begun['id']}")
        assert {tag["id"] for tag in listed} == set(tags)
        assert {tag["imageCount"] for tag in listed} == {5}
        images = await call("GET", f"{project}/images/tagged?iterationId={begun['id']}")
        assert len(images) == 10


async def test_an_iteration_keeps_what_it_was_trained_on() -> None:
    """Deleted images stay in the iteration, unless all iterations are included."""
    async with calling(training_seconds=0) as call:
        project, _ = await ready(call)
        path = await trained(call, project)
        iteration = path.rpartition("/")[2]
        ids = [image["id"] for image in await call("GET", f"{project}/images/tagged")]
        await call("DELETE", f"{project}/images?imageIds={','.join(ids)}", 204)
        assert await call("GET", f"{project}/images/tagged/count") == 0
        assert await call("GET", f"{project}/images/tagged/count?iterationId={iteration}") == 10
        await call("DELETE", f"{project}/images?allImages=true&allIterations=true", 202)
        assert await call("GET", f"{project}/images/tagged/count?iterationId={iteration}") == 0


async def test_predictions_are_the_same_each_time_and_know_their_images() -> None:
    """An image of a tag scores it high, any image scores the same twice, and small changes matter
    little.
    """
    async with calling("v3.4-preview", training_seconds=0) as call:
        project, tags = await ready(call)
        await trained(call, project)
        assert [
            entry["tagId"] for entry in (await predicted(call, project, 101))["predictions"]
        ] == [tags[1], tags[0]]
        once, again = [(await predicted(call, project, 777))["predictions"] for _ in range(2)]
        assert once == again
        assert sum(entry["probability"] for entry in once) == pytest.approx(1)
        headers = {"Content-Type": "application/octet-stream"}
        other = await call(
            "POST", f"{project}/quicktest/image", data=image_bytes(3, format="PNG"), headers=headers
        )
        assert other["predictions"][0]["tagId"] == tags[0]


async def test_the_id_of_a_prediction_is_its_requests() -> None:
    """The id of a prediction is its request id, except in v1.2, which has its own shapes."""
    async with calling(training_seconds=0) as call:
        project, _ = await ready(call)
        await trained(call, project)
        headers = {"Content-Type": "application/octet-stream"}
        response, body = await call.raw(
            "POST", f"{project}/quicktest/image", data=image_bytes(1), headers=headers
        )
        assert f'"id":"{response.headers["apim-request-id"]}"'.encode() in body
        response, body = await call.at("v1.2").raw(
            "POST", f"{project}/quicktest/image", data=image_bytes(1), headers=headers
        )
        assert response.headers["apim-request-id"].encode() not in body
        assert b'"Tag":"apple","Probability":' in body


async def test_publishing_and_its_refusals() -> None:
    """Names that are taken, published iterations and a second unpublish are rejected.

    overwrite takes over a name.
    """
    async with calling(training_seconds=0, prediction_key="p") as call:
        project, _ = await ready(call)
        one, two = await trained(call, project), await trained(call, project, "?forceTrain=true")
        assert (
            await call.refused("POST", f"{one}/publish?publishName=&predictionId=/r")
            == "BadRequestInvalidPublishName"
        )
        assert (
            await call.refused("POST", f"{one}/publish?publishName=live")
            == "BadRequestInvalidPublishTarget"
        )
        assert await call("POST", f"{one}/publish?publishName=live&predictionId=/r") is True
        assert (
            await call.refused("POST", f"{two}/publish?publishName=live&predictionId=/r")
            == "BadRequestInvalidPublishName"
        )
        assert await call.refused("DELETE", one) == "BadRequestIterationIsPublished"
        assert await call.refused("DELETE", project) == "BadRequestIterationIsPublished"
        assert (
            await call("POST", f"{two}/publish?publishName=live&predictionId=/r&overwrite=true")
            is True
        )
        assert await call.refused("DELETE", f"{one}/publish") == "BadRequestIterationNotPublished"
        predict = call.at("v3.1")
        path = f"/{project.rpartition('/')[2]}"
        options: dict[str, Any] = {
            "data": image_bytes(1),
            "headers": {"Content-Type": "application/octet-stream"},
            "api": "prediction",
        }
        found = await predict("POST", f"{path}/classify/iterations/live/image", **options)
        assert found["iteration"] == two.rpartition("/")[2]
        refused = await predict.refused("POST", f"{path}/detect/iterations/live/image", **options)
        assert refused == "BadRequestNotSupported"
        assert (
            await predict.refused("POST", f"{path}/classify/iterations/none/image", 404, **options)
            == "NotFoundIteration"
        )
        await call.at("v2.2")("PATCH", two, json={"isDefault": True})
        old = await call.at("v2.0")("POST", f"{path}/image/nostore", **options)
        assert old["iteration"] == two.rpartition("/")[2]
        assert (await call.at("v1.1")("POST", f"{path}/image", **options))["Predictions"][0][
            "Tag"
        ] == "apple"
        await call("DELETE", f"{two}/publish", 204)
        await call("DELETE", two, 204)


async def test_images_that_cannot_be_predicted() -> None:
    """Each kind of invalid image has its code. Prediction takes 4 MB, the quick test 6 MB."""
    async with calling(training_seconds=0) as call:
        project, _ = await ready(call)
        path = await trained(call, project)
        await call("POST", f"{path}/publish?publishName=live&predictionId=/r")
        large = image_bytes(1) + bytes(5 << 20)
        predict, base = call.at("v3.1"), f"/{project.rpartition('/')[2]}/classify/iterations/live"
        headers = {"Content-Type": "application/octet-stream"}
        options: dict[str, Any] = {"headers": headers, "api": "prediction"}
        assert (
            await predict.refused("POST", f"{base}/image", data=io.BytesIO(large), **options)
            == "BadRequestImageSizeBytes"
        )
        await call("POST", f"{project}/quicktest/image", data=io.BytesIO(large), headers=headers)
        assert (
            await predict.refused("POST", f"{base}/image", data=b"text", **options)
            == "BadRequestImageFormat"
        )
        assert (
            await predict.refused("POST", f"{base}/image", data=b"", **options)
            == "BadRequestImageStream"
        )
        assert (
            await predict.refused(
                "POST", f"{base}/url", json={"url": "http://192.0.2.1/"}, api="prediction"
            )
            == "BadRequestImageUrl"
        )
        empty = await call.project("Empty")
        assert (
            await call.refused(
                "POST", f"{empty}/quicktest/image", 404, data=image_bytes(1), headers=headers
            )
            == "NotFoundProjectDefaultIteration"
        )


async def test_stored_predictions_by_token() -> None:
    """Stored predictions are paged, filtered and deleted. A stale continuation is rejected."""
    async with calling(training_seconds=0) as call:
        project, tags = await ready(call)
        await trained(call, project)
        made = [(await predicted(call, project, seed))["id"] for seed in (0, 1, 2, 100, 101)]
        await predicted(call, project, 3, "?store=false")
        query = f"{project}/predictions/query"
        first = await call("POST", query, json={"maxCount": 3, "orderBy": "Oldest"})
        assert [result["id"] for result in first["results"]] == made[:3]
        assert list(first["token"]) == [
            "session",
            "continuation",
            "maxCount",
            "orderBy",
            "tags",
            "iterationId",
            "startTime",
            "endTime",
            "application",
        ]
        second = await call("POST", query, json=first["token"])
        assert [result["id"] for result in second["results"]] == made[3:]
        assert second["token"]["continuation"] is None
        tag = {"id": tags[1], "minThreshold": 0.9, "maxThreshold": 1.0}
        some = await call("POST", query, json={"orderBy": "Newest", "tags": [tag]})
        assert [result["id"] for result in some["results"]] == made[:2:-1]
        async with call.session.get(some["results"][0]["originalImageUri"]) as response:
            assert await response.read() == image_bytes(101)
        stale = first["token"] | {"continuation": "bm90aGluZw=="}
        assert (
            await call.refused("POST", query, json=stale)
            == "BadRequestPredictionInvalidQueryParameters"
        )
        assert (
            await call.refused("POST", query, json={"tags": [tag] * 3})
            == "BadRequestPredictionTagsExceededCount"
        )
        kept = await call(
            "POST",
            f"{project}/images/predictions",
            207,
            json={"images": [{"id": made[0]}, {"id": str(uuid.uuid4())}]},
        )
        assert {result["status"] for result in kept["images"]} == {"OKDuplicate", "ErrorSource"}
        many = ",".join(str(uuid.uuid4()) for _ in range(65))
        assert (
            await call.refused("DELETE", f"{project}/predictions?ids={many}")
            == "BadRequestPredictionIdsExceededCount"
        )
        assert (
            await call.refused("DELETE", f"{project}/predictions?ids=")
            == "BadRequestPredictionIdsMissing"
        )
        await call("DELETE", f"{project}/predictions?ids={','.join(made)}", 204)
        assert (await call("POST", query, json={}))["results"] == []


async def test_performance_follows_the_threshold() -> None:
    """Precision rises and recall falls with the threshold, which v1.2 requires.

    The test images, one in five, are listed with their scores.
    """
    async with calling(training_seconds=0) as call:
        project, tags = await ready(call)
        path = await trained(call, project)
        low, high = [
            await call("GET", f"{path}/performance?threshold={value}") for value in (0.1, 0.9)
        ]
        assert low["precision"] < high["precision"]
        assert low["recall"] > high["recall"]
        assert low == await call("GET", f"{path}/performance?threshold=0.1")
        assert await call.refused("GET", f"{path}/performance?threshold=2") == "BadRequest"
        assert await call.at("v1.2")("GET", f"{path}/performance", 400)
        assert await call("GET", f"{path}/performance/images/count") == 2
        images = await call("GET", f"{path}/performance/images")
        assert images[0]["predictions"][0]["probability"] > 0.9
        assert "imageUri" in images[0]
        assert await call("GET", f"{path}/performance/images/count?tagIds={tags[0]}") == 1


async def test_exports_are_zips() -> None:
    """An export is Exporting, then Done with an address that supports ranges.

    A domain that is not compact and a second export are rejected.
    """
    async with calling(training_seconds=0) as call:
        project, _ = await ready(call)
        path = await trained(call, project)
        assert (
            await call.refused("POST", f"{path}/export?platform=ONNX")
            == "BadRequestExportValidationFailed"
        )
        compact, _ = await ready(call, domainId=COMPACT)
        path = await trained(call, compact)
        assert (
            await call.refused("POST", f"{path}/export?platform=ONNX&flavor=Odd")
            == "BadRequestExportValidationFailed"
        )
        begun = await call("POST", f"{path}/export?platform=onnx&flavor=ONNX12")
        assert (begun["platform"], begun["status"], begun["downloadUri"]) == (
            "ONNX",
            "Exporting",
            None,
        )
        assert (
            await call.refused("POST", f"{path}/export?platform=ONNX&flavor=ONNX12")
            == "BadRequestExportAlreadyInProgress"
        )
        done = (await call("GET", f"{path}/export"))[0]
        async with call.session.get(done["downloadUri"]) as response:
            data, etag = await response.read(), response.headers["ETag"]
        async with call.session.get(
            done["downloadUri"], headers={"Range": "bytes=1000-"}
        ) as response:
            assert (await response.read(), response.headers["ETag"]) == (data[1000:], etag)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["model.onnx", "labels.txt"]


async def test_suggestions_for_untagged_images() -> None:
    """Suggestions come by id, by token and as counts. 65 ids and a stale token fail."""
    async with calling(training_seconds=0) as call:
        project, tags = await ready(call)
        path = await trained(call, project)
        iteration = path.rpartition("/")[2]
        loose = [
            result["image"]["id"]
            for result in (
                await call.upload(project, {str(n): image_bytes(900 + n) for n in range(5)})
            ).values()
        ]
        told = await call(
            "POST",
            f"{project}/tagsandregions/suggestions?iterationId={iteration}"
            f"&imageIds={','.join(loose)}",
        )
        assert [entry["id"] for entry in told] == loose
        assert 0 <= told[0]["predictionUncertainty"] <= 1
        token = {"tagIds": tags, "threshold": 0, "maxCount": 3, "sortBy": "UncertaintyAscending"}
        seen: list[str] = []
        while True:
            page = await call(
                "POST", f"{project}/images/suggested?iterationId={iteration}", json=token
            )
            seen += [result["id"] for result in page["results"]]
            token = page["token"]
            if token["continuation"] is None:
                break
        assert sorted(seen) == sorted(loose)
        assert page["results"][0]["width"] == 64
        counts = await call(
            "POST",
            f"{project}/images/suggested/count?iterationId={iteration}",
            json={"tagIds": tags[:1], "threshold": 0},
        )
        assert counts == {tags[0]: 5}
        stale = token | {"continuation": "gone"}
        await call.refused(
            "POST", f"{project}/images/suggested?iterationId={iteration}", json=stale
        )
        many = ",".join(str(uuid.uuid4()) for _ in range(65))
        refused = await call.refused(
            "POST", f"{project}/tagsandregions/suggestions?iterationId={iteration}&imageIds={many}"
        )
        assert refused == "BadRequestExceededBatchSize"


async def test_a_project_moves_to_another_emulator() -> None:
    """Tags, images, regions, metadata and iterations are imported.

    An invalid token is rejected, and a name that is taken gets a number.
    """
    async with (
        Emulator(training_key="t", training_seconds=0) as target,
        calling(training_key="t", training_seconds=0) as source,
    ):
        there = Caller(source.session, target, "v3.4-preview")
        await there.project("Trained")
        project, tags = await ready(source, each=15, domainId=DETECTION)
        image = (await source("GET", f"{project}/images/tagged?take=1"))[0]["id"]
        await source("POST", f"{project}/images/metadata?imageIds={image}", json={"farm": "north"})
        box = {
            "imageId": image,
            "tagId": tags[0],
            "left": 0.1,
            "top": 0.2,
            "width": 0.3,
            "height": 0.4,
        }
        await source("POST", f"{project}/images/regions", json={"regions": [box]})
        await trained(source, project)
        export = await source("GET", f"{project}/export")
        assert [
            export[name] for name in ("iterationCount", "imageCount", "tagCount", "regionCount")
        ] == [1, 30, 2, 1]
        imported = await there(
            "POST",
            f"/projects/import?token={export['token'].replace('%', '%25').replace('&', '%26')}",
        )
        assert (imported["name"], imported["status"]) == ("Trained (1)", "Importing")
        copy = f"/projects/{imported['id']}"
        with anyio.fail_after(10):
            while (done := await there("GET", copy))["status"] == "Importing":
                await anyio.sleep(0.01)
        assert done["status"] == "Succeeded"
        assert sorted(
            (tag["name"], tag["imageCount"]) for tag in await there("GET", f"{copy}/tags")
        ) == [("apple", 16), ("pear", 15)]
        moved = (await there("GET", f"{copy}/images?$filter=farm%20eq%20'north'"))[0]
        assert moved["regions"][0]["width"] == 0.3
        assert moved["id"] != image
        assert [iteration["status"] for iteration in await there("GET", f"{copy}/iterations")] == [
            "Completed"
        ]
        assert (await predicted(there, copy, 3))["predictions"][0]["tagName"] == "apple"
        for token in (
            "nonsense",
            f"{source.emulator.endpoint}/prjexp-{uuid.uuid4().hex}/project-export-info",
            "http://192.0.2.1/",
        ):
            assert (
                await there.refused("POST", f"/projects/import?token={token}")
                == "BadRequestInvalidImportToken"
            )


async def test_region_proposals_are_the_same_for_the_same_image() -> None:
    """There are 25 boxes within the image by falling confidence."""
    async with calling() as call:
        project = await call.project(domainId=DETECTION)
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["id"]
        once, again = [
            await call("POST", f"{project}/images/{image}/regionproposals") for _ in range(2)
        ]
        assert once == again
        assert len(once["proposals"]) == 25
        confidences = [proposal["confidence"] for proposal in once["proposals"]]
        assert confidences == sorted(confidences, reverse=True)
        boxes = [proposal["boundingBox"] for proposal in once["proposals"]]
        assert all(
            box["left"] + box["width"] <= 1.00001 and box["top"] + box["height"] <= 1.00001
            for box in boxes
        )
        old = f"/{project.rpartition('/')[2]}/images/{image}/regionproposals"
        assert len((await call.at("v2.1")("POST", old))["proposals"]) == 25


async def test_iterations_are_renamed_and_made_default() -> None:
    """A name must be free, and before v3.0 one iteration is the default.

    The workspace can be neither renamed nor deleted.
    """
    async with calling("v2.1", training_seconds=0) as call:
        project, _ = await ready(call)
        one, two = await trained(call, project), await trained(call, project, "?forceTrain=true")
        assert (await call("PATCH", one, json={"name": "first", "isDefault": True}))[
            "isDefault"
        ] is True
        assert (
            await call.refused("PATCH", two, json={"name": "FIRST"})
            == "BadRequestIterationNameNotUnique"
        )
        assert (await predicted(call, project, 1))["iteration"] == one.rpartition("/")[2]
        workspace = (await call.at("v1.2")("GET", project))["CurrentIterationId"]
        path = f"{project}/iterations/{workspace}"
        assert await call.refused("DELETE", path) == "BadRequestWorkspaceNotDeletable"
        assert (
            await call.refused("PATCH", path, json={"name": "x"})
            == "BadRequestWorkspaceCannotBeModified"
        )
        assert await call("GET", f"{project}/images/tagged/count?iterationId={workspace}") == 10
