"""The methods of ProjectClient over real sockets, in old and new versions of the API.

They delete, tag and untag images, create regions, set metadata, and list and count images.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from customvision_async import (
    ApiVersion,
    BatchError,
    ImageFile,
    LimitExceeded,
    NotFoundError,
    Region,
    UnsupportedOperation,
)

from ..support.emulated_project import VERSIONS, EmulatedProject, project_on_emulator
from ..support.images import image_bytes

pytestmark = pytest.mark.anyio

DETECTION = "ObjectDetection/General"
IMAGES = [image_bytes(seed, size=(24, 16)) for seed in range(300)]


async def filled(one: EmulatedProject, count: int, *tags: str) -> list[str]:
    """Upload `count` images to the project and return their ids."""
    async with one.project.upload_images(IMAGES[:count], tags=tags) as upload:
        ids = [result.image.id async for result in upload if result.image]
    one.forget()
    assert len(ids) == count
    return ids


@pytest.mark.parametrize("version", VERSIONS)
async def test_properties_are_those_of_the_service(version: ApiVersion) -> None:
    """Each call returns the current state, and raises once the project is deleted."""
    async with project_on_emulator(version=version) as one:
        properties = await one.project.get_properties()
        assert (properties.id, properties.name) == (one.project.id, "Orchard")
        await one.training.update_project(one.project, name="Quinces", description="yellow")
        properties = await one.project.get_properties()
        assert (properties.name, properties.description) == ("Quinces", "yellow")
        assert one.asked("GetProject") >= 2
        await one.training.delete_project(one.project)
        with pytest.raises(NotFoundError):
            await one.project.get_properties()


@pytest.mark.parametrize("version", VERSIONS)
async def test_deleting_any_number(version: ApiVersion) -> None:
    """300 images by id, model, UUID and result, some twice: few requests, with URLs under 8 KB."""
    async with project_on_emulator(version=version) as one:
        ids = await filled(one, 300)
        images = await one.images() if version > ApiVersion.V1_2 else ids
        given: list[Any] = [
            *images[:100],
            *(UUID(id) for id in ids[100:200]),
            *(id.upper() for id in ids[200:]),
            *ids,
        ]
        one.forget()
        report = await one.project.delete_images(given)
        assert report.succeeded == len(given)
        assert await one.images() == []
        longest = max(
            len(request.path) + len(request.query)
            for request in one.emulator.requests
            if request.method == "DELETE"
        )
        assert longest < 8_000
        assert one.asked("DeleteImages") <= 3


async def test_results_of_an_upload_can_be_deleted() -> None:
    """The other methods accept the results of an upload. A failed one fails there too, on
    its own.
    """
    async with project_on_emulator() as one:
        async with one.project.upload_images([*IMAGES[:3], b"no image"]) as upload:
            results = [result async for result in upload]
        with pytest.raises(BatchError) as caught:
            await one.project.delete_images(results)
        assert caught.value.report.failed == 1
        assert await one.images() == []


class _Text(str):
    """Text as numpy has it: a subclass of str with its own comparison."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is self

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    "verb", ["tag_images", "untag_images", "update_image_metadata", "delete_images"]
)
async def test_ids_of_a_kind_of_text_are_ids(verb: str) -> None:
    """Ids from an array or a data frame are not plain strings. Every method accepts them."""
    async with project_on_emulator(tags=("a",)) as one:
        given = [_Text(id) for id in await filled(one, 10)]
        rest = (
            ()
            if verb == "delete_images"
            else ({"key": "value"},)
            if verb == "update_image_metadata"
            else (["a"],)
        )
        async with getattr(one.project, verb)(given, *rest) as run:
            results = [(result.ok, result.attempts) async for result in run]
        assert results == [(True, 1)] * 10


