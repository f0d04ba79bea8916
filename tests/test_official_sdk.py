"""Microsoft's own SDK drives the emulator.

The package is azure-cognitiveservices-vision-customvision 3.1.1, with Training v3.4-preview and
Prediction v3.1.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

sdk = pytest.importorskip("azure.cognitiveservices.vision.customvision.training")
from azure.cognitiveservices.vision.customvision.prediction import CustomVisionPredictionClient  # noqa: E402
from azure.cognitiveservices.vision.customvision.prediction.operations import (  # noqa: E402
    CustomVisionPredictionClientOperationsMixin as PredictionOperations,
)
from azure.cognitiveservices.vision.customvision.training import CustomVisionTrainingClient  # noqa: E402
from azure.cognitiveservices.vision.customvision.training import models as m  # noqa: E402
from azure.cognitiveservices.vision.customvision.training.operations import (  # noqa: E402
    CustomVisionTrainingClientOperationsMixin as TrainingOperations,
)
from msrest.authentication import ApiKeyCredentials  # noqa: E402

from customvision_async.emulator import Emulator  # noqa: E402
from tests.support.images import image_bytes  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default:::msrest", "default:::requests", "default:::azure")

COMPACT = "0732100f-1a38-4e49-a514-c9b44c697ab5"
DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"


class Recorded:
    """A client of the SDK that records the operations that were called."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self._client, name)


def operations(mixin: type) -> set[str]:
    """Return the names of all operations of a client."""
    return {
        name for name, value in vars(mixin).items() if callable(value) and not name.startswith("_")
    }


@pytest.fixture
def running() -> Iterator[Emulator]:
    """Yield an emulator with distinct keys, in its own thread."""
    with Emulator(
        training_key="a" * 32, prediction_key="b" * 32, training_seconds=0.05, seed=7
    ) as emulator:
        yield emulator


@pytest.fixture
def training(running: Emulator) -> Iterator[Recorded]:
    """Return the training client of the SDK."""
    with CustomVisionTrainingClient(
        running.endpoint, ApiKeyCredentials(in_headers={"Training-key": running.training_key})
    ) as client:
        yield Recorded(client)


@pytest.fixture
def prediction(running: Emulator) -> Iterator[Recorded]:
    """Return the prediction client of the SDK."""
    credentials = ApiKeyCredentials(in_headers={"Prediction-key": running.prediction_key})
    with CustomVisionPredictionClient(running.endpoint, credentials) as client:
        yield Recorded(client)


def ids(summary: Any) -> list[str]:
    """Return the ids of the images that a create request returned."""
    assert summary.is_batch_successful, [result.status for result in summary.images]
    return [result.image.id for result in summary.images]


def upload(training: Any, project: str, tag: str | None, seeds: range) -> list[str]:
    """Upload images with one tag as files."""
    entries = [
        m.ImageFileCreateEntry(
            name=f"{seed}.jpg", contents=image_bytes(seed), tag_ids=[tag] if tag else []
        )
        for seed in seeds
    ]
    return ids(training.create_images_from_files(project, m.ImageFileCreateBatch(images=entries)))


def completed(training: Any, project: str, iteration: str) -> Any:
    """Poll an iteration until it is trained, and return it."""
    for _ in range(200):
        found = training.get_iteration(project, iteration)
        if found.status == "Completed":
            return found
        time.sleep(0.01)
    raise AssertionError(f"still {found.status}")


def test_the_main_job(running: Emulator, training: Recorded) -> None:
    """Projects, tags, uploads by file, data and URL, lists, counts, tags and deletions all
    succeed.
    """
    main_job(training)
    assert all(request.status < 300 for request in running.requests)


