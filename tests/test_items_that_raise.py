"""One bad item costs only itself: good and bad items in any mixture, for every verb over many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import (
    BatchError,
    BatchRun,
    ImageFile,
    ItemResult,
    PredictionClient,
    ProjectClient,
    Region,
)

from .support import virtual_network as virtual
from .support.emulated_project import EmulatedProject, project_on_emulator
from .support.fake_service import Service
from .support.images import image_bytes
from .support.rubbish import (
    BAD_FILES,
    BAD_IDS,
    BAD_IMAGES,
    BAD_REGIONS,
    ERRORS,
    IMAGE,
    LONG_NAME,
    LateFile,
    raising,
)
from .support.trained_project import project_with_images, serving, trained

Project = Callable[[ProjectClient, Service], Awaitable[None]]
Mixture = list[int | None]
"""The index of the bad item, or None for a good one, for each item."""


def on_a_project(play: Project, error: Callable[[], BaseException] = ERRORS[0]) -> None:
    """Run with a project of three tags on the fake service, in virtual time.

    Bad items raise `error`.
    """
    service = Service(Random(1))
    for name in ("tag0", "tag1", "tag2"):
        service.add_tag(name)

    async def main() -> None:
        async with virtual.client_of(service, "client") as training:
            await play(training.get_project_client(service.project_id), service)

    with raising(error):
        virtual.run(main())
    assert not service.violations


def mixtures(bad: tuple[Callable[[], Any], ...]) -> st.SearchStrategy[Mixture]:
    """Generate good items with bad ones among them, in any order."""
    one = st.none() | st.none() | st.integers(0, len(bad) - 1)
    return st.lists(one, max_size=90)


async def judged(
    run: BatchRun[Any, Any], mixture: Mixture, *, watch: bool
) -> dict[int, ItemResult[Any, Any]]:
    """Finish a run. Check that exactly the bad items fail, with a reason, and that the counts are
    exact.
    """
    bad = [place for place, which in enumerate(mixture) if which is not None]
    results: dict[int, ItemResult[Any, Any]] = {}
    if watch:
        async with run:
            async for result in run:
                assert result.index not in results
                results[result.index] = result
        assert sorted(results) == list(range(len(mixture)))
        assert [place for place in sorted(results) if not results[place].ok] == bad
    else:
        said: BatchError | None = None
        try:
            await run
        except BatchError as error:
            said = error
        assert bool(bad) == ("items failed" in str(said))
    report = run.report
    assert report.abort_cause is None
    assert report.submitted == report.succeeded + report.failed + report.skipped + report.pending
    assert (report.submitted, report.failed, report.pending) == (len(mixture), len(bad), 0)
    assert sorted(failure.index for failure in report.failures) == bad
    for failure in report.failures:
        assert str(failure)
        assert str(failure.error)
    return results


@settings(max_examples=60, deadline=None)
@given(mixtures(BAD_IMAGES), st.booleans(), st.booleans(), st.sampled_from(ERRORS))
def test_bad_images_fail_alone(
    mixture: Mixture, create: bool, watch: bool, error: Callable[[], BaseException]
) -> None:
    """Every good image has its tags, region and metadata. Each bad one fails on its own."""

    def item(place: int, which: int | None) -> Any:
        if which is not None:
            return BAD_IMAGES[which]()
        return ImageFile(
            data=IMAGE + b"%d" % place,
            tags=["tag0", f"tag{place % 3}"],
            regions=[Region("tag1", 0.1, 0.1, 0.2, 0.2)] if place % 5 == 0 else [],
            metadata={"place": str(place % 2)} if place % 7 == 0 else None,
        )

    async def play(project: ProjectClient, service: Service) -> None:
        items = [item(place, which) for place, which in enumerate(mixture)]
        await judged(project.upload_images(items, create_missing_tags=create), mixture, watch=watch)
        stored = {image.content: image for image in service.images.values()}
        assert len(stored) == mixture.count(None)
        for place, which in enumerate(mixture):
            if which is None:
                image = stored[IMAGE + b"%d" % place]
                wanted = {"tag0", f"tag{place % 3}"} | ({"tag1"} if place % 5 == 0 else set())
                assert image.tags.keys() == {service.tags[name] for name in wanted}
                assert len(image.regions) == (place % 5 == 0)
                assert image.metadata == ({"place": str(place % 2)} if place % 7 == 0 else {})

    on_a_project(play, error)


def _images(service: Service, count: int) -> list[str]:
    return [service.add_image(b"%d" % number, [service.tags["tag2"]]).id for number in range(count)]


VERBS: dict[str, Callable[[ProjectClient, list[Any]], BatchRun[Any, Any]]] = {
    "tag": lambda project, ids: project.tag_images(ids, ["tag0"]),
    "untag": lambda project, ids: project.untag_images(ids, ["tag2"]),
    "metadata": lambda project, ids: project.update_image_metadata(ids, {"k": "v"}),
    "delete": lambda project, ids: project.delete_images(ids),
}
CHANGED: dict[str, Callable[[Service, str], bool]] = {
    "tag": lambda service, id: service.tags["tag0"] in service.images[id].tags,
    "untag": lambda service, id: not service.images[id].tags,
    "metadata": lambda service, id: service.images[id].metadata == {"k": "v"},
    "delete": lambda service, id: id not in service.images,
}


@pytest.mark.parametrize("verb", VERBS)
@settings(max_examples=25, deadline=None)
@given(mixture=mixtures(BAD_IDS), watch=st.booleans(), error=st.sampled_from(ERRORS))
def test_bad_ids_fail_alone(
    verb: str, mixture: Mixture, watch: bool, error: Callable[[], BaseException]
) -> None:
    """Every good id is processed. Each bad one fails on its own."""

    async def play(project: ProjectClient, service: Service) -> None:
        ids = _images(service, len(mixture))
        items = [
            id if which is None else BAD_IDS[which]()
            for id, which in zip(ids, mixture, strict=True)
        ]
        await judged(VERBS[verb](project, items), mixture, watch=watch)
        for id, which in zip(ids, mixture, strict=True):
            assert CHANGED[verb](service, id) == (which is None)

    on_a_project(play, error)


BAD_PAIRS: tuple[Callable[[str], Any], ...] = (
    *(lambda id, make=make: (id, make()) for make in BAD_REGIONS),  # type: ignore[misc]
    *(lambda id, make=make: (make(), Region("tag0", 0, 0, 1, 1)) for make in BAD_IDS),  # type: ignore[misc]
    *(lambda id, make=make: make() for make in BAD_IDS),  # type: ignore[misc]
    lambda id: (id,),
    lambda id: (id, id, id),
)


@settings(max_examples=40, deadline=None)
@given(mixtures(BAD_PAIRS), st.booleans(), st.sampled_from(ERRORS))
def test_bad_regions_fail_alone(
    mixture: Mixture, watch: bool, error: Callable[[], BaseException]
) -> None:
    """Every good region is created, and can be deleted beside invalid ids."""

    async def play(project: ProjectClient, service: Service) -> None:
        ids = _images(service, len(mixture))
        items = [
            (id, Region("tag0", 0.1, 0.1, 0.5, 0.5)) if which is None else BAD_PAIRS[which](id)
            for id, which in zip(ids, mixture, strict=True)
        ]
        results = await judged(project.create_regions(items), mixture, watch=watch)
        for id, which in zip(ids, mixture, strict=True):
            assert len(service.images[id].regions) == (which is None)
        if watch:
            bad = [None if which is None else which % len(BAD_IDS) for which in mixture]
            regions = [
                results[place].value if which is None else BAD_IDS[which]()
                for place, which in enumerate(bad)
            ]
            await judged(project.delete_regions(regions), bad, watch=False)
            assert not any(image.regions for image in service.images.values())

    on_a_project(play, error)


def test_every_bad_image_says_what_is_wrong() -> None:
    """Each has its own reason, which is more than the type of an exception."""

    async def play(project: ProjectClient, service: Service) -> None:
        mixture: Mixture = list(range(len(BAD_IMAGES)))
        run = project.upload_images([make() for make in BAD_IMAGES])
        results = await judged(run, mixture, watch=True)
        words = {place: str(result.error) for place, result in results.items()}
        assert all(len(text) < 600 for text in words.values())
        assert "four numbers" in words[0]
        assert "OverflowError" in words[0]
        assert "ItemsOwn" in words[11]

    on_a_project(play)


# --- over real sockets


async def _upload_with(
    one: EmulatedProject, bad: list[Any], *, create_missing_tags: bool = False
) -> dict[int, str]:
    """Upload each bad item between good images, which succeed. Return the reasons."""
    good = [
        ImageFile(data=image_bytes(number, size=(24, 16)), tags=["a"])
        for number in range(len(bad) + 1)
    ]
    items: list[Any] = [item for pair in zip(good, bad, strict=False) for item in pair] + good[-1:]
    with pytest.raises(BatchError) as caught:
        await one.project.upload_images(items, create_missing_tags=create_missing_tags)
    report = caught.value.report
    assert report.abort_cause is None
    assert sorted(failure.index for failure in report.failures) == list(range(1, len(items), 2))
    assert await one.tag_counts() == {"a": len(good)}
    return {failure.index // 2: str(failure.error) for failure in report.failures}


@pytest.mark.anyio
@pytest.mark.parametrize("create", [False, True])
async def test_bad_images_fail_alone_on_the_emulator(create: bool) -> None:
    """One of each kind: whatever it raises, the good images beside it are uploaded."""
    async with project_on_emulator(tags=("a", "tag0", "tag1")) as one:
        for error in ERRORS if create else ERRORS[:1]:
            with raising(error):
                await _upload_with(one, [make() for make in BAD_IMAGES], create_missing_tags=create)
            await one.project.delete_images([image async for image in one.project.list_images()])


@pytest.mark.anyio
@pytest.mark.parametrize("error", ERRORS, ids=[type(make()).__name__ for make in ERRORS])
async def test_a_file_that_raises_while_it_is_sent_fails_alone(
    error: Callable[[], BaseException],
) -> None:
    """The other images of its chunk are uploaded."""
    async with project_on_emulator(tags=("a",)) as one:
        with raising(error):
            reasons = await _upload_with(
                one, [ImageFile(file=LateFile(), tags=["a"]), LateFile(), LateFile()]
            )
        assert all("the file cannot be read" in reason for reason in reasons.values())


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 409, 413, 414, 431, 500])
async def test_a_tag_that_cannot_be_created_fails_the_images_that_have_it(status: int) -> None:
    """A proxy responds 414 to a long name. The other images are uploaded."""
    async with project_on_emulator(tags=("a",)) as one:
        one.emulator.faults.add("status", operation="CreateTag", status=status, times=None)
        tagged = [ImageFile(data=image_bytes(90 + n), tags=["a", LONG_NAME]) for n in range(2)]
        reasons = await _upload_with(one, tagged, create_missing_tags=True)
        assert all(f"could not be created: CreateTag: {status}" in reasons[n] for n in reasons)
        assert all(len(reason) < 1000 for reason in reasons.values())


@pytest.mark.anyio
async def test_bad_images_cost_no_prediction() -> None:
    """Each bad image fails on its own, and the good ones get their predictions."""
    async with serving() as (emulator, training):
        project = await project_with_images(training)
        await project.publish_iteration(await trained(project), "production")
        async with PredictionClient(emulator.endpoint, emulator.prediction_key) as prediction:
            for error in ERRORS:
                items: list[Any] = [image_bytes(1), *(make() for make in BAD_FILES), image_bytes(2)]
                with raising(error), pytest.raises(BatchError) as caught:
                    await prediction.classify_images(project.id, "production", items)
                report = caught.value.report
                assert report.abort_cause is None
                assert (report.succeeded, report.failed) == (2, len(BAD_FILES))
                assert all(str(failure.error) for failure in report.failures)
