"""PredictionClient over real sockets, for one image or many, in every version.

Also the predictions that the training API stores.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from customvision_async import (
    ApiVersion,
    AuthenticationError,
    BadRequestError,
    BatchError,
    DecodeError,
    ImageFile,
    ImageUrl,
    Iteration,
    LimitExceeded,
    NotFoundError,
    PredictionClient,
    PredictionVersion,
    ProjectClient,
    RequestTimeout,
    Retry,
    Timeouts,
    TrainingClient,
    UnsupportedOperation,
    images_in,
)
from customvision_async.emulator import Emulator
from customvision_async.emulator._ids import guid_key
from customvision_async.models import PredictionQueryTag
from tests.support.images import fill, image_bytes
from tests.support.trained_project import project_with_images, serving, trained

pytestmark = pytest.mark.anyio

NOWHERE = "00000000-0000-0000-0000-000000000000"
OLD = (PredictionVersion.V1_1, PredictionVersion.V2_0)


@asynccontextmanager
async def published(
    version: PredictionVersion = PredictionVersion.V3_1,
    *,
    domain: str = "General (compact)",
    each: int = 6,
    **options: object,
) -> AsyncIterator[tuple[Emulator, ProjectClient, Iteration, PredictionClient]]:
    """Yield a project with a model published as "production", and a prediction client."""
    async with serving(**options) as (emulator, training):
        project = await project_with_images(training, domain=domain, each=each)
        iteration = await trained(project)
        await project.publish_iteration(iteration, "production")
        async with PredictionClient(
            emulator.endpoint,
            emulator.prediction_key,
            api_version=version,
            retry=Retry(initial_backoff=0.01),
        ) as prediction:
            yield emulator, project, await project.get_iteration(iteration), prediction


def calls(emulator: Emulator, *beginning: str) -> list[str]:
    """Return the operations that were called and start with a prefix."""
    return [seen.operation for seen in emulator.requests if seen.operation.startswith(beginning)]


# --- one image


@pytest.mark.parametrize("version", list(PredictionVersion), ids=str)
async def test_an_image_in_every_form_and_version(
    version: PredictionVersion, tmp_path: Path
) -> None:
    """Bytes, a path, an open file, an ImageFile, an ImageUrl and a URL, stored or not."""
    async with published(version) as (emulator, project, iteration, prediction):
        model = iteration if version in OLD else "production"
        path = tmp_path / "apple.jpg"
        path.write_bytes(image_bytes(1))
        address = (await project.list_images(tags=["apple"]).all())[0].original_uri
        assert address is not None
        with path.open("rb") as file:
            for image in (
                image_bytes(1),
                path,
                str(path),
                file,
                ImageFile(path),
                ImageUrl(address),
                address,
            ):
                for store in (True, False):
                    file.seek(0)
                    answer = await prediction.classify_image(project, model, image, store=store)
                    assert (answer.predictions[0].tag_name, answer.iteration) == (
                        "apple",
                        iteration.id,
                    )
        verb = "Predict" if version in OLD else "Classify"
        asked = calls(emulator, verb)
        assert {name: asked.count(name) for name in asked} == {
            f"{verb}Image": 5,
            f"{verb}ImageWithNoStore": 5,
            f"{verb}ImageUrl": 2,
            f"{verb}ImageUrlWithNoStore": 2,
        }


@pytest.mark.parametrize("version", list(PredictionVersion), ids=str)
async def test_detection_has_boxes(version: PredictionVersion) -> None:
    """In detection projects. The other method is refused with an advice since v3.0."""
    async with published(version, domain="ObjectDetection/General", each=15) as (
        _,
        project,
        iteration,
        prediction,
    ):
        model = iteration if version in OLD else "production"
        answer = await prediction.detect_image(project, model, image_bytes(1))
        assert version == PredictionVersion.V1_1 or answer.predictions[0].bounding_box is not None
        if version not in OLD:
            with pytest.raises(BadRequestError) as caught:
                await prediction.classify_image(project, model, image_bytes(1))
            assert caught.value.advice


async def test_which_model_predicts() -> None:
    """A published iteration has a name. Before v3.0 there is a default iteration instead."""
    async with published() as (emulator, project, iteration, prediction):
        assert (
            await prediction.classify_image(
                project.id, iteration, image_bytes(1), application="scales"
            )
        ).iteration == iteration.id
        assert (
            next(seen for seen in emulator.requests if seen.operation == "ClassifyImage").query
            == "application=scales"
        )
        other = await project.begin_training(force=True)
        for wrong, kind in (
            (other, ValueError),
            (None, TypeError),
            ("", TypeError),
            (3, TypeError),
        ):
            with pytest.raises(kind):
                await prediction.classify_image(project, wrong, image_bytes(1))
        with pytest.raises(NotFoundError, match="published") as caught:
            await prediction.classify_image(project, "nothing/here", image_bytes(1))
        assert caught.value.code == "NotFoundIteration"
        async with PredictionClient(
            emulator.endpoint, emulator.prediction_key, api_version="v2.0"
        ) as older:
            with pytest.raises(NotFoundError, match="no default iteration"):
                await older.classify_image(project, None, image_bytes(1))
            async with TrainingClient(
                emulator.endpoint, emulator.training_key, api_version="v2.2"
            ) as before:
                same = before.get_project_client(project.id)
                await same.update_iteration(iteration.id, is_default=True)
            assert (await older.classify_image(project, None, image_bytes(1))).predictions
            with pytest.raises(ValueError, match="iteration"):
                await older.classify_image(project, "production", image_bytes(1))
            with pytest.raises(UnsupportedOperation):
                await older.operations.classify_image(project.id, "production", image_bytes(1))


async def test_what_is_no_image_is_not_sent(tmp_path: Path) -> None:
    """More than 4 MB, text, nothing, a missing file, or another object."""
    async with published() as (emulator, project, _, prediction):
        (tmp_path / "a.jpg").write_text("not an image")
        large = image_bytes(1) + bytes(4 * 1024 * 1024)
        for wrong, kind in (
            (large, LimitExceeded),
            (b"", ValueError),
            (tmp_path / "a.jpg", ValueError),
            (tmp_path / "none.jpg", FileNotFoundError),
            (io.StringIO("x"), ValueError),
            (42, TypeError),
            (ImageUrl("http://x/\r\ny"), ValueError),
        ):
            with pytest.raises(kind):
                await prediction.classify_image(project, "production", wrong)
        assert calls(emulator, "Classify") == []
        with pytest.raises(LimitExceeded, match="4,194,304 bytes"):
            await prediction.classify_image(project, "production", large)
        with pytest.raises(BadRequestError) as caught:
            await prediction.classify_image(project, "production", "http://127.0.0.1:9/none.jpg")
        assert caught.value.code == "BadRequestImageUrl"


async def test_a_wrong_key_and_a_key_of_the_other_kind() -> None:
    """The advice says that the keys differ."""
    async with published() as (emulator, project, _, _):
        emulator.prediction_key = "another"
        async with PredictionClient(emulator.endpoint, emulator.training_key) as prediction:
            with pytest.raises(AuthenticationError, match="VISION_PREDICTION_KEY") as caught:
                await prediction.classify_image(project, "production", image_bytes(1))
            assert "key of a training resource" in str(caught.value)
            with pytest.raises(BatchError) as several:
                await prediction.classify_images(
                    project, "production", (image_bytes(seed) for seed in range(10_000))
                )
            assert isinstance(several.value.report.abort_cause, AuthenticationError)
            assert several.value.report.submitted < 1000


async def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of Microsoft's quickstarts are read. Missing ones are named."""
    monkeypatch.delenv("VISION_PREDICTION_ENDPOINT", raising=False)
    monkeypatch.setenv("VISION_PREDICTION_KEY", "key")
    with pytest.raises(LookupError, match="VISION_PREDICTION_ENDPOINT not set"):
        PredictionClient.from_env()
    monkeypatch.setenv(
        "VISION_PREDICTION_ENDPOINT", "https://orchard.cognitiveservices.azure.com/ "
    )
    async with PredictionClient.from_env(api_version="v3.0") as prediction:
        assert (prediction.endpoint, prediction.api_version) == (
            "https://orchard.cognitiveservices.azure.com",
            PredictionVersion.V3_0,
        )
        assert "key" not in repr(prediction)