def main_job(training: Recorded) -> None:
    """Do the most common tasks."""
    orchard = training.create_project("Orchard", description="fruit")
    assert orchard.name == "Orchard"
    assert orchard.settings.classification_type == "Multilabel"
    apple, pear = (
        training.create_tag(orchard.id, "apple"),
        training.create_tag(orchard.id, "pear", description="green"),
    )
    assert {tag.name: tag.description for tag in training.get_tags(orchard.id)} == {
        "apple": None,
        "pear": "green",
    }

    files = upload(training, orchard.id, apple.id, range(10))
    data = training.create_images_from_data(orchard.id, image_bytes(100), tag_ids=[pear.id])
    with io.BytesIO(image_bytes(101)) as stream:
        more = training.create_images_from_data(orchard.id, stream)
    first = training.get_images_by_ids(orchard.id, files[:1])[0]
    other = training.create_project("Other")
    urls = training.create_images_from_urls(
        other.id,
        m.ImageUrlCreateBatch(images=[m.ImageUrlCreateEntry(url=first.original_image_uri)]),
    )
    assert urls.images[0].source_url == first.original_image_uri
    assert urls.images[0].status == "OK"

    assert len(files) == 10
    assert first.tags[0].tag_name == "apple"
    assert (first.width, first.height) == (64, 48)
    assert training.get_tagged_image_count(orchard.id) == 11
    assert training.get_untagged_image_count(orchard.id) == 1
    assert training.get_tagged_image_count(orchard.id, tag_ids=[pear.id]) == 1
    listed = training.get_tagged_images(orchard.id, take=4, skip=8)
    assert len(listed) == 3
    assert {image.id for image in listed} <= {*files, *ids(data)}
    assert [image.id for image in training.get_untagged_images(orchard.id)] == ids(more)

    pairs = [m.ImageTagCreateEntry(image_id=image, tag_id=pear.id) for image in files[:5]]
    assert len(training.create_image_tags(orchard.id, tags=pairs).created) == 5
    assert len(training.create_image_tags(orchard.id, tags=pairs).duplicated) == 5
    training.delete_image_tags(orchard.id, files[:2], [apple.id, pear.id])
    assert training.get_untagged_image_count(orchard.id) == 3
    training.delete_images(orchard.id, files)
    assert training.get_image_count(orchard.id) == 2
    training.delete_project(orchard.id)
    assert [project.name for project in training.get_projects()] == ["Other"]


def test_duplicates_and_bad_images_have_their_status(training: Recorded) -> None:
    """A batch of a new image, a duplicate and an invalid image: three results, and status 207."""
    project = training.create_project("Mixed").id
    upload(training, project, None, range(1))
    entries = [
        m.ImageFileCreateEntry(name="again", contents=image_bytes(0)),
        m.ImageFileCreateEntry(name="new", contents=image_bytes(1)),
        m.ImageFileCreateEntry(name="text", contents=b"this is no image"),
    ]
    answer = training.create_images_from_files(
        project, m.ImageFileCreateBatch(images=entries), raw=True
    )
    assert answer.response.status_code == 207
    assert not answer.output.is_batch_successful
    statuses = {result.source_url: result.status for result in answer.output.images}
    assert statuses == {"again": "OKDuplicate", "new": "OK", "text": "ErrorImageFormat"}


def test_a_wrong_key_is_the_gateways_refusal(running: Emulator) -> None:
    """The SDK cannot parse the gateway's 401, as its users report of the real service."""
    with (
        CustomVisionTrainingClient(
            running.endpoint, ApiKeyCredentials(in_headers={"Training-key": "wrong"})
        ) as client,
        pytest.raises(Exception, match="Access Denied"),
    ):
        client.get_projects()


def test_an_error_of_the_service_has_its_code(training: Recorded) -> None:
    """CustomVisionErrorException has the service's code and message."""
    project = training.create_project("Errors").id
    training.create_tag(project, "apple")
    with pytest.raises(m.CustomVisionErrorException) as caught:
        training.create_tag(project, "apple")
    assert caught.value.error.code == "BadRequestTagNameNotUnique"
    with pytest.raises(m.CustomVisionErrorException, match="Not enough images for training"):
        training.train_project(project)


def test_every_operation_of_the_sdk(
    running: Emulator, training: Recorded, prediction: Recorded
) -> None:
    """Each operation of the SDK is called, and its models can read the response."""
    main_job(training)
    classification(running, training, prediction)
    detection(training, prediction)
    assert operations(TrainingOperations) - training.called == set()
    assert operations(PredictionOperations) - prediction.called == set()


