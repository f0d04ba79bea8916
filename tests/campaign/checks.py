"""The checks after each step of a scenario. Each yields the problems that it finds, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from customvision_async import BatchReport, BatchRun, ItemResult
from customvision_async._batch.kept import without_frames
from customvision_async._batch.report import KEPT
from tests.campaign.scenario import Given, Scenario
from tests.support.content import content_in
from tests.support.fake_service import Box, Service, Stored

__all__ = ["account", "ledger", "upload", "well"]

Result = ItemResult[Any, Any]
Tags = frozenset[str]


def ledger(run: BatchRun[Any, Any], seen: Mapping[int, Result]) -> Iterable[str]:
    """Check the account of a run in progress: each item is settled, or pending and named."""
    report = run.report
    pending = [index for index, _ in report.pending_items]
    if (
        report.submitted != report.succeeded + report.failed + report.skipped + report.pending
        or report.pending < 0
    ):
        yield f"the sum is wrong: {run.progress!r}"
    if len(pending) != report.pending or len(set(pending)) != len(pending):
        yield f"{report.pending} are pending, and {len(pending)} are named"
    if not set(pending) <= set(range(report.submitted)) or any(index in seen for index in pending):
        yield "an item that is settled, or was never taken, is named as pending"
    kept = len(report.failures), len(report.skipped_items)
    if kept != (min(report.failed, 2 * KEPT), min(report.skipped, 2 * KEPT)):
        yield "failures or skips are counted and not kept"


def account(
    run: BatchRun[Any, Any], seen: Mapping[int, Result], *, whole: bool, watched: bool
) -> Iterable[str]:
    """Check the account of a run that has ended; `whole` if its source has ended too."""
    report = run.report
    yield from ledger(run, seen)
    if whole and report.pending:
        yield f"{report.pending} of {report.submitted} are still pending"
    if watched and whole and sorted(seen) != list(range(report.submitted)):
        yield f"{len(seen)} results for {report.submitted} items"
    # It was raised to the campaign, and has the campaign's own frames.
    without_frames(report.abort_cause)
    whose = msgspec.structs.replace(report, pending_items=(), abort_cause=None)
    if content := content_in(whose):
        yield f"the report keeps content: {content[0]!r:.80}"
    if sum(report.causes.values()) != report.failed + report.skipped:
        yield "failures and skips are miscounted by cause"
    for result in report.failures:
        if result.error is None or not str(result.error):
            yield f"item {result.index} failed without a word"
    if watched and whole and report.in_doubt != sum(result.in_doubt for result in seen.values()):
        yield "items in doubt are miscounted"


def upload(scenario: Scenario, report: BatchReport, seen: Mapping[int, Result]) -> Iterable[str]:
    """Compare the project with the results."""
    results: dict[int, Result | None] = dict.fromkeys(range(report.submitted))
    results |= {result.index: result for result in (*report.failures, *report.skipped_items)}
    results |= seen
    unsettled = {index for index, _ in report.pending_items}
    groups: dict[bytes, list[int]] = {content: [] for content in scenario.before}
    for index in range(report.submitted):
        given = scenario.given[index]
        if given.content is not None:
            groups.setdefault(given.content, []).append(index)
        elif index not in unsettled and (results[index] is None or results[index].ok):
            yield f"item {index} cannot have landed, and is said to have"
        elif (
            index not in unsettled
            and given.skipped != results[index].skipped
            and report.abort_cause is None
        ):
            yield f"item {index}: skipped is wrong"
    copies = scenario.service.copies()
    yield from (
        f"there is a {content!r} that nobody gave" for content in copies.keys() - groups.keys()
    )
    check = _group if scenario.habits.deduplicate else _group_without_deduplication
    for content, indices in groups.items():
        members = {index: results[index] for index in indices if index not in unsettled}
        left = [index for index in indices if index in unsettled]
        yield from check(
            scenario, copies.get(content, []), content in scenario.before, members, left
        )
    if not scenario.habits.deduplicate and not report.pending:
        before = scenario.before
        doubled = sum(
            _extra(copies.get(content, []), content in before, indices, results) > 0
            for content, indices in groups.items()
        )
        if doubled > report.in_doubt:
            yield f"{doubled} images are there too often, and {report.in_doubt} items are in doubt"


def well(scenario: Scenario, report: BatchReport) -> Iterable[str]:
    """Check that only items fail that cannot succeed, if the service has no fault."""
    if report.abort_cause is not None and scenario.breaks_at is None:
        yield f"an item ended the run: {report.abort_cause!r}"
    for result in report.failures:
        given = scenario.given[result.index]
        if given.content is not None and not (
            result.status == "OKDuplicate" and not scenario.habits.duplicate_has_image
        ):
            yield f"item {result.index} failed for no reason: {result.error}"


def _landed(result: Result | None) -> bool:
    return result is None or result.ok


def _tags(service: Service, given: Given) -> Tags:
    """Return the ids of its tags, or the names of those that the run had to create."""
    return frozenset(service.tags.get(tag, tag) for tag in given.tags)


def _group(
    scenario: Scenario,
    stored: list[Stored],
    before: bool,
    members: dict[int, Result | None],
    left: list[int],
) -> Iterable[str]:
    """Check the items of one content, with a service that keeps each content once."""
    service, given = scenario.service, scenario.given
    landed = [index for index, result in members.items() if _landed(result)]
    if len(stored) > 1:
        yield f"the image of {sorted(members)} is there {len(stored)} times"
    if landed and not stored:
        yield f"items {landed} are said to have landed, and are not there"
    alone = len(members) + len(left) == 1 and not before
    for index, result in members.items():
        yield from _one(service, index, result, stored, alone=alone, before=before)
    if not stored:
        return
    image = stored[0]
    sure = [n for n in landed if not _unknowable(members[n], alone)]
    at_least: Tags = frozenset[str]().union(*(_tags(service, given[n]) for n in sure))
    at_most: Tags = frozenset[str]().union(*(_tags(service, given[n]) for n in (*members, *left)))
    had = frozenset({scenario.id_of("tag0")}) if before else frozenset()
    yield from _between(
        f"the image of {sorted(members)}",
        "tags",
        at_least | had,
        frozenset(image.tags),
        at_most | had,
    )
    boxes_least: frozenset[Box] = frozenset[Box]().union(*(given[n].regions for n in sure))
    boxes_most: frozenset[Box] = frozenset[Box]().union(
        *(given[n].regions for n in (*members, *left))
    )
    yield from _between(
        f"the image of {sorted(members)}", "regions", boxes_least, _boxes(image), boxes_most
    )
    if alone and landed and image.metadata != given[landed[0]].metadata:
        yield f"item {landed[0]}: its metadata is not what was given"


def _one(
    service: Service,
    index: int,
    result: Result | None,
    stored: list[Stored],
    *,
    alone: bool,
    before: bool,
) -> Iterable[str]:
    """Check one item of a group."""
    if result is None:
        return
    if (
        result.ok
        and result.image is not None
        and (result.image.id not in service.images or service.images[result.image.id] not in stored)
    ):
        yield f"item {index} is said to be image {result.image.id}, and is not"
    if result.ok and result.duplicate and alone:
        yield f"item {index} is called a duplicate, and was there never before"
    if result.ok and not result.duplicate and before and not result.in_doubt:
        yield f"item {index} was there before, and is not called a duplicate"
    if not result.ok and alone and stored and not (result.in_doubt or result.image is not None):
        yield f"item {index} is said to have failed ({result.error}), and is there"


def _unknowable(result: Result | None, alone: bool) -> bool:
    """Return whether it is a duplicate in doubt whose image the service does not name.

    The image may be of this run or of another client.
    """
    return result is None or (not alone and result.image is None and result.in_doubt)


def _group_without_deduplication(
    scenario: Scenario,
    stored: list[Stored],
    before: bool,
    members: dict[int, Result | None],
    left: list[int],
) -> Iterable[str]:
    """Check the items of one content, with a service that stores duplicates."""
    service, given = scenario.service, scenario.given
    own: dict[str, int] = {}
    for index, result in members.items():
        if result is None or result.image is None:
            continue
        if result.image.id in own:
            yield f"items {own[result.image.id]} and {index} are said to be the same image"
        own[result.image.id] = index
        image = service.images.get(result.image.id)
        if image is None or image not in stored:
            yield f"item {index} is said to be image {result.image.id}, and is not"
        elif result.ok:
            wanted = _tags(service, given[index])
            yield from _between(f"item {index}", "tags", wanted, frozenset(image.tags), wanted)
            yield from _between(
                f"item {index}",
                "regions",
                given[index].regions,
                _boxes(image),
                given[index].regions,
            )
    if len(stored) < before + sum(_landed(result) for result in members.values()):
        yield f"of items {sorted(members)} more are said to have landed than are there"
    in_doubt = any(result is None or result.in_doubt for result in members.values())
    if _extra(stored, before, members, members) > 0 and not in_doubt and not left:
        yield (
            f"the image of {sorted(members)} is there {len(stored)} times,"
            " and none of them is in doubt"
        )


def _extra(
    stored: list[Stored], before: bool, indices: Iterable[int], results: Mapping[int, Result | None]
) -> int:
    """Return the number of copies that no result accounts for."""
    known = (results[index] for index in indices)
    return (
        len(stored)
        - before
        - sum(
            _landed(result) or (result is not None and result.image is not None) for result in known
        )
    )


def _boxes(image: Stored) -> frozenset[Box]:
    return frozenset(box for _, box in image.regions)


def _between(
    owner: str, kind: str, least: frozenset[Any], there: frozenset[Any], maximum: frozenset[Any]
) -> Iterable[str]:
    if least - there:
        yield f"{owner} lacks {len(least - there)} of its {len(least)} {kind}"
    if there - maximum:
        yield f"{owner} has {len(there - maximum)} {kind} that are not its own"
