"""Iterations from training to deletion, with their errors, over real sockets in old and new
versions.
"""

from __future__ import annotations

import anyio
import pytest

from customvision_async import (
    ApiVersion,
    BadRequestError,
    ImageFile,
    LimitExceeded,
    NotFoundError,
    ProjectClient,
    ServiceError,
    TrainingClient,
    UnsupportedOperation,
)
from customvision_async.emulator import Emulator
from tests.support.images import image_bytes
from tests.support.trained_project import FAST, RESOURCE, project_with_images, serving, trained

pytestmark = pytest.mark.anyio

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("version", list(ApiVersion), ids=str)
async def test_from_training_to_deletion_in_every_version(version: ApiVersion) -> None:
    """Train, inspect, rename and delete, as far as the version supports it."""
    async with serving(version) as (_, training):
        orchard = await project_with_images(training, domain="General")
        iteration = await orchard.begin_training(polling=FAST)
        assert iteration.status == "Completed"
        assert iteration.trained_at is not None
        assert [one.id for one in await orchard.list_iterations().all()] == [iteration.id]
        renamed = await orchard.update_iteration(iteration, name="Harvest")
        assert (renamed.name, (await orchard.get_iteration(iteration.id)).name) == (
            "Harvest",
            "Harvest",
        )
        performance = await orchard.get_iteration_performance(iteration)
        assert 0 < performance.precision <= 1
        assert {tag.name for tag in performance.per_tag_performance} == {"apple", "pear"}
        await orchard.delete_iteration(iteration)
        assert await orchard.list_iterations().all() == []


@pytest.mark.parametrize("version", list(ApiVersion), ids=str)
async def test_a_project_is_changed_in_every_version(version: ApiVersion) -> None:
    """Only the given properties change. The domain is given by name."""
    async with serving(version) as (_, training):
        orchard = await training.create_project("Orchard", "General", description="fruit")
        changed = await training.update_project(orchard, name="Garden")
        assert (changed.name, changed.description) == ("Garden", "fruit")
        changed = await training.update_project(
            orchard.id, description="", domain="General (compact)"
        )
        assert (changed.name, changed.description or "") == ("Garden", "")
        assert changed.settings is not None
        assert changed.settings.domain_id is not None
        assert (await training.get_domain(changed.settings.domain_id)).name == "General (compact)"
        if version >= ApiVersion.V3_0:
            changed = await training.update_project(
                orchard, export_platforms=["ONNX"], classification_type="Multiclass"
            )
            assert changed.settings is not None
            assert (
                changed.settings.target_export_platforms,
                changed.settings.classification_type,
            ) == (("ONNX",), "Multiclass")
        with pytest.raises(LookupError, match="General"):
            await training.update_project(orchard, domain="Genral")


