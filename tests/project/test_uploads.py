"""Uploads over real sockets: chunks, encodings, joining by name, duplicates, tags and regions, in
old and new versions.
"""

from __future__ import annotations

import asyncio
import io
import os
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from customvision_async import (
    ApiVersion,
    BatchError,
    Concurrency,
    ImageFile,
    ImageUrl,
    LimitExceeded,
    Region,
    Retry,
    TrainingClient,
    images_in,
)
from customvision_async._transport.base import Request, Response
from customvision_async.models import ImageFromPrediction

from ..support.emulated_project import QUICK, VERSIONS, EmulatedProject, project_on_emulator
from ..support.images import image_bytes

pytestmark = pytest.mark.anyio

DETECTION = "ObjectDetection/General"
IMAGES = [image_bytes(seed, size=(24, 16)) for seed in range(140)]


def files(count: int, **given: Any) -> list[ImageFile]:
    """Images in memory, each different."""
    return [
        ImageFile(data=IMAGES[number], name=f"{number}.jpg", **given) for number in range(count)
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_any_number_goes_up_in_full_chunks(version: ApiVersion) -> None:
    """140 images of one tag: three calls of raw bytes, each result with its own image, in every
    version.
    """
    async with project_on_emulator(version=version, tags=("apple",)) as one:
        report = await one.project.upload_images(files(140), tags=["apple"])
        assert (report.succeeded, report.duplicates, report.failed) == (140, 0, 0)
        assert one.asked("CreateImagesFromData") == one.asked() == report.requests == 3
        assert await one.tag_counts() == {"apple": 140}


@pytest.mark.parametrize("version", VERSIONS)
async def test_results_are_joined_by_name_though_the_service_shuffles(version: ApiVersion) -> None:
    """Each result has the image of its own image, told by its size, whatever names the caller
    gave: quotes, or all the same.
    """
    sizes = [(20 + number, 20) for number in range(70)]
    given = [
        ImageFile(
            data=image_bytes(n, size=size),
            name='a "quoted" \\ name' if n % 2 else "same",
            tags=["b"] if n % 3 else ["a"],
        )
        for n, size in enumerate(sizes)
    ]
    async with project_on_emulator(
        version=version, tags=("a", "b"), concurrency=Concurrency(max_uploads=2)
    ) as one:
        async with one.project.upload_images(given) as upload:
            results = [result async for result in upload]
        assert sorted(result.index for result in results) == list(range(70))
        for result in results:
            assert result.item is given[result.index]
            assert result.image is not None
            assert (result.image.width, result.image.height) == sizes[result.index]


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
async def test_names_come_back_in_any_form(quoted: bool, shuffle: bool) -> None:
    """With quotes or without, shuffled or not."""
    async with project_on_emulator(quoted_file_names=quoted, shuffle_results=shuffle) as one:
        async with one.project.upload_images(files(64)) as upload:
            async for result in upload:
                assert result.ok
        assert one.asked() == 1


def without(place: int) -> Callable[[Any], Any]:
    """An answer that lacks a result."""

    def edit(answer: Any) -> Any:
        del answer["images"][place]
        return answer

    return edit


def with_more(answer: Any) -> Any:
    """An answer with results nobody asked for."""
    other = {
        "sourceUrl": '"stranger"',
        "status": "OK",
        "image": {"id": str(uuid4()), "created": "2026-01-01T00:00:00"},
    }
    return {
        **answer,
        "images": [other, *answer["images"], {"sourceUrl": None, "status": "ErrorSource"}],
    }


def twice(answer: Any) -> Any:
    """An answer that says two things of each image."""
    bad = [
        {**result, "status": "ErrorImageFormat", "image": None} for result in answer["images"][:5]
    ]
    return {**answer, "images": bad + answer["images"]}


def unknown_status(answer: Any) -> Any:
    """A status of tomorrow."""
    answer["images"][0] |= {"status": "ErrorTooPretty", "image": None}
    return answer


@pytest.mark.parametrize(
    "edit",
    [without(0), without(-1), with_more, twice],
    ids=["first-missing", "last-missing", "more", "twice"],
)
async def test_an_answer_that_does_not_fit_costs_nobody_the_wrong_outcome(
    edit: Callable[[Any], Any],
) -> None:
    """Results missing, extra or contradictory: what is not said is asked again, and is a duplicate
    of our own making.
    """
    async with project_on_emulator(tags=("a",)) as one:
        one.emulator.faults.add("edit", edit=edit, operation="CreateImagesFromData")
        report = await one.project.upload_images(files(20), tags=["a"])
        assert report.succeeded == 20
        assert len(await one.images()) == 20
        assert await one.tag_counts() == {"a": 20}


async def test_an_unknown_status_is_kept_as_it_is() -> None:
    """A status that no version documents: the item failed, with that word; the others landed."""
    async with project_on_emulator() as one:
        one.emulator.faults.add("edit", edit=unknown_status)
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(files(5))
        (failure,) = caught.value.report.failures
        assert failure.status == "ErrorTooPretty"
        assert "ErrorTooPretty" in str(failure.error)


async def test_all_kinds_go_together_in_one_call(tmp_path: Path) -> None:
    """Files, paths, bytes, open files, URLs, predictions (models and ids) in one upload, each to
    its operation, indexes right.
    """
    path = tmp_path / "on-disk.jpg"
    path.write_bytes(IMAGES[0])
    async with project_on_emulator(tags=("a",)) as one:
        await one.project.upload_images(files(2))
        images = {image.id: image for image in await one.images()}
        ids = await predicted(one, IMAGES[10:13])
        with open(path, "rb") as opened, io.BytesIO(b"skip" + IMAGES[4]) as stream:
            stream.seek(4)
            given = [
                str(path),
                path,
                IMAGES[1],
                bytearray(IMAGES[2]),
                memoryview(IMAGES[3]),
                opened,
                stream,
                ImageUrl(f"{next(iter(images.values())).original_uri}"),
                ImageUrl("http://127.0.0.1:9/nothing-there"),
                UUID(ids[0]),
                ImageFromPrediction(ids[1].upper(), tags=["a"]),
                ImageFromPrediction(ids[2]),
                ImageFile(data=IMAGES[5], tags=["a"]),
                ImageFile(data=IMAGES[6], metadata={"k": "v"}),
            ]
            async with one.project.upload_images(given) as upload:
                results = {result.index: result async for result in upload}
        assert sorted(results) == list(range(len(given)))
        assert [index for index, result in results.items() if not result.ok] == [8]
        assert results[8].status == "ErrorSource"
        assert one.asked("CreateImagesFromUrls") == 1
        assert one.asked("CreateImagesFromPredictions") >= 1
        assert {results[index].image.id for index in (0, 1, 5)} == {results[0].image.id}
        assert results[7].duplicate


async def predicted(one: EmulatedProject, images: list[bytes]) -> list[str]:
    """The ids of stored predictions of images."""
    taught = [
        ImageFile(data=data, tags=["x" if n % 2 else "y"]) for n, data in enumerate(IMAGES[100:112])
    ]
    await one.project.upload_images(taught, create_missing_tags=True)
    iteration = await one.project.begin_training()
    quick_test = one.project.operations.quick_test_image
    return [
        (await quick_test(one.project.id, data, iteration_id=iteration.id, store=True)).id
        for data in images
    ]


@pytest.mark.parametrize("has_image", [True, False])
@pytest.mark.parametrize("merges", [True, False])
@pytest.mark.parametrize("success", [True, False])
async def test_duplicates_are_marked_and_their_tags_ensured(
    has_image: bool, merges: bool, success: bool
) -> None:
    """An image that was there is a success, marked; its new tags are on it, or the item says that
    they could not be ensured.
    """
    async with project_on_emulator(
        tags=("old", "new"),
        duplicate_has_image=has_image,
        duplicate_merges_tags=merges,
        duplicate_is_success=success,
    ) as one:
        await one.project.upload_images(files(5), tags=["old"])
        async with one.project.upload_images(files(10), tags=["new"]) as upload:
            results = sorted([result async for result in upload], key=lambda result: result.index)
        assert [result.duplicate for result in results] == [has_image] * 5 + [False] * 5
        assert [result.ok for result in results] == [has_image] * 5 + [True] * 5
        assert len(await one.images()) == 10
        if has_image:
            assert await one.tag_counts() == {"old": 5, "new": 10}
            assert upload.report.duplicates == 5
        else:
            assert all("list_images" in str(result.error) for result in results[:5])


async def test_a_duplicate_without_wishes_needs_no_more_calls() -> None:
    """Untagged images that are there: one call, marked, a success also where the service names no
    image.
    """
    async with project_on_emulator(duplicate_has_image=False) as one:
        await one.project.upload_images(files(3))
        one.forget()
        report = await one.project.upload_images(files(3))
        assert (report.succeeded, report.duplicates, report.requests) == (3, 3, 1)


@pytest.mark.parametrize("twice_is_duplicate", [True, False])
async def test_the_same_image_twice_in_a_batch(twice_is_duplicate: bool) -> None:
    """Both land; where the service takes the second for a duplicate it is marked, and has the tags
    of both.
    """
    async with project_on_emulator(tags=("a", "b"), duplicates_in_batch=twice_is_duplicate) as one:
        given = [ImageFile(data=IMAGES[0], tags=["a"]), ImageFile(data=IMAGES[0], tags=["b"])]
        report = await one.project.upload_images(given)
        assert report.succeeded == 2
        assert report.duplicates == twice_is_duplicate
        assert await one.tag_counts() == {"a": 1, "b": 1}
        assert len(await one.images()) == (1 if twice_is_duplicate else 2)


@pytest.mark.parametrize("has_image", [True, False])
@pytest.mark.parametrize("kind", ["lost_answer", "truncated_answer", "html", "garbage"])
async def test_our_own_repeat_is_no_duplicate(kind: str, has_image: bool) -> None:
    """The answer is lost after the effect: the repeat meets its own images, which were not there
    before; nothing is doubled.
    """
    async with project_on_emulator(tags=("a", "b"), duplicate_has_image=has_image) as one:
        await one.project.upload_images(files(3), tags=["b"])
        one.emulator.faults.add(kind, operation="CreateImagesFromData", effect=True)
        given = [ImageFile(data=data, tags=["a"]) for data in IMAGES[3:23]]
        report = await one.project.upload_images(given)
        assert (report.succeeded, report.duplicates, report.in_doubt) == (20, 0, 20)
        assert len(await one.images()) == 23
        assert await one.tag_counts() == {"a": 20, "b": 3}


async def test_a_real_duplicate_is_told_from_our_own_repeat() -> None:
    """Old and new images in a call whose answer is lost: those from before are duplicates, ours
    are not.
    """
    async with project_on_emulator(tags=("a",)) as one:
        await one.project.upload_images(files(5))
        images = one.emulator._resource.state.db
        images.execute("UPDATE images SET created = created - 600 * 10000000")
        one.emulator.faults.add("lost_answer", operation="CreateImagesFromData")
        async with one.project.upload_images(files(10), tags=["a"]) as upload:
            marked = {result.index async for result in upload if result.duplicate}
        assert marked == set(range(5))
        assert await one.tag_counts() == {"a": 10}


async def test_without_de_duplication_what_may_be_double_is_in_doubt() -> None:
    """A service that knows no duplicates: a lost answer doubles images, at most those that are
    reported as in doubt.
    """
    async with project_on_emulator(deduplicate=False) as one:
        one.emulator.faults.add("lost_answer", operation="CreateImagesFromData")
        report = await one.project.upload_images(files(100))
        assert report.succeeded == 100
        assert len(await one.images()) - 100 <= report.in_doubt == 64


@pytest.mark.parametrize("count", [20, 21, 45, 100])
@pytest.mark.parametrize("version", [ApiVersion.V1_2, ApiVersion.V3_3])
async def test_more_tags_on_an_image_than_a_call_takes(count: int, version: ApiVersion) -> None:
    """20 go with the image, the rest follow; other images keep their full chunks."""
    names = tuple(f"t{number}" for number in range(count))
    async with project_on_emulator(version=version, tags=names) as one:
        given = [ImageFile(data=IMAGES[0], tags=names), *files(30)[1:]]
        report = await one.project.upload_images(given)
        assert report.succeeded == 30
        tagged = [image for image in await one.images() if image.tags]
        assert [len(image.tags) for image in tagged] == [count]
        assert one.asked("CreateImageTags", "PostImageTags") == (count > 20)


async def test_too_many_tags_or_regions_on_an_image_are_refused_before_anything_is_sent() -> None:
    """101 tags, 301 regions: LimitExceeded for that image; its neighbours land."""
    names = tuple(f"t{number}" for number in range(101))
    boxes = [Region("t0", number / 1000, 0, 0.1, 0.1) for number in range(301)]
    async with project_on_emulator(domain=DETECTION, tags=names) as one:
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(
                [
                    ImageFile(data=IMAGES[0], tags=names),
                    ImageFile(data=IMAGES[1], regions=boxes),
                    IMAGES[2],
                ]
            )
        causes = [
            failure.error.__cause__ for failure in caught.value.report.failures if failure.error
        ]
        assert [type(cause) for cause in causes] == [LimitExceeded, LimitExceeded]
        assert len(await one.images()) == 1


async def test_a_chunk_never_has_more_than_20_distinct_tags() -> None:
    """60 images with 3 of 30 tags each, some of them in regions: every call keeps the limit,
    counted over entries and regions.
    """
    names = tuple(f"t{number}" for number in range(30))
    given = [
        ImageFile(
            data=IMAGES[n],
            tags=[names[n % 30]],
            regions=[Region(names[(n * 7) % 30], 0, 0, 0.5, 0.5)],
        )
        for n in range(60)
    ]
    async with project_on_emulator(domain=DETECTION, tags=names) as one:
        report = await one.project.upload_images(given)
        assert report.succeeded == 60
        assert one.asked() <= 8


@pytest.mark.parametrize("version", [version for version in VERSIONS if version > ApiVersion.V1_2])
async def test_regions_are_on_their_images_once(version: ApiVersion) -> None:
    """With the image; for duplicates afterwards, without doubles; 25 tags of regions on one
    image too.
    """
    names = tuple(f"t{number}" for number in range(25))
    boxes = [
        Region(name, 0.01 * number, 0.1, 1 / 3, 0.123456789) for number, name in enumerate(names)
    ]
    async with project_on_emulator(domain=DETECTION, version=version, tags=names) as one:
        await one.project.upload_images(
            [ImageFile(data=IMAGES[0], regions=boxes[:3]), ImageFile(data=IMAGES[1])]
        )
        for _ in range(2):
            given = [
                ImageFile(data=IMAGES[0], regions=boxes),
                ImageFile(data=IMAGES[1], regions=boxes[:2]),
            ]
            report = await one.project.upload_images(
                [*given, ImageFile(data=IMAGES[2], regions=boxes[5:])]
            )
            assert report.succeeded == 3
        counts = {len(image.regions) for image in await one.images()}
        assert counts == {25, 2, 20}


async def test_regions_in_v1_2_are_refused_by_item() -> None:
    """v1.2 has no regions: that image fails, and says since when there are; the others land."""
    async with project_on_emulator(version=ApiVersion.V1_2, tags=("a",)) as one:
        given = [
            ImageFile(data=IMAGES[0], regions=[Region("a", 0, 0, 1, 1)]),
            ImageFile(data=IMAGES[1], metadata={"a": "b"}),
            IMAGES[2],
        ]
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(given)
        first, second = (str(failure.error) for failure in caught.value.report.failures)
        assert "v2.0" in first
        assert "v3.3" in second
        assert len(await one.images()) == 1


@pytest.mark.parametrize("merges", [True, False])
async def test_metadata_goes_with_the_images_and_onto_duplicates(merges: bool) -> None:
    """Images of the same metadata share a call; a duplicate gets it too."""
    async with project_on_emulator(duplicate_merges_tags=merges) as one:
        await one.project.upload_images(files(2))
        one.forget()
        given = [
            ImageFile(data=data, metadata={"source": str(n % 2)})
            for n, data in enumerate(IMAGES[:20])
        ]
        report = await one.project.upload_images(given)
        assert (report.succeeded, report.duplicates) == (20, 2)
        assert one.asked() == 2
        found = Counter(image.metadata["source"] for image in await one.images() if image.metadata)
        assert found == {"0": 10, "1": 10}


async def test_bodies_stay_under_the_limit_whatever_the_mixture() -> None:
    """Random bytes of 300 KB in 30 tag sets, chunks of 1 MB at most: no body is larger, also not as
    base64 in a mixture.
    """
    names = tuple(f"t{number}" for number in range(10))
    given = [
        ImageFile(data=IMAGES[n] + os.urandom(300_000), tags=[names[n % 10]]) for n in range(30)
    ]
    async with project_on_emulator(
        tags=names, concurrency=Concurrency(max_chunk_bytes=1_000_000)
    ) as one:
        assert (await one.project.upload_images(given)).succeeded == 30
        sizes = [
            request.body_bytes
            for request in one.emulator.requests
            if request.operation.startswith("CreateImagesFrom")
        ]
        assert max(sizes) <= 1_000_000
        assert len(sizes) <= 15


async def test_identical_urls_never_share_a_call() -> None:
    """Answers to URLs are joined by the URL: the same one twice goes in two calls, and both results
    are right.
    """
    async with project_on_emulator(tags=("a", "b")) as one:
        await one.project.upload_images(files(1))
        url = (await one.images())[0].original_uri
        assert url is not None
        given = [
            ImageUrl(url, tags=["a"]),
            ImageUrl(url, tags=["b"]),
            ImageUrl("http://127.0.0.1:9/x"),
        ]
        async with one.project.upload_images(given) as upload:
            ok = {result.index: result.ok async for result in upload}
        assert ok == {0: True, 1: True, 2: False}
        assert await one.tag_counts() == {"a": 1, "b": 1}


@pytest.mark.parametrize("kind", ["ErrorUnknown", 400, 408, 413, 500])
@pytest.mark.parametrize("bad", [0, 37, 63])
async def test_a_bad_image_is_found_by_halving(kind: str | int, bad: int) -> None:
    """A refusal that names no image: halves are sent until the bad one stands alone.

    Every other lands; the requests are few.
    """
    poison = IMAGES[bad]
    async with project_on_emulator(retry=Retry(max_attempts=1)) as one:
        spoil(poison, kind)
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(files(64))
        report = caught.value.report
        assert [failure.index for failure in report.failures] == [bad]
        assert report.succeeded == 63
        alone = 2 if kind == "ErrorUnknown" else 1
        assert one.asked() == report.requests == 1 + 2 * 6 + alone - 1
        assert len(await one.images()) == 63


def spoil(poison: bytes, kind: str | int) -> None:
    """Whatever batch has this image in it is refused whole."""
    from customvision_async.emulator._api_request import HANDLERS, ApiRequest, ApiResponse

    real = HANDLERS["CreateImagesFromData"]

    def handler(request: ApiRequest) -> ApiResponse:
        if poison not in bytes(request.body):
            return real(request)
        if isinstance(kind, int):
            return ApiResponse(kind, {"code": "BadRequest", "message": "Bad Request"})
        from customvision_async.emulator._bodies import parse_multipart

        names = [part.filename for part in parse_multipart(request.body, request.content_type)]
        results = [{"sourceUrl": f'"{name}"', "status": kind, "image": None} for name in names]
        return ApiResponse(207, {"isBatchSuccessful": False, "images": results})

    HANDLERS["CreateImagesFromData"] = handler


@pytest.fixture(autouse=True)
def _handlers() -> Any:
    """Put the emulator's handlers back."""
    from customvision_async.emulator._api_request import HANDLERS

    before = dict(HANDLERS)
    yield
    HANDLERS.clear()
    HANDLERS.update(before)


@pytest.mark.parametrize(
    "switches",
    [
        {"spoiled_batches": True},
        {"all_bad_is_400": True},
        {"multi_status": False},
        {"failed_image_is_null": False},
    ],
)
async def test_bad_images_among_good_ones(switches: dict[str, bool]) -> None:
    """Seven that pass our look and not the service's, among 100: exactly these fail, in whatever
    way the service tells.
    """
    broken = b"\xff\xd8\xff" + b"no image after all"
    given = [
        ImageFile(data=broken + bytes([n]), name=f"bad{n}") if n % 15 == 7 else data
        for n, data in enumerate(IMAGES[:100])
    ]
    async with project_on_emulator(retry=QUICK, **switches) as one:
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(given)
        assert sorted(failure.index for failure in caught.value.report.failures) == list(
            range(7, 100, 15)
        )
        assert len(await one.images()) == 93
        assert one.asked() <= 2 + 2 * 6 * 8


async def test_a_client_that_is_closed_ends_the_run() -> None:
    """Not one failure after another for as long as the source gives; and nothing is in doubt that
    was never sent.
    """

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield IMAGES[0]

    async with project_on_emulator() as one:
        await one.training.aclose()
        run = one.project.upload_images(endless())
        with pytest.raises(BatchError, match="the client is closed"):
            await asyncio.wait_for(run, 10)
        assert run.report.in_doubt == 0


class _Stuck:
    """A service that takes no request to its end."""

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async def aclose(self) -> None:
        pass


async def test_small_files_that_wait_for_a_slow_service_do_not_pile_up_in_memory(
    tmp_path: Path,
) -> None:
    """2,000 files of 30 KB are 60 MB; with all of them under way at once, no more than a third of
    that is in memory.
    """
    for number in range(2000):
        with (tmp_path / f"{number}.jpg").open("wb") as file:
            file.write(IMAGES[0])
            file.truncate(30_000)
    tracemalloc.start()
    try:
        training = TrainingClient(
            "https://example.com",
            "0" * 32,
            transport=_Stuck(),
            concurrency=Concurrency(initial_requests=64),
        )
        async with (
            training,
            training.get_project_client(uuid4()).upload_images(images_in(tmp_path)) as run,
        ):
            while run.progress.submitted < 2000:
                await asyncio.sleep(0.01)
            held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000_000
    assert run.report.pending == 2000
