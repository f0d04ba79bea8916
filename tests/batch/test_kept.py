"""The memory of a report: first and last results, all counts, and no content of items."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from customvision_async import (
    BatchError,
    ImageFile,
    ItemError,
    ItemReference,
    ItemResult,
    ProjectClient,
    images_in,
)
from customvision_async._batch.kept import reference_of
from customvision_async._batch.report import BatchReport
from customvision_async._batch.work_item import Failed, Resend, WorkItem

from ..support import virtual_network as virtual
from ..support.content import content_in
from ..support.engine import FakeTransport, awaited, batch
from ..support.fake_service import Service
from ..support.faults import Faults
from ..support.virtual_loop import run

MANY = 5000


def _refused(items: list[Any]) -> list[Failed]:
    return [
        Failed("no image", "ErrorImageFormat" if item % 2 else "ErrorImageSize") for item in items
    ]


async def _skipped(start: int, items: Sequence[int]) -> list[WorkItem | ItemResult[Any, Any]]:
    return [
        ItemResult(
            start + n, item, False, "Skipped", skipped=True,
            error=ItemError(f"reason {item % 3}", index=start + n, item=item),
        )
        for n, item in enumerate(items)
    ]  # fmt: skip


def _indices(results: Sequence[ItemResult[Any, Any]]) -> list[int]:
    return [result.index for result in results]


def test_of_many_failures_the_first_and_the_last_thousand_are_kept() -> None:
    """All are counted, also by cause. The error has the first and last ten, and the number
    omitted.
    """

    async def main() -> None:
        with pytest.raises(BatchError) as caught:
            await batch(range(MANY), FakeTransport(_refused), max_in_flight=1)
        error, report = caught.value, caught.value.report
        assert report.failed == MANY
        assert _indices(report.failures) == [*range(1000), *range(MANY - 1000, MANY)]
        assert report.causes == {"ErrorImageFormat": MANY // 2, "ErrorImageSize": MANY // 2}
        shown = [one.index for one in error.exceptions if isinstance(one, ItemError)]
        assert shown == [*range(10), *range(MANY - 10, MANY)]
        assert error.dropped == MANY - 20
        assert f"{MANY} of {MANY} items failed" in str(error)
        assert f"and {MANY - 3:,} more" in str(error)
        assert "report.failures has the first and last 1,000" in str(error)

    run(main())


def test_of_many_skipped_items_the_first_and_the_last_thousand_are_kept() -> None:
    """Skipped items are counted by their reason."""
    report = run(awaited(batch(range(MANY), FakeTransport(), prepare=_skipped)))
    assert report.skipped == MANY
    assert _indices(report.skipped_items) == [*range(1000), *range(MANY - 1000, MANY)]
    assert sum(report.causes.values()) == MANY
    assert set(report.causes) == {"reason 0", "reason 1", "reason 2"}


def test_causes_are_bounded_in_number() -> None:
    """A service with a new status for every item fills no memory: rare causes are counted
    together.
    """
    refusing = FakeTransport(lambda items: [Failed("no", f"Error{item}") for item in items])
    report = run(_failed(batch(range(1000), refusing)))
    assert len(report.causes) <= 201
    assert sum(report.causes.values()) == 1000
    assert max(report.causes, key=report.causes.__getitem__) == "other causes"


def test_the_stream_hands_out_each_result_whole() -> None:
    """A watcher of the run gets the original items, with their content."""
    items = [ImageFile(data=b"GIF89a" + bytes([n])) for n in range(50)]

    async def main() -> None:
        refusing = FakeTransport(lambda items: [Failed("no")] * len(items))
        async with batch(items, refusing) as one:
            async for result in one:
                assert result.item is items[result.index]
                assert result.error is not None
                assert result.error.item is items[result.index]
        assert content_in(one.report) == []

    run(main())


@pytest.mark.parametrize("watched", [False, True])
def test_memory_is_flat_however_many_items_fail(watched: bool) -> None:
    """6,000 failed items of 20 kB take as much memory as a few."""

    def source() -> Iterator[bytes]:
        for number in range(6000):
            yield number.to_bytes(20_000, "big")

    class Forgetful(FakeTransport):
        async def send(self, units: Sequence[WorkItem]) -> Sequence[Failed]:
            await asyncio.sleep(1.0)
            return [Failed("no", "Error")] * len(units)

    async def main() -> None:
        one = batch(source(), Forgetful())
        if watched:
            async with one:
                async for _ in one:
                    pass
        else:
            await _failed(one)
        assert one.report.failed == 6000

    tracemalloc.start()
    try:
        run(main())
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_an_item_that_names_something_is_kept_as_it_is(tmp_path: Path) -> None:
    """Paths, ids and URLs of the report may be sent again."""
    items = ["id", tmp_path, 7, ImageFile(tmp_path / "a.jpg", tags=["a"]), ("id", "tag")]
    refusing = FakeTransport(lambda items: [Failed("no")] * len(items))
    report = run(_failed(batch(items, refusing)))
    assert [kept.item for kept in report.failures] == items
    assert all(kept.item is items[kept.index] for kept in report.failures)


class _Raises:
    """An item that raises on every access."""

    @property
    def name(self) -> str:
        raise OSError("no name")


def test_an_item_with_content_is_kept_as_a_reference_that_names_it(tmp_path: Path) -> None:
    """Bytes, open files and unknown objects are replaced by their type, name and path."""
    (tmp_path / "b.jpg").write_bytes(b"content")
    with (tmp_path / "b.jpg").open("rb") as file:
        items: list[Any] = [
            b"content", bytearray(b"content"), memoryview(b"content"), io.BytesIO(b"content"), file,
            ImageFile(data=b"content", name="a.jpg"), ImageFile(file=file),
            ("id", b"content"), {"key": [b"content"]}, "x" * 100_000,
        ]  # fmt: skip
        report = run(
            _failed(batch(items, FakeTransport(lambda items: [Failed("no")] * len(items))))
        )
    kept = [result.item for result in report.failures]
    assert all(isinstance(one, ItemReference) for one in kept)
    assert [one.kind for one in kept[:6]] == [
        "bytes", "bytearray", "memoryview", "BytesIO", "BufferedReader", "ImageFile",
    ]  # fmt: skip
    assert (kept[5].name, kept[6].name) == ("a.jpg", "b.jpg")
    assert str(report.failures[5].error) == "a.jpg: no"
    assert content_in(report) == []


def test_a_cause_does_not_keep_what_stood_in_its_frames() -> None:
    """An error of a request has no traceback in the report, and its arguments hold no content."""

    class Broken(Exception):
        pass

    class Breaking(FakeTransport):
        async def send(self, units: Sequence[WorkItem]) -> Sequence[Resend | Failed]:
            content = [unit.item for unit in units]
            try:
                raise Broken("in the way", content) if len(self.sent) % 2 else Broken("as ever")
            except Broken as error:
                return [Failed("no", cause=error)] * len(units)
            finally:
                self.sent.append([])

    report = run(_failed(batch([b"content"] * 40, Breaking(), max_in_flight=1)))
    causes = [kept.error.__cause__ for kept in report.failures if kept.error]
    assert {type(cause) for cause in causes} == {Broken, type(None)}
    assert any("line" in note for cause in causes if cause for note in cause.__notes__)
    assert content_in(report) == []


def test_an_upload_keeps_no_content_in_its_report(tmp_path: Path) -> None:
    """The report holds no bytes of failed items, whether they were sent or not."""
    (tmp_path / "a.gif").write_bytes(b"no GIF at all")
    items = [
        b"no image", ImageFile(data=b"GIF"), ImageFile(data=b"GIF89a\x08\0\x08\0BAD"),
        ImageFile(data=b"GIF89a\x08\0\x08\0good", tags=["no such tag"]), io.BytesIO(b"no image"),
        ImageFile(file=io.BytesIO(b"GIF89a\x08\0\x08\0"), name="b.gif", tags=["none"]),
        tmp_path / "a.gif",
    ]  # fmt: skip

    async def main() -> None:
        async with _project() as project:
            report = await _failed(project.upload_images(items))
        assert {result.index for result in report.failures} == set(range(len(items)))
        assert content_in(report) == []
        assert [r.item for r in report.failures if r.index == 6] == [tmp_path / "a.gif"]

    virtual.run(main())


def test_bytes_that_were_read_ahead_are_not_kept(tmp_path: Path) -> None:
    """Files that were prefetched but not sent, because the key was refused, are kept by
    path only.
    """
    for number in range(100):
        (tmp_path / f"{number:03}.gif").write_bytes(b"GIF89a\x08\0\x08\0" + bytes([number]))

    async def main() -> None:
        async with _project(refused=True) as project:
            report = await _failed(project.upload_images(images_in(tmp_path)))
        assert report.failed == 100
        assert content_in(report) == []
        paths = sorted(str(result.item.path) for result in report.failures)
        assert paths == sorted(str(path) for path in tmp_path.iterdir())

    virtual.run(main())


@asynccontextmanager
async def _project(*, refused: bool = False) -> AsyncIterator[ProjectClient]:
    """Yield a project of a fake service, which may refuse the key from the second request on."""
    faults = Faults(Random(1), rate=0.0)
    if refused:
        faults.for_ever = 1, "unauthorized"
    service = Service(Random(1), faults=faults)
    async with virtual.client_of(service, "client") as training:
        yield training.get_project_client(service.project_id)


async def _failed(one: Any) -> BatchReport:
    with pytest.raises(BatchError) as caught:
        await one
    report = caught.value.report
    assert isinstance(report, BatchReport)
    return report


def test_an_item_that_raises_when_it_is_looked_at_is_named_by_its_kind() -> None:
    """Keeping it in the report does not end the run."""
    assert reference_of(_Raises()) == ItemReference("_Raises")