async def test_what_is_asked_of_a_training_reaches_the_service() -> None:
    """Budget, e-mail address, tags and force are sent. A budget makes the training advanced."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training, tags=("apple", "pear", "plum"))
        done = await orchard.begin_training(
            budget_hours=2,
            notification_email="a@b.example",
            selected_tags=["apple", "pear"],
            polling=FAST,
        )
        assert (done.training_type, done.reserved_budget_in_hours) == ("Advanced", 2)
        query = next(seen.query for seen in emulator.requests if seen.operation == "TrainProject")
        assert "notificationEmailAddress=a%40b.example" in query
        assert {
            tag.name for tag in (await orchard.get_iteration_performance(done)).per_tag_performance
        } == {"apple", "pear"}
        again = await orchard.begin_training(force=True, polling=FAST)
        assert again.id != done.id


async def test_begins_from_another_iteration() -> None:
    """v3.4-preview can start from a trained iteration. v3.3 raises UnsupportedOperation."""
    async with serving(ApiVersion.V3_4_PREVIEW) as (emulator, training):
        orchard = await project_with_images(training)
        first = await trained(orchard)
        second = await orchard.begin_training(base_model=first, force=True, polling=FAST)
        assert second.custom_base_model_info is not None
        assert second.custom_base_model_info.iteration_id == first.id
        async with TrainingClient(emulator.endpoint, emulator.training_key) as older:
            with pytest.raises(UnsupportedOperation, match=r"v3\.4-preview"):
                await older.get_project_client(orchard.id).begin_training(base_model=first)


async def test_performance_of_each_image_by_pages() -> None:
    """Any number in prefetched pages, by tag, and counted."""
    async with serving() as (_, training):
        orchard = await project_with_images(training, each=20)
        iteration = await trained(orchard)
        everything = await orchard.list_image_performances(iteration).all()
        by_pages = await orchard.list_image_performances(
            iteration, page_size=2, order="oldest"
        ).all()
        assert {one.id for one in everything} == {one.id for one in by_pages}
        assert len(everything) == await orchard.count_image_performances(iteration) > 4
        apples = await orchard.list_image_performances(iteration, tags=["apple"]).all()
        assert len(apples) == await orchard.count_image_performances(iteration, tags=["apple"])
        assert all(one.tags[0].tag_name == "apple" for one in apples)
        once = await orchard.list_image_performances(iteration, tags=iter(["apple"])).all()
        assert [one.id for one in once] == [one.id for one in apples]
        assert len(apples) < len(everything)
        assert all(one.predictions for one in apples)
        with pytest.raises(LimitExceeded):
            orchard.list_image_performances(iteration, page_size=257)


async def test_thresholds_change_the_figures() -> None:
    """The threshold is the caller's, or else the service's."""
    async with serving() as (_, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        low, high = [
            await orchard.get_iteration_performance(iteration, threshold=value)
            for value in (0.05, 0.95)
        ]
        assert low.recall > high.recall
        assert low.precision < high.precision


async def test_publish_and_unpublish() -> None:
    """Publish on the resource of the client or another. With `overwrite` the name moves."""
    async with serving() as (_, training):
        orchard = await project_with_images(training)
        first = await trained(orchard)
        await orchard.publish_iteration(first, "production")
        now = await orchard.get_iteration(first)
        assert (now.publish_name, now.original_publish_resource_id) == ("production", RESOURCE)
        second = await orchard.begin_training(force=True, polling=FAST)
        with pytest.raises(BadRequestError) as caught:
            await orchard.publish_iteration(second, "production")
        assert caught.value.code == "BadRequestInvalidPublishName"
        await orchard.publish_iteration(second, "production", "/another", overwrite=True)
        assert (await orchard.get_iteration(first)).publish_name is None
        await orchard.unpublish_iteration(second)
        assert (await orchard.get_iteration(second)).publish_name is None


async def test_publishing_needs_a_resource() -> None:
    """Without a resource nothing is sent."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        async with TrainingClient(emulator.endpoint, emulator.training_key) as other:
            with pytest.raises(LookupError, match="VISION_PREDICTION_RESOURCE_ID"):
                await other.get_project_client(orchard.id).publish_iteration(
                    iteration, "production"
                )


async def test_the_resource_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """from_env reads the resource from the variable of Microsoft's quickstarts."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        monkeypatch.setenv("VISION_TRAINING_ENDPOINT", emulator.endpoint)
        monkeypatch.setenv("VISION_TRAINING_KEY", emulator.training_key)
        monkeypatch.setenv("VISION_PREDICTION_RESOURCE_ID", "/from/the/environment")
        async with TrainingClient.from_env() as other:
            await other.get_project_client(orchard.id).publish_iteration(iteration, "production")
        assert (
            await orchard.get_iteration(iteration)
        ).original_publish_resource_id == "/from/the/environment"


# --- lost answers, over real sockets


async def lose(emulator: Emulator, operation: str) -> None:
    """Let the next request take effect, and lose its response."""
    emulator.faults.add("lost_answer", operation=operation)


def calls(emulator: Emulator, operation: str) -> int:
    """Return the number of requests for an operation."""
    return sum(seen.operation == operation for seen in emulator.requests)


async def test_a_training_whose_answer_is_lost_is_found() -> None:
    """There is one training and one iteration, although the response was lost."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        await lose(emulator, "TrainProject")
        iteration = await trained(orchard)
        assert iteration.status == "Completed"
        assert [one.id for one in await orchard.list_iterations().all()] == [iteration.id]
        assert calls(emulator, "TrainProject") == 1


