"""Refused chunks are halved until the bad items are found, and the good ones succeed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import BatchError
from customvision_async._batch.settler import FailureAction
from customvision_async._batch.work_item import Done, Failed, Outcome, Resend, WorkItem

from ..support.engine import FakeTransport, Lost, TooLarge, awaited, batch, cancels_itself, poisoned
from ..support.virtual_loop import run


def test_a_lost_chunk_costs_its_own_items_alone() -> None:
    """One chunk fails: its items have the reason, and the others succeed."""

    def act(items: list[int]) -> None:
        if 15 in items:
            raise Lost("no answer")

    async def main() -> None:
        one = batch(range(100), FakeTransport(act))
        with pytest.raises(BatchError):
            await one
        failed = [result.item for result in one.report.failures]
        assert 15 in failed
        assert len(failed) == 10
        for result in one.report.failures:
            assert result.error is not None
            assert "no answer" in str(result.error)
            assert isinstance(result.error.__cause__, Lost)

    run(main())


def test_halving_finds_the_bad_ones_and_takes_the_least_requests() -> None:
    """One bad item of 64 takes 7 halvings with one refused half each. All good items succeed."""
    service = FakeTransport(lambda items: poisoned(items, {13}))

    async def main() -> None:
        one = batch(range(64), service, count=64)
        with pytest.raises(BatchError) as caught:
            await one
        assert [result.item for result in caught.value.report.failures] == [13]

    run(main())
    assert len(service.sent) == 1 + 2 * 6


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 200),
    bad=st.sets(st.integers(0, 199), max_size=30),
    chunks=st.integers(1, 30),
)
def test_every_bad_item_is_found_and_no_good_one_is_lost(
    count: int, bad: set[int], chunks: int
) -> None:
    """Exactly the bad items fail, whatever their number and place and however many chunks are in
    flight.
    """
    service = FakeTransport(lambda items: poisoned(items, bad))

    async def main() -> None:
        one = batch(range(count), service, count=16, max_in_flight=chunks)
        async with one:
            ok = {result.item: result.ok async for result in one}
        assert ok == {item: item not in bad for item in range(count)}
        mine = len({item for item in bad if item < count})
        assert len(service.sent) <= -(-count // 16) + 2 * 5 * mine

    run(main())


def test_a_vague_status_is_asked_again_alone() -> None:
    """One item makes a whole chunk fail with ErrorUnknown: it is sent twice more by itself.

    The others succeed.
    """
    service = FakeTransport(
        lambda items: (
            [Resend(Failed("ErrorUnknown", "ErrorUnknown"))] * len(items) if 5 in items else None
        )
    )

    async def main() -> None:
        with pytest.raises(BatchError) as caught:
            await batch(range(16), service, count=16)
        assert [(one.item, one.status) for one in caught.value.report.failures] == [
            (5, "ErrorUnknown")
        ]

    run(main())
    assert service.sent.count([5]) == 2


def test_a_short_answer_is_no_success() -> None:
    """Fewer outcomes than items: no success is assumed, and the items are sent again."""
    short = iter([True])

    def act(items: list[int]) -> list[Outcome] | None:
        return [Done()] * 3 if next(short, False) else None

    service = FakeTransport(act)
    report = run(awaited(batch(range(8), service)))
    assert report.succeeded == 8
    assert sorted(map(len, service.sent)) == [4, 4, 8]


def test_too_large_makes_the_next_chunks_smaller() -> None:
    """Chunks of more than 5 items are too large: later chunks are smaller, and few are refused."""

    def act(items: list[int]) -> None:
        if len(items) > 5:
            raise TooLarge("413")

    service = FakeTransport(act)
    report = run(awaited(batch(range(400), service, size=10, max_in_flight=2)))
    assert report.succeeded == 400
    assert sum(len(items) > 5 for items in service.sent) <= 4
    assert len(service.sent) <= 90


def test_one_item_that_is_always_too_large_does_not_make_the_others_go_alone() -> None:
    """Only one item is too large: chunks return to their size once the others have succeeded."""

    def act(items: list[int]) -> None:
        if 3 in items:
            raise TooLarge("413")

    service = FakeTransport(act)

    async def main() -> None:
        one = batch(range(1000), service, size=10, max_in_flight=1)
        with pytest.raises(BatchError):
            await one
        assert one.report.failed == 1

    run(main())
    assert len(service.sent) <= 220


def test_a_send_that_ends_in_a_cancellation_of_its_own_is_the_fault_of_its_units() -> None:
    """The items are sent again, and other chunks are not affected."""

    class Shaky(FakeTransport):
        async def send(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
            if units[0].item == 10 and len(units) == 10:
                await cancels_itself()
            return await super().send(units)

    report = run(awaited(batch(range(30), Shaky(), judges={RuntimeError: FailureAction.DIVIDE})))
    assert (report.succeeded, report.pending) == (30, 0)