async def test_an_image_is_asked_about_again_when_the_answer_is_lost() -> None:
    """Resets, HTML and 503 are retried. The same image gets the same prediction."""
    async with published() as (emulator, project, _, prediction):
        first = await prediction.classify_image(project, "production", image_bytes(1), store=False)
        for kind in ("reset", "lost_answer", "reset_in_body", "status"):
            emulator.faults.add(kind, operation="ClassifyImageWithNoStore")
        again = await prediction.classify_image(project, "production", image_bytes(1), store=False)
        assert again.predictions == first.predictions


@pytest.mark.parametrize("kind", ["html", "garbage", "wrong_shape", "empty"])
async def test_a_service_that_answers_nonsense(kind: str) -> None:
    """A DecodeError, or in a run the failure of that image only."""
    async with published() as (emulator, project, _, prediction):
        emulator.faults.add(kind, operation="ClassifyImage")
        with pytest.raises(DecodeError):
            await prediction.classify_image(project, "production", image_bytes(1))
        emulator.faults.add(kind, operation="ClassifyImage", after=2)
        with pytest.raises(BatchError) as caught:
            await prediction.classify_images(
                project, "production", [image_bytes(seed) for seed in range(6)]
            )
        assert (caught.value.report.succeeded, caught.value.report.failed) == (5, 1)