async def test_publishing_whose_answer_is_lost_is_found() -> None:
    """Publishing is verified, not repeated. Unpublishing is repeated and recognizes its own
    effect.
    """
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        await lose(emulator, "PublishIteration")
        await orchard.publish_iteration(iteration, "production")
        assert calls(emulator, "PublishIteration") == 1
        await lose(emulator, "UnpublishIteration")
        await orchard.unpublish_iteration(iteration)
        assert (await orchard.get_iteration(iteration)).publish_name is None
        await lose(emulator, "DeleteIteration")
        await orchard.delete_iteration(iteration)
        assert await orchard.list_iterations().all() == []


async def test_publishing_that_never_arrived_is_sent_again() -> None:
    """The check shows that it had no effect."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        iteration = await trained(orchard)
        emulator.faults.add("reset", operation="PublishIteration")
        await orchard.publish_iteration(iteration, "production")
        assert (await orchard.get_iteration(iteration)).publish_name == "production"


async def test_training_survives_a_connection_that_fails_meanwhile() -> None:
    """Polls end in resets, HTML and errors. The training continues."""
    async with serving(training_seconds=0.5) as (emulator, training):
        orchard = await project_with_images(training)
        for kind in ("reset", "html", "truncated_answer", "lost_answer"):
            emulator.faults.add(kind, operation="GetIteration", times=2)
        assert (await trained(orchard)).status == "Completed"


async def test_another_program_takes_a_training_up() -> None:
    """Another client resumes by the id of the iteration."""
    async with serving(training_seconds=0.2) as (emulator, training):
        orchard = await project_with_images(training)
        poller = orchard.begin_training(wait=False)
        begun = await poller
        assert (begun.status, poller.done) == ("Training", False)
        async with TrainingClient(emulator.endpoint, emulator.training_key) as other:
            done = await other.get_project_client(orchard.id).resume_training(
                begun.id, polling=FAST
            )
        assert (done.id, done.status) == (begun.id, "Completed")


# --- bad input: the service's own code, and a fix


async def refusal(awaitable: object) -> ServiceError:
    """Return the error that an awaitable raises."""
    with pytest.raises(ServiceError) as caught:
        await awaitable
    assert caught.value.advice, caught.value.code
    return caught.value


async def test_training_with_too_few_images() -> None:
    """The message says how many are needed."""
    async with serving() as (_, training):
        orchard = await project_with_images(training, each=4)
        error = await refusal(orchard.begin_training())
        assert error.code.endswith("TrainingValidationFailed")
        assert "5 images" in str(error)
        boxes = await project_with_images(training, each=14, domain="ObjectDetection/General")
        error = await refusal(boxes.begin_training())
        assert error.code == "BadRequestDetectionTrainingValidationFailed"
        assert "15 images" in str(error)


async def test_training_when_nothing_has_changed_or_twice_at_once() -> None:
    """BadRequestTrainingNotNeeded suggests `force`, BadRequestTrainingAlreadyInProgress suggests
    waiting.
    """
    async with serving(training_seconds=0.3) as (emulator, training):
        orchard = await project_with_images(training)
        first = await orchard.begin_training(wait=False)
        error = await refusal(orchard.begin_training(force=True))
        assert error.code == "BadRequestTrainingAlreadyInProgress"
        await orchard.resume_training(first, polling=FAST)
        error = await refusal(orchard.begin_training())
        assert error.code == "BadRequestTrainingNotNeeded"
        assert "force" in str(error)
        assert calls(emulator, "TrainProject") == 3


async def test_publishing_what_is_not_trained_or_not_there() -> None:
    """An iteration in training, a published one, an unknown one, and a name with a slash."""
    async with serving(training_seconds=30) as (_, training):
        orchard = await project_with_images(training)
        begun = await orchard.begin_training(wait=False)
        assert (
            await refusal(orchard.publish_iteration(begun, "x"))
        ).code == "BadRequestIterationIsNotTrained"
        error = await refusal(orchard.publish_iteration(NOWHERE, "x"))
        assert isinstance(error, NotFoundError)
        assert error.code == "NotFoundIteration"
        assert (
            await refusal(orchard.begin_export(begun, "ONNX"))
        ).code == "BadRequestIterationIsNotTrained"


async def test_names_taken_and_published_iterations() -> None:
    """A name in use, an invalid publish name, deleting a published iteration, unpublishing
    another.
    """
    async with serving() as (_, training):
        orchard = await project_with_images(training)
        first = await trained(orchard)
        second = await orchard.begin_training(force=True, polling=FAST)
        assert (
            await refusal(orchard.update_iteration(second, name=first.name))
        ).code == "BadRequestIterationNameNotUnique"
        assert (
            await refusal(orchard.publish_iteration(first, "a/b"))
        ).code == "BadRequestInvalidPublishName"
        await orchard.publish_iteration(first, "production")
        assert (
            await refusal(orchard.publish_iteration(first, "other"))
        ).code == "BadRequestIterationIsPublished"
        assert (
            await refusal(orchard.delete_iteration(first))
        ).code == "BadRequestIterationIsPublished"
        assert (
            await refusal(orchard.unpublish_iteration(second))
        ).code == "BadRequestIterationNotPublished"
        assert (await refusal(orchard.create_tag("apple"))).code == "BadRequestTagNameNotUnique"


async def test_what_the_version_lacks_names_the_first_that_has_it() -> None:
    """Nothing is sent."""
    async with serving(ApiVersion.V2_2) as (emulator, training):
        orchard = await project_with_images(training, domain="General")
        iteration = await trained(orchard)
        for awaitable, first in (
            (orchard.publish_iteration(iteration, "production"), "v3.0"),
            (orchard.begin_training(budget_hours=1).start(), "v3.0"),
            (orchard.export_project(), "v3.2"),
            (training.begin_import("https://x").start(), "v3.2"),
            (orchard.get_artifact("a/b"), "v3.3"),
            (orchard.begin_delete_all_images().start(), "v3.1"),
            (orchard.count_suggested_images(iteration), "v3.1"),
        ):
            with pytest.raises(UnsupportedOperation) as caught:
                await awaitable
            assert caught.value.first_version == first
        asked = {seen.operation for seen in emulator.requests}
        assert not asked & {
            "PublishIteration",
            "ExportProject",
            "ImportProject",
            "GetArtifact",
            "DeleteImages",
            "QuerySuggestedImageCount",
        }
        assert (await orchard.update_iteration(iteration, is_default=True)).is_default is True


async def test_unknown_tags_and_an_empty_budget() -> None:
    """A misspelt tag is found before anything is sent. An empty budget is the service's error."""
    async with serving() as (emulator, training):
        orchard = await project_with_images(training)
        with pytest.raises(LookupError, match="aple"):
            await orchard.begin_training(selected_tags=["aple", "pear"])
        assert calls(emulator, "TrainProject") == 0
        error = await refusal(orchard.begin_training(training_type="Advanced", budget_hours=0))
        assert error.code == "BadRequestReservedBudgetInHoursNotEnoughForAdvancedTraining"