def classification(running: Emulator, training: Recorded, prediction: Recorded) -> None:
    """Use a classification project, from its domain to its export."""
    domains = training.get_domains()
    assert len(domains) == 18
    assert training.get_domain(COMPACT).name == "General (compact)"
    project = training.create_project(
        "Orchard",
        domain_id=COMPACT,
        classification_type="Multiclass",
        target_export_platforms=["CoreML"],
    ).id
    assert (
        training.update_project(
            project,
            m.Project(
                name="Garden", description="d", settings=m.ProjectSettings(domain_id=COMPACT)
            ),
        ).name
        == "Garden"
    )
    assert training.get_project(project).settings.target_export_platforms == ["CoreML"]
    apple, pear = (training.create_tag(project, name).id for name in ("apple", "pear"))
    assert (
        training.update_tag(project, pear, m.Tag(name="Pear", description="x", type="Regular")).name
        == "Pear"
    )
    assert training.get_tag(project, pear).description == "x"
    spare = training.create_tag(project, "spare").id
    training.delete_tag(project, spare)

    apples, pears = (
        upload(training, project, apple, range(6)),
        upload(training, project, pear, range(50, 56)),
    )
    loose = upload(training, project, None, range(90, 92))
    updated = training.update_image_metadata(project, apples[:2], {"farm": "north"})
    assert updated.is_batch_successful
    assert updated.images[0].metadata == {"farm": "north"}
    assert len(training.get_images(project, filter="metadata=farm eq 'north'")) == 2
    assert len(training.get_images(project, tagging_status="Untagged")) == 2
    image = training.get_images_by_ids(project, apples[:1])[0]
    path = image.thumbnail_uri.split("?")[0].removeprefix(running.endpoint + "/")
    assert b"".join(training.get_artifact(project, path)).startswith(b"\xff\xd8")

    begun = training.train_project(project)
    assert begun.status == "Training"
    assert begun.trained_at is None
    assert begun.name == "Iteration 1"
    iteration = completed(training, project, begun.id)
    assert iteration.exportable
    assert [each.id for each in training.get_iterations(project)] == [iteration.id]
    assert training.update_iteration(project, iteration.id, "first").name == "first"
    performance = training.get_iteration_performance(project, iteration.id, threshold=0.5)
    assert 0 < performance.precision <= 1
    assert {tag.name for tag in performance.per_tag_performance} == {"apple", "Pear"}
    assert (
        training.get_image_performance_count(project, iteration.id)
        == len(training.get_image_performances(project, iteration.id))
        == 3
    )
    suggested = training.suggest_tags_and_regions(project, iteration.id, loose)
    assert {each.id for each in suggested} == set(loose)
    assert 0 <= suggested[0].prediction_uncertainty <= 1
    token = m.SuggestedTagAndRegionQueryToken(
        tag_ids=[apple, pear], threshold=0.0, max_count=1, sort_by="UncertaintyDescending"
    )
    page = training.query_suggested_images(project, iteration.id, token)
    assert len(page.results) == 1
    assert len(training.query_suggested_images(project, iteration.id, page.token).results) == 1
    counts = training.query_suggested_image_count(
        project, iteration.id, tag_ids=[apple], threshold=0.0
    )
    assert counts == {apple: 2}

    assert training.publish_iteration(project, iteration.id, "live", "/subscriptions/x/y") is True
    tested = training.quick_test_image(project, image_bytes(0), iteration_id=iteration.id)
    assert (tested.predictions[0].tag_name, tested.predictions[0].tag_type) == ("apple", "Regular")
    assert tested.predictions[0].probability > 0.9
    assert (
        training.quick_test_image_url(project, image.original_image_uri, store=False)
        .predictions[0]
        .tag_id
        == apple
    )
    for verb in ("classify_image", "classify_image_with_no_store"):
        assert (
            getattr(prediction, verb)(project, "live", image_bytes(50)).predictions[0].tag_name
            == "Pear"
        )
    for verb in ("classify_image_url", "classify_image_url_with_no_store"):
        assert (
            getattr(prediction, verb)(project, "live", image.original_image_uri)
            .predictions[0]
            .tag_name
            == "apple"
        )
    stored = training.query_predictions(
        project, m.PredictionQueryToken(order_by="Newest", max_count=0)
    )
    assert len(stored.results) == 3
    assert stored.results[-1].id == tested.id
    training.delete_prediction(project, [stored.results[0].id])
    fresh = training.quick_test_image(project, image_bytes(500)).id
    kept = training.create_images_from_predictions(
        project, m.ImageIdCreateBatch(images=[m.ImageIdCreateEntry(id=fresh, tag_ids=[pear])])
    )
    assert kept.images[0].status == "OK"
    assert kept.images[0].source_url == fresh

    assert (
        training.export_iteration(
            project, iteration.id, "TensorFlow", flavor="TensorFlowLite"
        ).status
        == "Exporting"
    )
    export = training.get_exports(project, iteration.id)[0]
    assert export.status == "Done"
    assert export.flavor == "TensorFlowLite"
    path = export.download_uri.split("?")[0].removeprefix(running.endpoint + "/")
    with zipfile.ZipFile(io.BytesIO(b"".join(training.get_artifact(project, path)))) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split() == sorted_tags(
            iteration, training, project
        )
    training.unpublish_iteration(project, iteration.id)
    training.delete_iteration(project, iteration.id)

    told = training.export_project(project)
    assert (told.image_count, told.tag_count) == (15, 2)
    copy = training.import_project(told.token, name="Copy")
    assert copy.status == "Importing"
    for _ in range(200):
        if training.get_project(copy.id).status != "Importing":
            break
        time.sleep(0.01)
    assert training.get_project(copy.id).status == "Succeeded"
    assert training.get_image_count(copy.id) == 15
    training.delete_images(copy.id, all_images=True)
    assert (
        training.get_tagged_image_count(copy.id) == training.get_untagged_image_count(copy.id) == 0
    )
    assert len(pears) == 6


