"""Bad data and a bad environment: a typed error or a reported failure, but no crash and no hang."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import BatchError, Concurrency, DecodeError, ImageFile, RateLimitError
from customvision_async._versions import ApiVersion
from customvision_async._wire.operations import OPERATIONS
from customvision_async._wire.responses import decode_response, error_from
from customvision_async.models import TagType
from tests.support import virtual_network as virtual
from tests.support.fake_service import BASE, Service
from tests.support.faults import Faults

from .support.emulated_project import project_on_emulator
from .support.images import fill, image_bytes

IMAGES = [image_bytes(seed, size=(24, 16)) for seed in range(30)]


@pytest.mark.anyio
@pytest.mark.parametrize("count", [0, 1, 64, 65, 130])
async def test_any_number_of_the_same_image_is_one_image(count: int) -> None:
    """None, one, a batch, one more: the image exists once, with its tag, and every item has an
    outcome.
    """
    async with project_on_emulator(tags=("a",)) as one:
        report = await one.project.upload_images([ImageFile(data=IMAGES[0], tags=["a"])] * count)
        assert report.submitted == report.succeeded == count
        assert report.duplicates == max(0, count - 1)
        assert await one.tag_counts() == ({"a": 1} if count else {})


@pytest.mark.anyio
async def test_a_negative_tag_beside_another_costs_its_own_image_alone() -> None:
    """The service refuses the pair. The other images of the batch are uploaded."""
    async with project_on_emulator(tags=("a",)) as one:
        await one.project.create_tag("none", type=TagType.NEGATIVE)
        items = [ImageFile(data=data, tags=["a"]) for data in IMAGES[:9]]
        items.insert(4, ImageFile(data=IMAGES[9], tags=["a", "none"]))
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(items)
        assert [failure.status for failure in caught.value.report.failures] == [
            "ErrorNegativeAndRegularTagOnSameImage"
        ]
        assert caught.value.report.succeeded == len(await one.images()) == 9


@pytest.mark.anyio
async def test_a_tag_that_is_renamed_in_mid_run_keeps_its_images() -> None:
    """Names are looked up once: items with the old name get the same tag."""
    async with project_on_emulator(tags=("old",)) as one:

        async def source() -> AsyncIterator[ImageFile]:
            for number, data in enumerate(IMAGES):
                if number == 15:
                    await one.project.update_tag("old", name="new")
                yield ImageFile(data=data, tags=["old"])

        report = await one.project.upload_images(source())
        assert report.succeeded == len(IMAGES)
        assert await one.tag_counts() == {"new": len(IMAGES)}


@pytest.mark.anyio
async def test_a_project_that_is_full_takes_what_it_can_and_the_rest_say_so() -> None:
    """The quota is reached within a batch: it is filled, and the other items have the reason."""
    async with project_on_emulator() as one:
        resource = one.emulator._resource
        assert resource is not None
        resource.quota = dataclasses.replace(resource.quota, images=11)
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(IMAGES)
        report = caught.value.report
        assert report.succeeded == len(await one.images()) == 11
        assert {failure.status for failure in report.failures} == {"ErrorLimitExceed"}
        assert report.failed == len(IMAGES) - 11


_FEW_DESCRIPTORS = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from customvision_async import TrainingClient, images_in
async def main(endpoint, key, project, folder):
    async with TrainingClient(endpoint, key) as training:
        upload = training.get_project_client(project).upload_images(
            images_in(folder, tags_from_folders=True), create_missing_tags=True
        )
        report = await upload
        print(report.submitted, report.succeeded)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
async def test_few_file_descriptors_are_enough(tmp_path: Path) -> None:
    """Hundreds of files are uploaded with 64 file descriptors."""
    import anyio

    fill(tmp_path, ("a", "b", "c", "d"), 100, size=(16, 12))
    async with project_on_emulator() as one:
        command = [
            sys.executable,
            "-c",
            _FEW_DESCRIPTORS,
            one.emulator.endpoint,
            one.emulator.training_key,
            one.project.id,
            str(tmp_path),
        ]
        done = await anyio.run_process(command, check=False, stderr=subprocess.PIPE)
        assert done.stdout.split() == [b"400", b"400"], done.stderr.decode()[-2000:]
        assert len(await one.images()) == 400


def test_a_quota_that_is_used_up_ends_the_run_within_the_hour() -> None:
    """Every request is refused forever: the run ends with that error after a few chunks."""
    service = Service(Random(1), faults=Faults(Random(2)))
    service.faults.for_ever = (3, "throttled")

    async def main() -> tuple[float, int]:
        import asyncio

        async with virtual.client_of(
            service, "quota", concurrency=Concurrency(max_requests=1)
        ) as training:
            run = training.get_project_client(service.project_id).upload_images(
                ImageFile(data=b"GIF89a\x08\x00\x08\x00%d" % n) for n in range(64_000)
            )
            with pytest.raises(BatchError) as caught:
                await run
            report = caught.value.report
            assert isinstance(report.abort_cause, RateLimitError)
            assert report.submitted == report.succeeded + report.failed < 2000
            assert report.succeeded == len(service.images) == 128
        return asyncio.get_running_loop().time(), service.total

    seconds, calls = virtual.run(main())
    assert seconds < 3600
    assert calls < 1000


def test_a_clock_that_is_set_back_by_an_hour_delays_nothing_for_long() -> None:
    """A Retry-After with a date is later than it should be: the wait is limited like any other."""
    service = Service(Random(1), faults=Faults(Random(2), rate=0.5, kinds={"throttled": 1.0}))

    async def main() -> float:
        import asyncio

        loop = asyncio.get_running_loop()

        def clock() -> float:
            return BASE.timestamp() + loop.time() - (3600.0 if loop.time() > 1.0 else 0.0)

        async with virtual.client_of(service, "clock", clock=clock) as training:
            project = training.get_project_client(service.project_id)
            report = await project.upload_images(
                [ImageFile(data=b"GIF89a\x08\x00\x08\x00" + bytes([n])) for n in range(200)]
            )
            assert report.succeeded == 200
        return loop.time()

    assert virtual.run(main()) < 1800.0


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["id", "images", "status", "created", "tags", "image", "isBatchSuccessful", "regions",
         "name", "code", "message", "error"]
    ), inner, max_size=6), max_leaves=12,
)  # fmt: skip
_WRITTEN = _JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
_BODIES = st.binary(max_size=80) | _WRITTEN | _WRITTEN.map(lambda body: body[: len(body) * 2 // 3])


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(OPERATIONS)),
    st.sampled_from(ApiVersion),
    _BODIES,
    st.sampled_from(["application/json", "text/html", ""]),
)
def test_no_body_can_do_worse_than_a_decode_error(
    name: str, version: ApiVersion, body: bytes, kind: str
) -> None:
    """A success is a model or a DecodeError, an error is a ServiceError, whatever the body."""
    row = OPERATIONS[name]
    if row.api != "Training" or not row.first <= version <= row.last:
        return
    try:
        decode_response(row, version, 200, {"content-type": kind}, body)
    except DecodeError:
        pass
    assert str(error_from(row, 500, {"content-type": kind}, body))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'{"images":NaN,"isBatchSuccessful":true}',
        b'{"isBatchSuccessful":true,"images":[{"status":"OK","sourceUrl":"\\ud800"}]}',
    ],
    ids=["deep list", "deep object", "NaN", "lone surrogate"],
)
def test_json_of_the_worst_sort(body: bytes) -> None:
    """Nested ten thousand deep, NaN, half of a surrogate pair: DecodeError at once."""
    with pytest.raises(DecodeError):
        decode_response(
            OPERATIONS["CreateImagesFromData"],
            ApiVersion.V3_3,
            200,
            {"content-type": "application/json"},
            body,
        )
    assert "500" in str(error_from(OPERATIONS["CreateImagesFromData"], 500, {}, body))


def test_a_key_that_comes_twice_and_an_unknown_status_are_taken() -> None:
    """The last of two keys counts. An unknown status is kept."""
    body = (
        b'{"isBatchSuccessful":false,"isBatchSuccessful":true,'
        b'"images":[{"status":"ErrorOfTomorrow","sourceUrl":"x","new":[1]}]}'
    )
    value = decode_response(OPERATIONS["CreateImagesFromData"], ApiVersion.V3_3, 200, {}, body)
    assert value.is_batch_successful
    assert value.images[0].status == "ErrorOfTomorrow"
    assert msgspec.to_builtins(value.images[0].source_url) == "x"
