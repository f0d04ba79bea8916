"""Invariants of image lists in every version, while other clients upload, delete, tag and untag."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import ApiVersion

from ..support.fake_service import BASE, Service
from ..support.virtual_network import client_of, run

VERSIONS = list(ApiVersion)
OLD = [version for version in VERSIONS if version < ApiVersion.V3_3]
Change = tuple[str, int]
"""The kind of a change, and the number of its image (modulo the number of images)."""

CHANGES = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["upload", "delete", "move"]), st.integers(0, 30)), max_size=4
    ),
    max_size=25,
)
"""The changes before each request."""


class Project:
    """A project that changes before each request."""

    def __init__(self, version: ApiVersion, tagged: str, names: int = 2) -> None:
        self.service = Service(Random(1), version=version)
        self.service.think = (0.01, 0.02)
        self.tags = [self.service.add_tag(f"t{number}") for number in range(names)]
        self.moves: dict[str, Callable[[dict[str, None]], None]] = {}
        for number, side in enumerate(tagged):
            tags = [self.tags[0]] if side == "t" else []
            image = self.service.add_image(b"%d" % number, tags, at=BASE)
            self.moves[image.id] = self.switch
        self.always = set(self.service.images)

    def switch(self, tags: dict[str, None]) -> None:
        """Tag an untagged image, or the other way round."""
        if tags:
            tags.clear()
        else:
            tags[self.tags[-1]] = None

    def change(self, what: str, which: int) -> None:
        """Make one change. Each image moves at most once."""
        images = list(self.service.images.values())
        if what == "upload":
            self.service.add_image(self.service.new_id().encode(), self.tags[: which % 2])
        elif images:
            image = images[which % len(images)]
            if what == "delete":
                del self.service.images[image.id]
            elif (move := self.moves.pop(image.id, None)) is not None:
                move(image.tags)

    def listed(self, changes: list[list[Change]], **arguments: Any) -> list[str]:
        """List the images. Apply one list of `changes` before each request."""
        left = list(reversed(changes))

        def on_call() -> None:
            for change in left.pop() if left else ():
                self.change(*change)

        async def main() -> list[str]:
            async with client_of(self.service, "list") as training:
                await training.get_project_client(self.service.project_id).list_tags().all()
                self.service.on_call = on_call
                project = training.get_project_client(self.service.project_id)
                return [image.id async for image in project.list_images(**arguments)]

        listed = run(main())
        assert not self.service.violations
        return listed

    def stayed(self, listed: list[str]) -> None:
        """Check that every image that stayed is listed, and none twice."""
        assert len(listed) == len(set(listed))
        assert self.always & self.service.images.keys() <= set(listed)


@settings(max_examples=150, deadline=None)
@given(
    version=st.sampled_from(VERSIONS),
    sides=st.text("tu", max_size=20),
    size=st.integers(2, 6),
    order=st.sampled_from(["newest", "oldest"]),
    changes=CHANGES,
)
def test_what_is_there_all_the_time_is_listed_once_in_every_version(
    version: ApiVersion,
    sides: str,
    size: int,
    order: Literal["newest", "oldest"],
    changes: list[list[Change]],
) -> None:
    """Between requests, images are uploaded, deleted, and tagged or untagged at most once each."""
    project = Project(version, sides)
    project.stayed(project.listed(changes, order=order, page_size=size))


@settings(max_examples=60, deadline=None)
@given(
    version=st.sampled_from(VERSIONS),
    count=st.integers(0, 16),
    size=st.integers(2, 6),
    changes=CHANGES,
)
def test_an_image_that_changes_its_tag_stays_in_a_list_of_many_tags(
    version: ApiVersion, count: int, size: int, changes: list[list[Change]]
) -> None:
    """A filter of 25 tags takes two lists. An image that moves from one to the other is listed."""
    project = Project(version, "t" * count, names=25)

    def swap(tags: dict[str, None]) -> None:
        first = project.tags[0] in tags
        tags.clear()
        tags[project.tags[-1 if first else 0]] = None

    for number, image in enumerate(project.service.images.values()):
        project.moves[image.id] = swap
        image.tags = {project.tags[-(number % 2)]: None}
    names = [f"t{number}" for number in range(25)]
    project.stayed(project.listed(changes, tags=names, page_size=size))


@settings(max_examples=60, deadline=None)
@given(
    version=st.sampled_from(VERSIONS),
    sides=st.text("tu", max_size=16),
    size=st.integers(2, 6),
    tagged=st.booleans(),
    changes=CHANGES,
)
def test_an_image_that_stays_on_its_side_is_in_the_list_of_that_side(
    version: ApiVersion, sides: str, size: int, tagged: bool, changes: list[list[Change]]
) -> None:
    """In lists of tagged or untagged images, images that move in and out do not displace others."""
    project = Project(version, sides)
    images = project.service.images
    before = {id for id, image in images.items() if bool(image.tags) == tagged}
    listed = project.listed(changes, tagged=tagged, page_size=size)
    project.always = {id for id in before & images.keys() if bool(images[id].tags) == tagged}
    project.stayed(listed)


@pytest.mark.parametrize("version", OLD)
def test_one_tagged_and_one_untagged_between_the_walks(version: ApiVersion) -> None:
    """The number of tagged images is the same before and after, and none is missed."""
    for when in range(12):
        project = Project(version, "ttttuuuu")
        changes: list[list[Change]] = [[] for _ in range(when)]
        project.stayed(project.listed([*changes, [("move", 0), ("move", 5)]], page_size=3))


@pytest.mark.parametrize("version", OLD)
def test_one_moves_and_one_of_its_new_side_is_deleted(version: ApiVersion) -> None:
    """The counts do not change, and still none is missed."""
    for when in range(12):
        for moved, deleted in ((5, 0), (0, 5)):
            project = Project(version, "ttttuuuu")
            changes: list[list[Change]] = [[] for _ in range(when)]
            changes.append([("move", moved), ("delete", deleted)])
            project.stayed(project.listed(changes, page_size=3))


@pytest.mark.parametrize("version", OLD)
def test_a_list_ends_while_all_images_move_again_and_again(version: ApiVersion) -> None:
    """An image is tagged or untagged before each request, and some are uploaded: the list ends."""
    project = Project(version, "tu" * 10)
    before = set(project.service.images)
    requests = 0

    def on_call() -> None:
        nonlocal requests
        requests += 1
        if requests % 5 == 0:
            project.change("upload", requests)
        image = list(project.service.images.values())[requests % 20]
        project.switch(image.tags)

    async def main() -> list[str]:
        async with client_of(project.service, "list") as training:
            listing = training.get_project_client(project.service.project_id).list_images
            project.service.on_call = on_call
            return [image.id async for image in listing(page_size=5)]

    listed = run(main())
    assert len(listed) == len(set(listed))
    assert before <= set(listed)
    assert requests < 150


@pytest.mark.parametrize(
    ("version", "sides", "requests"),
    [
        (ApiVersion.V1_2, "t" * 90 + "u" * 5, 17),
        (ApiVersion.V2_0, "t" * 90 + "u" * 5, 2 + 1 + 10 + 1),
        (ApiVersion.V2_0, "u" * 90 + "t" * 5, 2 + 1 + 10 + 1),
        (ApiVersion.V3_2, "t" * 90, 2 + 1 + 10 + 1),
        (ApiVersion.V3_2, "t", 2 + 3),
        (ApiVersion.V3_3, "t" * 90 + "u" * 5, 11 + 1),
        (ApiVersion.V3_4_PREVIEW, "t" * 9, 1 + 1),
    ],
)
def test_requests_of_a_quiet_list(version: ApiVersion, sides: str, requests: int) -> None:
    """Before v3.3, a list needs two counts and a second pass over the shorter half.

    Since v3.3 it needs one count.
    """
    project = Project(version, sides)
    project.listed([], page_size=10)
    assert project.service.total - project.service.calls["GetTags"] == requests