def sorted_tags(iteration: Any, training: Any, project: str) -> list[str]:
    """Return the names of the tags, in the service's order."""
    return [tag.name for tag in training.get_tags(project, iteration_id=iteration.id)]


def detection(training: Recorded, prediction: Recorded) -> None:
    """Use a detection project: regions, proposals, training and detection."""
    project = training.create_project("Tools", domain_id=DETECTION).id
    fork = training.create_tag(project, "fork").id
    region = m.Region(tag_id=fork, left=0.1, top=0.2, width=0.3, height=0.4)
    entries = [
        m.ImageFileCreateEntry(name=str(seed), contents=image_bytes(seed), regions=[region])
        for seed in range(15)
    ]
    images = ids(training.create_images_from_files(project, m.ImageFileCreateBatch(images=entries)))
    proposals = training.get_image_region_proposals(project, images[0]).proposals
    assert len(proposals) == 25
    assert proposals[0].confidence >= proposals[-1].confidence
    box = m.ImageRegionCreateEntry(
        image_id=images[0], tag_id=fork, left=0.5, top=0.5, width=0.25, height=0.25
    )
    made = training.create_image_regions(project, regions=[box]).created[0]
    assert made.width == 0.25
    assert len(training.get_images_by_ids(project, images[:1])[0].regions) == 2
    training.delete_image_regions(project, [made.region_id])
    assert len(training.get_images_by_ids(project, images[:1])[0].regions) == 1
    iteration = completed(training, project, training.train_project(project, force_train=True).id)
    training.publish_iteration(project, iteration.id, "tools", "/resource")
    for verb in ("detect_image", "detect_image_with_no_store"):
        found = getattr(prediction, verb)(project, "tools", image_bytes(3)).predictions[0]
        assert found.probability > 0.9
        assert found.bounding_box.width == pytest.approx(0.3)
    uri = training.get_tagged_images(project)[0].original_image_uri
    for verb in ("detect_image_url", "detect_image_url_with_no_store"):
        assert getattr(prediction, verb)(project, "tools", uri).predictions[0].tag_name == "fork"