# --- any number


@pytest.mark.parametrize("version", list(PredictionVersion), ids=str)
async def test_any_number_of_images(version: PredictionVersion, tmp_path: Path) -> None:
    """A folder with other files in it: the bad ones have a reason, the good ones their tags."""
    fill(tmp_path, ("apple", "pear"), 15)
    (tmp_path / "note.txt").write_text("hello")
    async with published(version) as (emulator, project, iteration, prediction):
        model = iteration if version in OLD else "production"
        seen = {}
        async with prediction.classify_images(
            project, model, images_in(tmp_path), store=False
        ) as run:
            async for result in run:
                seen[result.index] = result
        assert sorted(seen) == list(range(31))
        assert (run.report.succeeded, run.report.skipped, run.report.failed) == (30, 1, 0)
        good = [result for result in seen.values() if result.ok]
        assert all(result.value is not None and result.value.predictions for result in good)
        assert run.report.requests == len(calls(emulator, "Predict", "Classify")) == 30
        assert run.progress.bytes_sent > 0


async def test_one_bad_image_costs_the_others_nothing(tmp_path: Path) -> None:
    """Bad images of every kind among good ones. Those that the service refuses have its code."""
    (tmp_path / "a.jpg").write_text("not an image")
    broken = b"\xff\xd8\xff\xe0" + bytes(100)
    async with published() as (_, project, _, prediction):
        items = [
            image_bytes(1),
            tmp_path / "a.jpg",
            42,
            image_bytes(2),
            broken,
            "http://127.0.0.1:9/x.jpg",
            image_bytes(3) + bytes(5 << 20),
            image_bytes(4),
        ]
        with pytest.raises(BatchError) as caught:
            await prediction.classify_images(project, "production", items)
        report = caught.value.report
        assert (report.submitted, report.succeeded, report.failed) == (8, 3, 5)
        reasons = {result.index: result for result in report.failures}
        assert sorted(reasons) == [1, 2, 4, 5, 6]
        assert reasons[4].status.startswith("BadRequestImage")
        assert reasons[5].status == "BadRequestImageUrl"
        assert isinstance(reasons[6].error.__cause__, LimitExceeded)


async def test_an_async_source_of_any_length_is_pulled_as_it_is_taken() -> None:
    """An infinite stream, left early: few more images were pulled than sent."""
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield image_bytes(pulled % 5)

    async with published() as (_, project, _, prediction):
        async with prediction.classify_images(project, "production", endless(), store=False) as run:
            count = 0
            async for result in run:
                assert result.ok
                count += 1
                if count == 50:
                    break
        assert pulled < 50 + 300
        report = run.report
        assert (
            report.submitted == report.succeeded + report.failed + report.skipped + report.pending
        )


async def test_detect_images_gives_boxes() -> None:
    """Many images, with everything that one image has."""
    async with (
        published(domain="ObjectDetection/General", each=15) as (_, project, _, prediction),
        prediction.detect_images(
            project, "production", [image_bytes(seed) for seed in range(5)]
        ) as run,
    ):
        async for result in run:
            assert result.ok
            assert result.value is not None
            assert result.value.predictions[0].bounding_box is not None


async def test_a_single_image_is_a_run_of_one() -> None:
    """Bytes are an image, not an iterable of numbers."""
    async with published() as (_, project, _, prediction):
        assert (
            await prediction.classify_images(project, "production", image_bytes(1))
        ).succeeded == 1
        assert (await prediction.classify_images(project, "production", [])).submitted == 0


async def test_a_model_that_is_gone_ends_the_run() -> None:
    """Further images would not find it either."""
    async with published() as (emulator, project, _, prediction):
        with pytest.raises(BatchError) as caught:
            await prediction.classify_images(
                project, "nothing", (image_bytes(seed % 9) for seed in range(10_000))
            )
        assert isinstance(caught.value.report.abort_cause, NotFoundError)
        assert len(calls(emulator, "Classify")) < 1000