@pytest.mark.parametrize("strict", [True, False])
async def test_deleting_what_is_not_there_is_well(strict: bool) -> None:
    """An image that is already gone, or was never there, counts as deleted.

    This holds however the service treats unknown ids. The other images are deleted.
    """
    async with project_on_emulator(strict_ids=strict) as one:
        ids = await filled(one, 40)
        await one.project.delete_images(ids[:5])
        report = await one.project.delete_images([*ids, *(uuid4() for _ in range(3))])
        assert report.succeeded == 43
        assert await one.images() == []


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "verb",
    [
        "delete_images",
        "tag_images",
        "untag_images",
        "create_regions",
        "delete_regions",
        "update_image_metadata",
    ],
)
async def test_a_lost_answer_of_any_verb_leaves_the_exact_state(verb: str, strict: bool) -> None:
    """The request takes effect and its response is lost.

    The request is repeated, every item succeeds, and nothing exists twice.
    """
    async with project_on_emulator(domain=DETECTION, tags=("a", "b"), strict_ids=strict) as one:
        ids = await filled(one, 20)
        boxes = [(id, Region("a", 0.1, 0.1, 0.2, 0.2)) for id in ids]
        if verb in ("untag_images", "delete_regions"):
            await one.project.create_regions(boxes)
        regions = [region for image in await one.images() for region in image.regions]
        arguments = {
            "delete_images": (ids,),
            "tag_images": (ids, ["b"]),
            "untag_images": (ids, ["a"]),
            "create_regions": (boxes,),
            "delete_regions": (regions,),
            "update_image_metadata": (ids, {"k": "v"}),
        }
        operations = (
            "DeleteImages",
            "CreateImageTags",
            "DeleteImageTags",
            "CreateImageRegions",
            "DeleteImageRegions",
            "UpdateImageMetadata",
        )
        one.emulator.faults.add("lost_answer", operation=operations)
        report = await getattr(one.project, verb)(*arguments[verb])
        assert (report.succeeded, report.failed) == (20, 0)
        images = await one.images()
        assert len(images) == (0 if verb == "delete_images" else 20)
        for image in images:
            tags = {"tag_images": 1, "create_regions": 1}.get(verb, 0)
            assert (len(image.tags), len(image.regions)) == (tags, int(verb == "create_regions"))
            assert image.metadata == ({"k": "v"} if verb == "update_image_metadata" else None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_tagging_and_untagging(version: ApiVersion) -> None:
    """100 images and 2 tags take 2 requests. Tagging again reports duplicates."""
    async with project_on_emulator(version=version, tags=("a", "b", "c")) as one:
        ids = await filled(one, 100, "a")
        report = await one.project.tag_images(ids, ["b", "c"])
        assert (report.succeeded, report.duplicates, report.requests) == (100, 0, 2)
        assert await one.tag_counts() == {"a": 100, "b": 100, "c": 100}
        assert (await one.project.tag_images(ids[:10], ["a", "b"])).duplicates == 10
        report = await one.project.untag_images(ids[:70], ["a", "c"])
        assert (report.succeeded, report.requests) == (70, 2)
        assert await one.tag_counts() == {"a": 30, "b": 100, "c": 30}


async def test_many_tags_on_and_off() -> None:
    """45 tags on 3 images, added with 128 pairs per request and removed with 20 tags per request.

    More than 100 tags are refused.
    """
    names = tuple(f"t{number}" for number in range(101))
    async with project_on_emulator(tags=names) as one:
        ids = await filled(one, 3)
        assert (await one.project.tag_images(ids, names[:45])).requests == 2
        assert await one.tag_counts() == dict.fromkeys(names[:45], 3)
        assert (await one.project.untag_images(ids, names[:45])).requests == 3
        assert not await one.tag_counts()
        with pytest.raises(BatchError, match="1 of 1") as caught:
            await one.project.tag_images(ids[:1], names)
        assert "at most 100" in str(caught.value.exceptions[0])


async def test_an_unknown_image_costs_the_others_nothing() -> None:
    """An unknown id, an invalid id and a number fail with their reasons. The others are tagged."""
    async with project_on_emulator(tags=("a",)) as one:
        ids = await filled(one, 30)
        with pytest.raises(BatchError) as caught:
            await one.project.tag_images([*ids[:10], uuid4(), *ids[10:], "no-id", 17], ["a"])
        assert sorted(failure.index for failure in caught.value.report.failures) == [10, 31, 32]
        assert await one.tag_counts() == {"a": 30}


async def test_an_unknown_tag_ends_a_tagging_with_a_word_on_what_there_is() -> None:
    """Nothing is sent. The message lists the existing tags."""
    async with project_on_emulator(tags=("apple", "pear")) as one:
        ids = await filled(one, 2)
        with pytest.raises(BatchError, match=r"aple") as caught:
            await one.project.tag_images(ids, ["aple"])
        assert "'apple', 'pear'" in str(caught.value.exceptions[0])
        assert one.asked("CreateImageTags") == 0


@pytest.mark.parametrize("status", [414, 431])
async def test_urls_that_are_too_long_are_made_shorter(status: int) -> None:
    """A proxy refuses long URLs: later requests have fewer ids, and all images are deleted."""
    async with project_on_emulator() as one:
        ids = await filled(one, 300)
        one.emulator.faults.add("status", operation="DeleteImages", status=status, times=2)
        report = await one.project.delete_images(ids)
        assert report.succeeded == 300
        assert await one.images() == []
        assert report.requests <= 12


async def test_regions_any_number() -> None:
    """150 regions on 10 images take 3 requests, and each result has the id of its region.

    Creating them again reports duplicates. Deleting them takes the tags off the images.
    """
    async with project_on_emulator(domain=DETECTION, tags=("a", "b")) as one:
        ids = await filled(one, 10)
        given = [(ids[n % 10], Region("ab"[n % 2], n / 300, 0.1, 1 / 3, 0.7)) for n in range(150)]
        async with one.project.create_regions(given) as run:
            results = {result.index: result.value async for result in run}
        assert run.report.requests == 3
        by_id = {
            region.region_id: (image.id, region)
            for image in await one.images()
            for region in image.regions
        }
        assert len(by_id) == len(set(results.values())) == 150
        for index, region_id in results.items():
            image_id, region = by_id[str(region_id)]
            assert image_id == given[index][0]
            assert region.left == pytest.approx(given[index][1].left, abs=1e-6)
            assert region.tag_name == given[index][1].tag
        again = await one.project.create_regions(given)
        assert (again.succeeded, again.duplicates) == (150, 150)
        assert (await one.project.delete_regions(results.values())).succeeded == 150
        assert not await one.tag_counts()


async def test_a_bad_region_costs_the_others_nothing() -> None:
    """Each bad region fails on its own.

    It may be outside the image, without area, not a number, of an unknown tag or image, or not a
    pair.
    """
    async with project_on_emulator(domain=DETECTION, tags=("a",)) as one:
        (image,) = await filled(one, 1)
        good = Region("a", 0.1, 0.1, 0.2, 0.2)
        given: list[Any] = [
            (image, Region("a", 0.9, 0, 0.2, 0.1)),
            (image, Region("a", -0.1, 0, 0.2, 0.1)),
            (image, Region("a", 0, 0, 0, 0.1)),
            (image, Region("a", float("nan"), 0, 0.1, 0.1)),
            (image, Region("a", "left", 0, 0.1, 0.1)),
            (image, Region("b", 0, 0, 0.1, 0.1)),
            (uuid4(), good),
            "no pair",
            (image, "no region"),
            (image, good),
            (image, Region("a", 0.5, 0.5, 0.5000005, 0.5000005)),
        ]
        with pytest.raises(BatchError) as caught:
            await one.project.create_regions(given)
        assert sorted(failure.index for failure in caught.value.report.failures) == list(range(9))
        assert len((await one.images())[0].regions) == 2


async def test_metadata_any_number() -> None:
    """150 images, one of them twice, and an unknown id, which fails on its own. A filter finds the
    others.
    """
    async with project_on_emulator() as one:
        ids = await filled(one, 150)
        with pytest.raises(BatchError) as caught:
            await one.project.update_image_metadata([*ids, ids[0], uuid4()], {"camera": "left"})
        assert [failure.index for failure in caught.value.report.failures] == [151]
        assert caught.value.report.failures[0].status == "ErrorImageNotFound"
        assert len(await one.project.list_images(filter="metadata=camera eq 'left'").all()) == 150
        assert await one.project.count_images(filter="metadata=camera eq 'right'") == 0
        with pytest.raises(LimitExceeded):
            one.project.update_image_metadata(ids, {str(n): "" for n in range(11)})


async def test_metadata_of_old_versions_is_refused() -> None:
    """v3.2 has no metadata: the error names the first version that has."""
    async with project_on_emulator(version=ApiVersion.V3_2) as one:
        with pytest.raises(UnsupportedOperation, match=r"v3\.3"):
            one.project.update_image_metadata([], {"a": "b"})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_lists_and_counts(version: ApiVersion, order: Any) -> None:
    """All, tagged, untagged and by tag: each image once, in order, and as many as the count
    says.
    """
    async with project_on_emulator(version=version, tags=("a", "b"), null_lists=True) as one:
        a = await filled(one, 20, "a")
        async with one.project.upload_images(IMAGES[20:50]) as upload:
            plain = [result.image.id async for result in upload if result.image]
        one.forget()
        for wanted, filters in (
            ({*a, *plain}, {}),
            ({*a}, {"tagged": True}),
            ({*plain}, {"tagged": False}),
            ({*a}, {"tags": ["a", "b"]}),
            (set(), {"tags": ["b"]}),
        ):
            images = await one.project.list_images(order=order, page_size=7, **filters).all()
            assert {image.id for image in images} == wanted
            assert len(images) == len(wanted)
            assert await one.project.count_images(**filters) == len(wanted)
            if filters or version >= ApiVersion.V3_3:  # one list, in the order of the service
                created = [image.created for image in images if image.created is not None]
                assert created == sorted(created, reverse=order == "newest")
                assert len(created) == len(images)


async def test_filters_of_more_than_20_tags_are_merged() -> None:
    """45 tags take three lists. An image with tags of several lists is listed once, newest
    first.
    """
    names = tuple(f"t{number}" for number in range(50))
    async with project_on_emulator(tags=names) as one:
        given = [
            ImageFile(data=IMAGES[n], tags=[names[n % 50], names[(n * 7 + 3) % 50]])
            for n in range(100)
        ]
        await one.project.upload_images(given)
        wanted = sum(n % 50 < 45 or (n * 7 + 3) % 50 < 45 for n in range(100))
        one.forget()
        images = await one.project.list_images(tags=names[:45], page_size=20).all()
        assert len({image.id for image in images}) == len(images) == wanted
        assert [image.created for image in images] == sorted(
            (image.created for image in images), reverse=True
        )
        assert await one.project.count_images(tags=names[:45]) == wanted


async def test_deleting_while_listing_over_sockets() -> None:
    """Images are deleted page by page during the listing: none is skipped."""
    async with project_on_emulator() as one:
        ids = await filled(one, 120)
        gone = []
        async for page in one.project.list_images(page_size=10).by_page():
            gone += [image.id for image in page]
            await one.project.delete_images(page)
        assert sorted(gone) == sorted(ids)
        assert await one.images() == []


async def test_uploading_while_listing_over_sockets() -> None:
    """Images are uploaded during the listing: those that were there before are listed once."""
    async with project_on_emulator() as one:
        ids = await filled(one, 100)
        listed = []
        async for page in one.project.list_images(page_size=10).by_page():
            listed += [image.id for image in page]
            if len(listed) < 150:
                await one.project.upload_images(
                    IMAGES[100 + len(listed) % 150 : 108 + len(listed) % 150]
                )
        assert len(listed) == len(set(listed))
        assert set(ids) <= set(listed)


@pytest.mark.parametrize("version", [ApiVersion.V2_1, ApiVersion.V3_0])
async def test_what_is_tagged_between_the_walks_is_listed(version: ApiVersion) -> None:
    """Before v3.3 the tagged images are listed first, then the untagged ones.

    An image that is tagged in between is in neither list, and is listed all the same.
    """
    async with project_on_emulator(version=version, tags=("a",)) as one:
        tagged = await filled(one, 12, "a")
        async with one.project.upload_images(IMAGES[20:50]) as upload:
            plain = [result.image.id async for result in upload if result.image]
        listed = []
        moved = False
        async for page in one.project.list_images(page_size=10).by_page():
            listed += [image.id for image in page]
            if not moved and not {*listed} <= {*tagged}:
                moved = True
                await one.project.tag_images(plain, ["a"])
        assert sorted(listed) == sorted([*tagged, *plain])


async def test_lists_say_what_is_wrong_with_their_arguments() -> None:
    """Page sizes, orders, contradictions, unknown tags, and filters that the version lacks."""
    async with project_on_emulator(tags=("a",)) as one:
        with pytest.raises(LimitExceeded, match="256"):
            one.project.list_images(page_size=257)
        with pytest.raises(ValueError, match="newest"):
            one.project.list_images(order="upwards")
        with pytest.raises(ValueError, match="untagged"):
            one.project.list_images(tagged=False, tags=["a"])
        with pytest.raises(TypeError, match=r"\['a'\]"):
            one.project.list_images(tags="a")
        with pytest.raises(LookupError, match="no tag 'b'"):
            await one.project.list_images(tags=["b"]).all()
    async with project_on_emulator(version=ApiVersion.V3_0) as one:
        with pytest.raises(UnsupportedOperation, match=r"v3\.3"):
            await one.project.list_images(filter="metadata=a eq 'b'").all()


async def test_an_empty_project_is_an_empty_list() -> None:
    """No images and no tags: empty lists, without an error."""
    for version in VERSIONS:
        async with project_on_emulator(version=version, null_lists=True) as one:
            assert await one.images() == []
            assert await one.project.count_images() == 0
            assert await one.tags() == {}


async def test_one_image() -> None:
    """An image by its id. NotFoundError if it does not exist."""
    async with project_on_emulator() as one:
        (image,) = await filled(one, 1)
        assert (await one.project.get_image(image)).id == image
        with pytest.raises(NotFoundError):
            await one.project.get_image(uuid4())
    async with project_on_emulator(version=ApiVersion.V1_2) as one:
        with pytest.raises(UnsupportedOperation, match=r"v2\.0"):
            await one.project.get_image(uuid4())


async def test_tags_one_at_a_time() -> None:
    """Create, get by name, update a part, and delete. A name takes precedence over an id."""
    async with project_on_emulator() as one:
        tag = await one.project.create_tag("apple", description="round")
        assert (
            (await one.project.get_tag("apple")).id
            == (await one.project.get_tag(tag)).id
            == (await one.project.get_tag(UUID(tag.id))).id
        )
        renamed = await one.project.update_tag("apple", name="pear")
        assert (renamed.id, renamed.name, renamed.description) == (tag.id, "pear", "round")
        odd = await one.project.create_tag(tag.id)
        assert (await one.project.get_tag(tag.id)).id == odd.id
        await one.project.delete_tag("pear")
        with pytest.raises(LookupError, match="'pear'"):
            await one.project.get_tag("pear")


async def test_a_tag_named_like_a_uuid() -> None:
    """A string is the name of a tag if one has that name, or else an id."""
    name = str(uuid4())
    async with project_on_emulator(tags=("a", name)) as one:
        ids = await one.tags()
        await one.project.upload_images(
            [ImageFile(data=IMAGES[0], tags=[name]), ImageFile(data=IMAGES[1], tags=[ids["a"]])]
        )
        assert await one.tag_counts() == {name: 1, "a": 1}
        with pytest.raises(BatchError):
            await one.project.upload_images(
                [ImageFile(data=IMAGES[2], tags=[uuid4()])], create_missing_tags=True
            )
        assert await one.tag_counts() == {name: 1, "a": 1}
        assert len(await one.tags()) == 2


async def test_missing_tags_are_made_once_each() -> None:
    """100 images of 10 new tags, in chunks: one request per new tag."""
    async with project_on_emulator() as one:
        given = [ImageFile(data=IMAGES[n], tags=[f"t{n % 10}"]) for n in range(100)]
        report = await one.project.upload_images(given, create_missing_tags=True)
        assert report.succeeded == 100
        assert await one.tag_counts() == {f"t{n}": 10 for n in range(10)}
        assert (one.asked("CreateTag"), one.asked("GetTags")) == (10, 2)


@pytest.mark.parametrize(
    "kind", ["lost_answer", "truncated_answer", "reset", "status", "garbage", "html"]
)
async def test_making_tags_survives_lost_answers(kind: Any) -> None:
    """Whether the response is lost or the tag is not created, one tag exists in the end."""
    async with project_on_emulator() as one:
        one.emulator.faults.add(kind, operation="CreateTag")
        await one.project.upload_images(
            [ImageFile(data=IMAGES[0], tags=["new"])], create_missing_tags=True
        )
        assert await one.tag_counts() == {"new": 1}
        assert len(await one.tags()) == 1


async def test_making_tags_survives_races() -> None:
    """Concurrent uploads create the same tags, once in upper case: one tag each, and no image
    fails.
    """
    async with project_on_emulator() as one:
        runs = [
            one.project.upload_images(
                [
                    ImageFile(
                        data=IMAGES[10 * turn + n], tags=[f"{'TAG' if turn == 3 else 'tag'}{n}"]
                    )
                    for n in range(8)
                ],
                create_missing_tags=True,
            )
            for turn in range(4)
        ]
        reports = await asyncio.gather(*runs)
        assert [report.succeeded for report in reports] == [8] * 4
        assert sum((await one.tag_counts()).values()) == 32
        assert len(await one.tags()) == 8


async def test_a_tag_that_cannot_be_made_costs_its_own_images_alone() -> None:
    """Names that are too long, contain a line break or make the service fail: the others are
    uploaded.
    """
    async with project_on_emulator(tier=None) as one:
        names = ["good", "x" * 300, "line\nbreak", " ", "poison"]
        given = [ImageFile(data=IMAGES[n], tags=[name]) for n, name in enumerate(names)]
        choke(one)
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(given, create_missing_tags=True)
        assert sorted(failure.index for failure in caught.value.report.failures) == [1, 2, 3, 4]
        assert await one.tag_counts() == {"good": 1}


def choke(one: EmulatedProject) -> None:
    """Let the service fail for every request that creates a tag named "poison"."""
    strike = one.emulator.faults.strike

    def struck(operation: str) -> Any:
        if operation == "CreateTag" and "poison" in one.emulator.requests[-1].query:
            one.emulator.faults.add("status", operation="CreateTag", status=500)
        return strike(operation)

    one.emulator.faults.strike = struck
