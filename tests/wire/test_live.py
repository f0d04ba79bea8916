"""Every operation of every version, over a real socket, against the emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from customvision_async._operations import Operations, PredictionOperations
from customvision_async._transport.base import Request, Response
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.operations import OPERATIONS
from customvision_async.emulator import Emulator
from customvision_async.errors import BadRequestError, NotFoundError
from customvision_async.models import (
    ImageFile,
    ImageIdCreateEntry,
    ImageRegionCreateEntry,
    ImageUrlCreateEntry,
    PredictionQueryToken,
    Project,
    SuggestedTagAndRegionQueryToken,
    Tag,
    TagUpdate,
)

from ..support.images import image_bytes
from ..support.render import rendered

pytestmark = pytest.mark.anyio

RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a"
V = ApiVersion


class Loopback:
    """The simplest transport: each request once, its body in one piece."""

    def __init__(self, session: aiohttp.ClientSession, header: str, key: str) -> None:
        self._session = session
        self._key = {header: key}

    async def send(self, request: Request) -> Response:
        """Send the request and read the response."""
        headers = {**request.headers, **self._key}
        if request.content is not None:
            headers["Content-Type"] = request.content.content_type
        data = None if request.content is None else rendered(request.content)
        async with self._session.request(
            request.method, request.url, headers=headers, data=data
        ) as response:
            return Response(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                await response.read(),
            )


@asynccontextmanager
async def at(emulator: Emulator, version: ApiVersion) -> AsyncIterator[Operations]:
    """Return the operations of a version at an emulator."""
    async with aiohttp.ClientSession() as session:
        yield Operations(
            Loopback(session, "Training-Key", emulator.training_key), emulator.endpoint, version
        )


async def images(api: Operations, project: Project, tags: list[Tag]) -> None:
    """Call the operations on images."""
    version = api.version
    first, second = tags
    made = await api.create_images_from_data(
        project, [image_bytes(n) for n in range(6)], tag_ids=[first]
    )
    more = await api.create_images_from_files(
        project,
        [ImageFile(data=image_bytes(10 + n), name=f"{n}", tags=[second.id]) for n in range(6)],
    )
    assert made.is_batch_successful
    assert more.is_batch_successful
    ids = [result.image.id for result in (*made.images, *more.images) if result.image is not None]
    assert len(ids) == 12
    bare = (await api.create_images_from_data(project, image_bytes(20))).images[0].image
    assert bare is not None
    assert [image.id for image in await api.get_untagged_images(project, take=5)] == [bare.id]
    assert (
        len(await api.get_tagged_images(project, tag_ids=tags, order_by="Oldest", take=256, skip=2))
        == 10
    )
    tagged = await api.create_image_tags(project, [(bare, first), (ids[0], first)])
    assert [entry.image_id for entry in tagged.created] == [bare.id]
    assert [entry.image_id for entry in tagged.duplicated] == [ids[0]]
    await api.delete_image_tags(project, [bare], [first])
    page = await api.get_tagged_images(project, take=1)
    assert page[0].created is not None
    assert page[0].created.tzinfo is not None
    assert page[0].original_uri
    copied = await api.create_images_from_urls(project, [ImageUrlCreateEntry(page[0].original_uri)])
    assert copied.images[0].status == "OKDuplicate"
    if version >= V.V2_0:
        assert {image.id for image in await api.get_images_by_ids(project, ids)} == set(ids)
        assert await api.get_tagged_image_count(project, tag_ids=[first]) == 6
        assert await api.get_untagged_image_count(project) == 1
        assert (await api.get_image_region_proposals(project, bare)).image_id == bare.id
    if version >= V.V3_3:
        updated = await api.update_image_metadata(
            project, [bare], {"k": "v", "created": "2020-01-01T00:00:00"}
        )
        assert updated.images[0].metadata == {"k": "v", "created": "2020-01-01T00:00:00"}
        assert [
            image.id
            for image in await api.get_images(project, filter="k eq 'v'", tagging_status="Untagged")
        ] == [bare.id]
        assert await api.get_image_count(project, tagging_status="All") == 13
        with pytest.raises(BadRequestError, match="Artifact"):
            await api.get_artifact(project, "i-none/i-none")


async def training(api: Operations, project: Project, tags: list[Tag]) -> str:
    """Call the operations on iterations. Return the id of a trained one."""
    version = api.version
    started = await api.train_project(project)
    iteration = await api.get_iteration(project, started)
    assert [item.id for item in await api.get_iterations(project)] == [
        iteration.id
    ] or version < V.V3_0  # v2.x also lists the workspace
    assert (iteration.status, iteration.project_id) == ("Completed", project.id)
    renamed = await api.update_iteration(
        project, iteration, "better", is_default=True if version < V.V3_0 else None
    )
    assert renamed.name == "better"
    performance = await api.get_iteration_performance(project, iteration, threshold=0.5)
    assert {item.name for item in performance.per_tag_performance} == {"new name", "second"}
    assert 0 <= performance.precision <= 1
    if version >= V.V2_0:
        performances = await api.get_image_performances(project, iteration, tag_ids=tags, take=256)
        assert performances[0].predictions
        assert await api.get_image_performance_count(project, iteration) == len(performances)
    predicted = await api.quick_test_image(project, image_bytes(30), iteration_id=iteration)
    assert {item.tag_name for item in predicted.predictions} == {"new name", "second"}
    uri = (await api.get_tagged_images(project, take=1))[0].original_uri
    assert uri is not None
    assert (
        await api.quick_test_image_url(project, uri, iteration_id=iteration)
    ).project == project.id
    stored = await api.query_predictions(project, PredictionQueryToken(max_count=10, order_by=None))
    assert predicted.id in {item.id for item in stored.results}
    kept = await api.create_images_from_predictions(
        project, [ImageIdCreateEntry(predicted.id, [tags[0]])]
    )
    assert kept.images[0].source_url == predicted.id
    if len(stored.results) > 1:
        await api.delete_prediction(
            project, [item.id for item in stored.results if item.id != predicted.id]
        )
    return iteration.id


async def suggestions(api: Operations, project: Project, iteration: str) -> None:
    """Call the operations on suggested tags (since v3.1)."""
    bare = (await api.get_untagged_images(project))[0]
    suggested = await api.suggest_tags_and_regions(project, iteration, [bare])
    assert suggested[0].predictions
    page = await api.query_suggested_images(
        project, iteration, SuggestedTagAndRegionQueryToken(threshold=0.0, max_count=5)
    )
    assert page.results[0].predictions
    counts = await api.query_suggested_image_count(project, iteration, threshold=0.0)
    assert sum(counts.values()) >= 1


async def exporting(api: Operations) -> None:
    """Call the export operations of an exportable iteration."""
    compact = next(
        domain
        for domain in await api.get_domains()
        if domain.exportable and "compact" in domain.name.lower()
    )
    assert (await api.get_domain(compact)).name == compact.name
    project = await api.create_project("Compact", domain_id=compact)
    for tag_number in range(2):
        tag = await api.create_tag(project, f"t{tag_number}")
        await api.create_images_from_data(
            project, [image_bytes(100 * tag_number + n) for n in range(5)], tag_ids=[tag]
        )
    iteration = await api.train_project(project)
    assert (await api.export_iteration(project, iteration, "TensorFlow")).platform == "TensorFlow"
    assert [export.platform for export in await api.get_exports(project, iteration)] == [
        "TensorFlow"
    ]
    await api.delete_iteration(project, iteration)


async def detection(api: Operations) -> None:
    """Call the operations on regions in a detection project (since v2.0)."""
    domain = next(domain for domain in await api.get_domains() if domain.type == "ObjectDetection")
    project = await api.create_project("Boxes", domain_id=domain)
    tag = await api.create_tag(project, "box")
    image = (await api.create_images_from_data(project, image_bytes(1))).images[0].image
    assert image is not None
    entry = ImageRegionCreateEntry(
        image_id=image.id, tag_id=tag.id, left=0.1, top=0.2, width=0.3, height=0.4
    )
    made = await api.create_image_regions(project, [entry])
    region = (await api.get_tagged_images(project))[0].regions[0]
    assert (region.region_id, region.tag_name) == (made.created[0].region_id, "box")
    assert region.left == pytest.approx(0.1)
    await api.delete_image_regions(project, [region])
    assert not await api.get_tagged_images(project)


@pytest.mark.parametrize("version", list(ApiVersion))
async def test_every_training_operation_of_every_version(version: ApiVersion) -> None:
    """Each operation of the version is called during the life of a project."""
    async with (
        Emulator(training_seconds=0, null_lists=True) as emulator,
        at(emulator, version) as api,
    ):
        project = await api.create_project("Orchard", description="d e")
        assert project.created is not None
        assert [item.id for item in await api.get_projects()] == [project.id]
        if version is V.V1_2:
            assert await api.get_account_info()
        tags = [
            await api.create_tag(project, "first"),
            await api.create_tag(project, "second", description="2"),
        ]
        with pytest.raises(BadRequestError, match="List the tags"):
            await api.create_tag(project, "first")
        assert (
            await api.update_tag(project, tags[0], TagUpdate(name="new name", description="d"))
        ).name == "new name"
        assert (await api.get_tag(project, tags[0])).name == "new name"
        assert {tag.name for tag in await api.get_tags(project)} == {"new name", "second"}
        await images(api, project, tags)
        iteration = await training(api, project, tags)
        await exporting(api)
        if version >= V.V2_0:
            await detection(api)
        if version >= V.V3_0:
            assert await api.publish_iteration(project, iteration, "live", RESOURCE) is True
            await api.unpublish_iteration(project, iteration)
        if version >= V.V3_1:
            await suggestions(api, project, iteration)
        if version >= V.V3_2:
            token = (await api.export_project(project)).token
            assert (await api.import_project(token)).name.startswith("Orchard")
        assert (await api.update_project(project, await api.get_project(project))).name == "Orchard"
        await api.delete_images(project, [(await api.get_tagged_images(project))[0]])
        if version >= V.V3_1:
            await api.delete_images(project, all_images=True)
        await api.delete_tag(project, tags[1])
        await api.delete_project(project)
        with pytest.raises(NotFoundError):
            await api.get_project(project)
        called = {
            request.operation
            for request in emulator.requests
            if request.operation not in ("", "Blob")
        }
        assert called == {
            row.id
            for row in OPERATIONS.values()
            if row.api == "Training" and row.in_version(version)
        }


@pytest.mark.parametrize("version", list(PredictionVersion))
async def test_every_prediction_operation_of_every_version(version: PredictionVersion) -> None:
    """Each operation of the Prediction API is called."""
    async with (
        Emulator(training_seconds=0) as emulator,
        at(emulator, V.V3_3) as api,
        aiohttp.ClientSession() as session,
    ):
        project = await api.create_project("Orchard")
        for number in range(2):
            tag = await api.create_tag(project, f"t{number}")
            await api.create_images_from_data(
                project, [image_bytes(100 * number + n) for n in range(5)], tag_ids=[tag]
            )
        iteration = await api.train_project(project)
        uri = (await api.get_tagged_images(project, take=1))[0].original_uri
        assert uri is not None
        predict = PredictionOperations(
            Loopback(session, "Prediction-Key", emulator.prediction_key), emulator.endpoint, version
        )
        if version >= PredictionVersion.V3_0:
            await api.publish_iteration(project, iteration, "My model", RESOURCE)
            responses = [
                await predict.classify_image(project, "My model", image_bytes(1), application="a"),
                await predict.classify_image_with_no_store(project, "My model", image_bytes(1)),
                await predict.classify_image_url(project, "My model", uri),
                await predict.classify_image_url_with_no_store(project, "My model", uri),
            ]
            with pytest.raises(BadRequestError):
                await predict.detect_image(project, "My model", image_bytes(1))
            with pytest.raises(NotFoundError):
                await predict.detect_image_url(project, "None such", uri)
        else:
            responses = [
                await predict.predict_image(project, image_bytes(1), iteration_id=iteration),
                await predict.predict_image_with_no_store(
                    project, image_bytes(1), iteration_id=iteration
                ),
                await predict.predict_image_url(
                    project, uri, iteration_id=iteration, application="a"
                ),
                await predict.predict_image_url_with_no_store(project, uri, iteration_id=iteration),
            ]
        for response in responses:
            assert {item.tag_name for item in response.predictions} == {"t0", "t1"}
            assert response.created is not None
            assert response.created.tzinfo is not None


async def test_artifacts_of_a_resource_with_a_private_network() -> None:
    """The relative path in place of an image's URL returns its bytes."""
    async with Emulator(vnet=True) as emulator, at(emulator, V.V3_3) as api:
        project = await api.create_project("Orchard")
        image = (await api.create_images_from_data(project, image_bytes(1))).images[0].image
        assert image is not None
        assert image.original_uri is not None
        assert not image.original_uri.startswith("http")
        assert await api.get_artifact(project, image.original_uri) == image_bytes(1)