@pytest.mark.parametrize(("tier", "number"), [("F0", 4), ("S0", 25)])
async def test_the_quota_is_kept_to(tier: str, number: int) -> None:
    """Refusals for rate cost time only."""
    async with published(tier=tier) as (_, project, _, prediction):
        report = await prediction.classify_images(
            project, "production", [image_bytes(seed) for seed in range(number)], store=False
        )
        assert (report.succeeded, report.failed) == (number, 0)


async def test_a_service_that_hangs_is_given_up() -> None:
    """After the read timeout, that image fails."""
    async with published() as (emulator, project, _, _):
        emulator.faults.add("hang", operation="ClassifyImage", times=None)
        options = {
            "timeouts": Timeouts(read=0.2),
            "retry": Retry(max_attempts=2, initial_backoff=0.01),
        }
        async with PredictionClient(
            emulator.endpoint, emulator.prediction_key, **options
        ) as prediction:
            with pytest.raises(RequestTimeout):
                await prediction.classify_image(project, "production", image_bytes(1))


async def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Neither are the signed URLs of the images."""
    caplog.set_level(logging.DEBUG)
    async with published() as (emulator, project, _, prediction):
        address = (await project.list_images().all())[0].original_uri
        await prediction.classify_image(project, "production", address)
        text = "".join(
            record.getMessage()
            for record in caplog.records
            if record.name.startswith("customvision")
        )
        assert emulator.prediction_key not in text
        assert "sig=" not in text


# --- what is kept


async def test_quick_tests_and_kept_predictions() -> None:
    """Stored predictions are listed by tokens, filtered, used as training images, and deleted."""
    async with published() as (emulator, project, iteration, prediction):
        began = datetime.now(UTC) - timedelta(seconds=5)
        await prediction.classify_images(
            project,
            "production",
            [image_bytes(500 + seed) for seed in range(70)],
            application="scales",
        )
        await project.quick_test(image_bytes(600), iteration=iteration)
        await project.quick_test(image_bytes(601), store=False)
        kept = await project.list_predictions().all()
        assert len(kept) == 71
        by_page = [
            len(page)
            async for page in project.list_predictions(page_size=20, order="oldest").by_page()
        ]
        assert by_page == [20, 20, 20, 11]
        assert {
            one.id for one in await project.list_predictions(iteration=iteration, start=began).all()
        } == {one.id for one in kept}
        assert await project.list_predictions(end=began).all() == []
        assert len(await project.list_predictions(application="scales").all()) == 70
        apples = await project.list_predictions(
            tags=[PredictionQueryTag(id=(await project.get_tag("apple")).id, min_threshold=0.5)]
        ).all()
        assert 0 < len(apples) < 71
        assert (
            len(await project.list_predictions(tags=["apple", "pear"], order="suggested").all())
            == 71
        )
        with pytest.raises(LimitExceeded):
            project.list_predictions(tags=["apple", "pear", "plum"])
        report = await project.upload_images(apples[:3], tags=["apple"])
        assert report.succeeded == 3
        assert (await project.delete_predictions(kept)).succeeded == 71
        assert calls(emulator, "DeletePrediction") == ["DeletePrediction"] * 2
        assert await project.list_predictions().all() == []
        assert (await project.delete_predictions([kept[0].id])).succeeded == 1


@pytest.mark.parametrize("version", list(ApiVersion), ids=str)
async def test_quick_tests_are_kept_in_every_version(version: ApiVersion) -> None:
    """Image or URL: listed by pages and by tag, and deleted."""
    async with serving(version) as (_, training):
        project = await project_with_images(training, domain="General")
        iteration = await trained(project)
        address = (await project.list_images(tags=["apple"]).all())[0].original_uri
        for image_or_url in (image_bytes(1), image_bytes(101), address):
            answer = await project.quick_test(image_or_url, iteration=iteration)
            assert {one.tag_name for one in answer.predictions} == {"apple", "pear"}
        kept = await project.list_predictions(page_size=2).all()
        assert len(kept) == 3
        sure = PredictionQueryTag(id=(await project.get_tag("apple")).id, min_threshold=0.9)
        assert len(await project.list_predictions(tags=[sure], iteration=iteration).all()) == 2
        await project.delete_predictions(kept)
        assert await project.list_predictions().all() == []


async def test_a_prediction_that_is_not_there_costs_the_others_nothing() -> None:
    """If the service refuses a whole batch for it, the others are deleted all the same."""
    async with published() as (emulator, project, _, prediction):
        await prediction.classify_images(
            project, "production", [image_bytes(seed) for seed in range(8)]
        )
        kept = await project.list_predictions().all()
        body = b'{"code": "NotFoundInvalid", "message": "no such prediction"}'
        emulator.faults.add("status", operation="DeletePrediction", times=3, status=404, body=body)
        assert (await project.delete_predictions(kept)).succeeded == 8
        assert len(calls(emulator, "DeletePrediction")) > 3


async def test_a_stale_token_is_the_services_error() -> None:
    """The service's code, with the advice to start again."""
    async with published() as (emulator, project, _, prediction):
        await prediction.classify_images(
            project, "production", [image_bytes(seed) for seed in range(5)]
        )

        def spoil(page: dict[str, object]) -> dict[str, object]:
            return page | {"token": {**page["token"], "continuation": "stale"}}

        emulator.faults.add("edit", operation="QueryPredictions", edit=spoil)
        with pytest.raises(BadRequestError, match="Start the query again") as caught:
            await project.list_predictions(page_size=2).all()
        assert caught.value.code == "BadRequestPredictionInvalidQueryParameters"


