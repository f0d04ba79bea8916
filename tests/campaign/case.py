"""Play one seed, from the upload to the deletion, with checks in between and at each request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from customvision_async import (
    ApiVersion,
    BatchError,
    BatchRun,
    CustomVisionError,
    ItemResult,
    ProjectClient,
    Region,
)
from customvision_async._events import Event, RequestCompleted
from tests.campaign import checks
from tests.campaign.folder import file_errors, temporary_folder
from tests.campaign.scenario import Scenario, SourceError
from tests.support.fake_service import SECOND_KEY, Stored
from tests.support.rubbish import raising
from tests.support.virtual_network import client_of, run

__all__ = ["Outcome", "play"]

FLOOR = 64
"""Retries that are always allowed: the default of the options."""
LONGEST = 3 * 3600.0
"""Seconds of virtual time that no scenario should take."""
SEARCHES = 250
"""Requests that a few items may take. A list that repeats its pages is walked for a while."""


@dataclass(slots=True)
class Outcome:
    """The outcome of a seed."""

    seed: int
    trace: str
    problems: list[str]
    faults: Counter[str] = field(default_factory=Counter[str])
    items: int = 0
    requests: int = 0
    in_doubt: int = 0
    doubled: int = 0
    virtual_seconds: float = 0.0


def play(seed: int, *, max_items: int = 40) -> Outcome:
    """Play the scenario of `seed`, and return its outcome with the problems found.

    An exception is a problem too.
    """
    case = _Case(seed, max_items)
    with raising(case.scenario.error), ExitStack() as stack:
        if case.scenario.uploads_folder:
            case.scenario.fill(stack.enter_context(temporary_folder()))
            stack.enter_context(file_errors(seed))
        return run(case.play())


class _Case:
    def __init__(self, seed: int, max_items: int) -> None:
        self.scenario = Scenario(seed, max_items=max_items)
        self.service = self.scenario.service
        self.problems: list[str] = []
        self.firsts = self.agains = self.refusals = self.in_doubt = 0

    async def play(self) -> Outcome:
        scenario, service = self.scenario, self.service
        async with client_of(
            service,
            f"client {scenario.seed}",
            concurrency=scenario.concurrency,
            observers=(self._observe,),
        ) as training:
            project = training.get_project_client(service.project_id)
            self.dice = scenario.dice
            items = await self._upload(project)
            await self._lists()
            await self._tag(project)
            await self._regions(project)
            if scenario.version >= ApiVersion.V3_3:
                await self._metadata(project)
            await self._delete(project)
        self._bounded(items)
        if service.in_flight:
            self.problems.append(f"{service.in_flight} calls are still in flight")
        now = asyncio.get_running_loop().time()
        if now > LONGEST:
            self.problems.append(f"it took {now:,.0f} s")
        trace = f"{service.trace}{self.in_doubt:x}"
        problems = self.problems + service.violations
        return Outcome(
            scenario.seed,
            trace,
            problems,
            scenario.faults.hits,
            items,
            service.total,
            self.in_doubt,
            self._doubled(),
            now,
        )

    def _observe(self, event: Event) -> None:
        if isinstance(event, RequestCompleted):
            self.firsts += event.attempt == 1
            self.agains += event.attempt > 1
            self.refusals += event.status == 429

    def _bounded(self, items: int) -> None:
        hits = self.scenario.faults.hits
        # These were not sent, so the budget does not count them.
        free = self.refusals + hits["connect"] + hits["timeout_unsent"]
        # Each of two clients has its budget.
        if self.agains > 0.2 * self.firsts + 2 * FLOOR + free:
            self.problems.append(
                f"{self.agains} retries for {self.firsts} first attempts"
                f" and {self.refusals} refusals"
            )
        if self.firsts > 16 * items + SEARCHES:
            self.problems.append(f"{self.firsts} first attempts for {items} items")

    def _doubled(self) -> int:
        return (
            0
            if self.scenario.habits.deduplicate
            else sum(len(images) - 1 for images in self.service.copies().values())
        )

    # --- runs

    async def _watch(
        self, make: Callable[[], BatchRun[Any, Any]], mode: str
    ) -> tuple[BatchRun[Any, Any], dict[int, ItemResult[Any, Any]]]:
        """Await, watch or leave a run, and check its account at each request."""
        run = make()
        seen: dict[int, ItemResult[Any, Any]] = {}
        self.service.on_call = lambda: self.problems.extend(checks.ledger(run, seen))
        whole = True
        try:
            if mode == "await":
                await run
            else:
                whole = await self._look_on(run, seen, mode)
        except BatchError as error:
            if error.report.failed == 0:
                self.problems.append("a BatchError without failures")
        except (CustomVisionError, SourceError) as error:
            if error is not run.report.abort_cause:
                self.problems.append(
                    f"it raised {error!r}, and the report says {run.report.abort_cause!r}"
                )
        self.service.on_call = lambda: None
        self.problems += checks.account(run, seen, whole=whole, watched=mode != "await")
        self.in_doubt += run.progress.in_doubt
        return run, seen

    async def _look_on(
        self, run: BatchRun[Any, Any], seen: dict[int, ItemResult[Any, Any]], mode: str
    ) -> bool:
        leave_after = self.dice.randrange(0, 20) if mode == "leave" else None
        async with run:
            async for result in self._results(run, mode):
                if result.index in seen:
                    self.problems.append(f"item {result.index} has two results")
                seen[result.index] = result
                if mode == "slow":
                    await asyncio.sleep(self.dice.choice((0.0, 0.2, 2.0)))
                if leave_after is not None and len(seen) > leave_after:
                    return False
        return True

    async def _results(
        self, run: BatchRun[Any, Any], mode: str
    ) -> AsyncIterator[ItemResult[Any, Any]]:
        """Yield the results, in two modes with a native timeout around each."""
        if mode not in ("wait_for", "timeout"):
            async for result in run:
                yield result
            return
        while True:
            seconds = self.dice.choice((0.001, 0.05, 0.25, 1.0))
            try:
                if mode == "wait_for":
                    result = await asyncio.wait_for(anext(run), seconds)
                else:
                    async with asyncio.timeout(seconds):
                        result = await anext(run)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                return
            yield result

    async def _upload(self, project: ProjectClient) -> int:
        scenario = self.scenario
        run, seen = await self._watch(
            lambda: project.upload_images(
                scenario.source(), tags=scenario.common, create_missing_tags=scenario.create_missing
            ),
            scenario.mode,
        )
        self.problems += checks.upload(scenario, run.report, seen)
        if scenario.faults.rate == 0.0 and scenario.faults.for_ever is None:
            self.problems += checks.well(scenario, run.report)
        if (
            scenario.breaks_at is None
            and run.report.abort_cause is None
            and not run.report.pending
            and scenario.mode != "leave"
        ):
            expected = len(scenario.given)
            if run.report.submitted != expected:
                self.problems.append(f"{run.report.submitted} submitted of {expected}")
        return run.report.submitted

    async def _watch_with_bad_items(
        self, make: Callable[[list[Any]], BatchRun[Any, Any]], ids: list[Any]
    ) -> dict[int, ItemResult[Any, Any]]:
        """Watch a run over `ids`, with items that raise in the place of some."""
        bad = self.scenario.bad_places(len(ids))
        items = [bad.get(place, id) for place, id in enumerate(ids)]
        for place in bad:
            ids[place] = str(UUID(int=place))
        run, seen = await self._watch(lambda: make(items), "watch")
        if any(place in seen and seen[place].ok for place in bad):
            self.problems.append("an item that is no id is said to be changed")
        faults = self.scenario.faults
        if run.report.abort_cause is not None and faults.rate == 0.0 and faults.for_ever is None:
            self.problems.append(f"an item ended the run: {run.report.abort_cause!r}")
        return seen

    async def _change(
        self,
        make: Callable[[list[Any]], BatchRun[Any, Any]],
        wanted: Callable[[Stored], frozenset[Any]],
        there: Callable[[Stored], frozenset[Any]],
        share: float = 0.7,
    ) -> dict[str, ItemResult[Any, Any]]:
        """Run a change of some images, and check those and the others.

        Args:
            make: Return the run for a list of ids.
            wanted: Return the properties that an image must have afterwards.
            there: Return the properties of an image.
            share: Share of the images to change.
        """
        before = {id: there(image) for id, image in self.service.images.items()}
        after = {id: wanted(image) for id, image in self.service.images.items()}
        ids = [id for id in before if self.dice.random() < share]
        if self.dice.random() < 0.2:
            ids.insert(self.dice.randrange(len(ids) + 1), self.service.new_id())
        seen = await self._watch_with_bad_items(make, ids)
        results = [seen.get(index) for index in range(len(ids))]
        for id, result in zip(ids, results, strict=True):
            image = self.service.images.get(id)
            if image is None:
                continue
            if result is not None and result.ok and there(image) != after[id]:
                self.problems.append(
                    f"image {id} is said to be changed, and has {len(there(image))}"
                    f" instead of {len(after[id])}"
                )
            if not (before[id] & after[id] <= there(image) <= before[id] | after[id]):
                self.problems.append(f"image {id} has something that was not requested")
        for id in before.keys() - set(ids):
            if there(self.service.images[id]) != before[id]:
                self.problems.append(f"image {id} was changed, without a request")
        return {
            id: result
            for id, result in zip(ids, results, strict=True)
            if result is not None and result.ok
        }

    async def _tag(self, project: ProjectClient) -> None:
        names = self.dice.sample(self.scenario.names, self.dice.choice((1, 2, 23)))
        tags = frozenset(self.scenario.id_of(name) for name in names)
        await self._change(
            lambda ids: project.tag_images(ids, names), lambda image: _tags(image) | tags, _tags
        )
        await self._change(
            lambda ids: project.untag_images(ids, names), lambda image: _tags(image) - tags, _tags
        )

    async def _regions(self, project: ProjectClient) -> None:
        box = (self.dice.randrange(32) / 64, self.dice.randrange(32) / 64, 0.25, 0.5)
        name = self.dice.choice(self.scenario.names)
        whole = (self.scenario.id_of(name), *box)

        def make(ids: list[Any]) -> BatchRun[Any, Any]:
            return project.create_regions([(id, Region(name, *box)) for id in ids])

        made = await self._change(make, lambda image: _boxes(image) | {whole}, _boxes, share=0.4)
        for id, result in made.items():
            if (
                id in self.service.images
                and (result.value, whole) not in self.service.images[id].regions
            ):
                self.problems.append(
                    f"the region on image {id} is said to be {result.value}, and is not"
                )
        await self._delete_regions(
            project, [result.value for result in made.values() if self.dice.random() < 0.5]
        )

    async def _delete_regions(self, project: ProjectClient, regions: list[Any]) -> None:
        there = self._region_ids()
        seen = await self._watch_with_bad_items(project.delete_regions, regions)
        left = self._region_ids()
        if any(result.ok and regions[index] in left for index, result in seen.items()):
            self.problems.append("a region is said to be deleted, and is there")
        if there - left - set(regions):
            self.problems.append("regions were deleted, without a request")

    def _region_ids(self) -> set[Any]:
        return {id for image in self.service.images.values() for id, _ in image.regions}

    async def _metadata(self, project: ProjectClient) -> None:
        number = str(self.dice.randrange(1000))
        await self._change(
            lambda ids: project.update_image_metadata(ids, {"number": number}),
            lambda image: frozenset((image.metadata | {"number": number}).items()),
            lambda image: frozenset(image.metadata.items()),
            share=0.3,
        )

    async def _delete(self, project: ProjectClient) -> None:
        there = set(self.service.images)
        ids = [id for id in self.service.images if self.dice.random() < 0.5]
        if self.dice.random() < 0.2:
            ids.append(self.service.new_id())
        seen = await self._watch_with_bad_items(project.delete_images, ids)
        for index, id in enumerate(ids):
            if index in seen and seen[index].ok and id in self.service.images:
                self.problems.append(f"image {id} is said to be deleted, and is there")
        if lost := there - set(ids) - self.service.images.keys():
            self.problems.append(f"{len(lost)} images were deleted, without a request")

    # --- lists

    async def _lists(self) -> None:
        """List in a random version, because lists differ between versions."""
        service, version = self.service, self.service.version
        service.version = self.dice.choice(list(ApiVersion))
        async with client_of(
            service,
            f"lister {self.scenario.seed}",
            concurrency=self.scenario.concurrency,
            observers=(self._observe,),
            # The garbage collector decides how long a closed client's limiter is shared.
            key=SECOND_KEY,
        ) as training:
            await self._list(training.get_project_client(service.project_id))
        service.version, service.closed = version, False

    async def _list(self, project: ProjectClient) -> None:
        """List while another client uploads, deletes, tags and untags images.

        Images that were there all the time must be listed once, and none twice.
        """
        dice, service = self.dice, self.service
        tags = dice.sample(self.scenario.names, 25) if dice.random() < 0.15 else []
        wanted = {self.scenario.id_of(name) for name in tags}
        if dice.random() < 0.3:  # enough for the pages to drift
            for number in range(25):
                service.add_image(
                    f"other {number}".encode(),
                    [self.scenario.id_of(dice.choice(self.scenario.names))],
                )
        self.movable = [] if tags else list(service.images)
        ever = set(service.images)
        others = asyncio.ensure_future(self._others(ever)) if dice.random() < 0.5 else None
        stayed = {
            id for id, image in service.images.items() if not tags or wanted & image.tags.keys()
        }
        given: list[str] = []
        try:
            order: Literal["newest", "oldest"] = "newest" if dice.random() < 0.5 else "oldest"
            size = dice.choice((2, 3, 7, 256))
            async for image in project.list_images(tags=tags, order=order, page_size=size):
                given.append(image.id)
                if dice.random() < 0.05:
                    await asyncio.sleep(dice.choice((0.1, 1.0)))
        except CustomVisionError as error:
            stayed = set()
            if "repeats the same page" in str(error):
                self.problems.append(str(error))
        finally:
            if others is not None:
                others.cancel()
                await asyncio.wait((others,))
        stayed &= service.images.keys()
        if missed := stayed - set(given):
            self.problems.append(f"the list lacks {len(missed)} of {len(stayed)} images")
        if len(set(given)) != len(given):
            self.problems.append(f"the list gives {len(given) - len(set(given))} images twice")
        if set(given) - ever:
            self.problems.append("the list gives images that were never there")

    async def _others(self, ever: set[str]) -> None:
        for _ in range(100):  # an endless loop would hide a deadlock
            await asyncio.sleep(self.dice.uniform(0.05, 2.0))
            roll = self.dice.random()
            if roll < 0.3 and self.movable:
                self._move(self.movable.pop(self.dice.randrange(len(self.movable))))
            elif roll < 0.6 and self.service.images:
                self.service.images.pop(self.dice.choice(list(self.service.images)))
            else:
                tag = self.scenario.id_of(self.dice.choice(self.scenario.names))
                ever.add(self.service.add_image(self.service.new_id().encode(), [tag]).id)

    def _move(self, id: str) -> None:
        """Tag an untagged image or untag a tagged one, each at most once.

        Walks of two lists cannot follow more moves.
        """
        if (image := self.service.images.get(id)) is None:
            return
        if image.tags:
            image.tags.clear()
            image.regions.clear()
        else:
            image.tags[self.scenario.id_of(self.dice.choice(self.scenario.names))] = None


def _tags(image: Stored) -> frozenset[str]:
    return frozenset(image.tags)


def _boxes(image: Stored) -> frozenset[Any]:
    return frozenset(box for _, box in image.regions)