async def test_unknown_domain_and_a_metadata_key_too_long() -> None:
    """An unknown domain, by name and by id, and metadata over its limits."""
    async with serving() as (_, training):
        with pytest.raises(LookupError, match="General"):
            await training.create_project("X", "Genral")
        error = await refusal(training.create_project("X", NOWHERE))
        assert error.code in {"BadRequestProjectUnknownDomain", "NotFoundDomain"}
        orchard = await project_with_images(training)
        with pytest.raises(LimitExceeded, match="128"):
            orchard.update_image_metadata(await orchard.list_images().all(), {"k" * 129: "v"})


async def test_a_pause_does_not_end_a_training() -> None:
    """After a timeout the same poller continues."""
    async with serving(training_seconds=0.3) as (emulator, training):
        orchard: ProjectClient = await project_with_images(training)
        poller = orchard.begin_training(polling=FAST)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.1):
                await poller
        assert (await poller).status == "Completed"
        assert calls(emulator, "TrainProject") == 1


async def test_new_images_train_a_new_iteration() -> None:
    """It gets the next name. The earlier iteration does not change."""
    async with serving() as (_, training):
        orchard = await project_with_images(training)
        first = await trained(orchard)
        await orchard.upload_images(
            [ImageFile(data=image_bytes(900 + seed), tags=["plum"]) for seed in range(5)],
            create_missing_tags=True,
        )
        second = await trained(orchard)
        assert (first.name, second.name) == ("Iteration 1", "Iteration 2")
        assert {tag.name for tag in (await orchard.list_tags(iteration=first.id).all())} >= {
            "apple",
            "pear",
        }
        assert await orchard.count_images(tags=["plum"]) == 5