async def test_tokens_that_lead_nowhere_end() -> None:
    """A service that repeats a page forever is detected."""
    async with published() as (emulator, project, _, prediction):
        await prediction.classify_images(
            project, "production", [image_bytes(seed) for seed in range(3)]
        )
        emulator.faults.add(
            "edit", operation="QueryPredictions", times=None, edit=FirstPageForEver()
        )
        with pytest.raises(DecodeError, match="repeats the same items"):
            await project.list_predictions().all()


class FirstPageForEver:
    """Returns the first page again and again, each time with a token for more."""

    page: dict[str, Any] | None = None

    def __call__(self, page: dict[str, Any]) -> dict[str, Any]:
        """Return the page."""
        self.page = self.page or page
        last = guid_key(self.page["results"][0]["id"])
        return self.page | {
            "token": self.page["token"]
            | {"continuation": base64.b64encode(b"next" + last).decode()}
        }


async def test_sixty_five_predictions_at_once_are_refused_here() -> None:
    """The single request raises the limit. The plural method has none."""
    async with published() as (_, project, _, _):
        with pytest.raises(LimitExceeded, match="64"):
            await project.operations.delete_prediction(project.id, [NOWHERE] * 65)


async def test_suggestions_for_untagged_images() -> None:
    """By pages, counted, for given images, and regions that may hold an object."""
    async with published() as (emulator, project, iteration, _):
        report = await project.upload_images([image_bytes(700 + seed) for seed in range(70)])
        assert report.succeeded == 70
        untagged = await project.list_images(tagged=False).all()
        counts = await project.count_suggested_images(iteration, threshold=0.5)
        assert sum(counts.values()) > 0
        suggested = await project.list_suggested_images(
            iteration, page_size=30, order="least_certain"
        ).all()
        assert {one.id for one in suggested} == {image.id for image in untagged}
        certainty = [one.prediction_uncertainty for one in suggested]
        assert certainty == sorted(certainty, reverse=True)
        apples = await project.list_suggested_images(
            iteration, tags=iter(["apple"]), threshold=0.5, page_size=7
        ).all()
        assert (
            len(apples)
            == (
                await project.count_suggested_images(iteration, tags=["apple"], threshold=0.5)
            ).popitem()[1]
        )
        async with project.suggest_tags_and_regions(iteration, untagged) as run:
            async for result in run:
                assert result.ok
                assert result.value is not None
                assert result.value.id == result.item.id
        assert calls(emulator, "SuggestTagsAndRegions") == ["SuggestTagsAndRegions"] * 2
        proposals = (await project.get_region_proposals(untagged[0])).proposals
        assert proposals[0].confidence >= proposals[-1].confidence
        with pytest.raises(ValueError, match="most_certain"):
            project.list_suggested_images(iteration, order="newest")


async def test_suggestions_that_cannot_be_joined_are_asked_for_one_by_one() -> None:
    """If the id is that of a prediction, as the reference says, each still belongs to its own
    image.
    """
    async with published() as (emulator, project, iteration, _):
        await project.upload_images([image_bytes(700 + seed) for seed in range(5)])
        untagged = await project.list_images(tagged=False).all()

        def rename(found: list[dict[str, object]]) -> list[dict[str, object]]:
            return [
                one | {"id": f"{place:08}-0000-0000-0000-000000000000"}
                for place, one in enumerate(found)
            ]

        emulator.faults.add("edit", operation="SuggestTagsAndRegions", times=None, edit=rename)
        async with project.suggest_tags_and_regions(iteration, untagged) as run:
            results = [result async for result in run]
        assert all(result.ok and result.value is not None for result in results)
        assert len(results) == 5
