"""The key is in its header only (S1, S2, S5): no output of the client shows a canary under any
fault.
"""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from customvision_async import (
    CustomVisionError,
    ImageFile,
    KeyCredential,
    Retry,
    Timeouts,
    TrainingClient,
)
from customvision_async.emulator import Emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio

CANARY = "CaNaRy+/=0123456789abcdefCaNaRy"
DISGUISES = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode(),
    quote(CANARY, safe=""),
    CANARY.encode().hex(),
)
FAULTS: list[dict[str, Any]] = [
    *(
        {"kind": "status", "status": status}
        for status in (400, 401, 403, 404, 408, 409, 413, 429, 500, 503)
    ),
    *(
        {"kind": kind}
        for kind in (
            "reset",
            "reset_in_body",
            "lost_answer",
            "truncated_answer",
            "html",
            "garbage",
            "wrong_shape",
            "empty",
        )
    ),
    {"kind": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
    {"kind": "header_flood"},
]


def shown(text: str) -> list[str]:
    """Return the forms of the key that `text` contains."""
    return [disguise for disguise in DISGUISES if disguise in text]


def all_of(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """Return an exception with its causes, contexts and members."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in (error.__cause__, error.__context__, *members):
        yield from all_of(other, seen)


def with_locals(error: BaseException) -> str:
    """Return the data of a crash reporter: repr, text, and the locals of the frames of the
    package.
    """
    text = repr(error) + str(error) + repr(vars(error))
    for one in all_of(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if (
                "customvision_async" in frame.f_code.co_filename
                or "aiohttp" in frame.f_code.co_filename
            ):
                text += repr(frame.f_locals)
    return text


@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}".rstrip("-")
)
async def test_no_fault_brings_the_key_to_light(
    fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """No DEBUG log, exception with the locals of its frames, or report contains the key."""
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    async with (
        Emulator(training_key=CANARY) as emulator,
        TrainingClient(
            emulator.endpoint,
            CANARY,
            retry=Retry(max_attempts=2, initial_backoff=0.001, throttle_backoff=0.001, deadline=1),
            timeouts=Timeouts(read=2),
        ) as training,
    ):
        project = await training.create_project("Orchard")
        emulator.faults.add(**fault, times=None)
        run = project.upload_images([ImageFile(data=image_bytes(seed)) for seed in range(3)])
        for attempt in (run, training.operations.get_projects()):
            try:
                await attempt
            except CustomVisionError as error:
                errors.append(error)
        assert errors
        assert not shown(repr(run.report))
        assert not shown("".join(with_locals(error) for error in errors))
        assert not shown(caplog.text)
        assert not shown(repr(training) + repr(project) + repr(vars(training)))
        for request in emulator.requests:
            assert not shown(request.path + str(request.query) + str(request.headers))


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [("ftp://x", CANARY), ("https://x.example", f"{CANARY}\n"), ("https://x.example", "a\r\nb")],
)
def test_a_client_that_cannot_be_made_does_not_show_the_key(endpoint: str, key: str) -> None:
    """A wrong endpoint or a key with a newline: no local of the frames shows the key."""
    with pytest.raises(ValueError, match=r"endpoint|key") as caught:
        TrainingClient(endpoint, key)
    assert not shown(with_locals(caught.value))
    assert key not in with_locals(caught.value)


def test_a_credential_cannot_be_carried_away(tmp_path: Path) -> None:
    """No repr, format, pickle, copy or vars of a credential contains the key."""
    credential = KeyCredential(CANARY)
    for text in (repr(credential), str(credential), f"{credential}", f"{credential!r:>40}"):
        assert not shown(text)
    for carry in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            carry(credential)
    assert not hasattr(credential, "__dict__")
