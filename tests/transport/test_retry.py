"""The decisions whether and when to retry, without a loop or a clock."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customvision_async._options import Retry
from customvision_async._transport.base import Request, Response
from customvision_async._transport.retry import (
    CertificateError,
    RetryBudget,
    RetryPolicy,
    may_have_effect_of,
    parse_retry_after,
)
from customvision_async.errors import ConnectError, RequestTimeout, ResponseLost, TransportError

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
ONCE = Request("POST", "https://x.example/train", "TrainProject", repeatable=False)
OFTEN = Request("POST", "https://x.example/images", "CreateImagesFromData")


def response(status: int, body: bytes = b"", **headers: str) -> Response:
    """Return a response. The names of headers have underscores instead of dashes."""
    return Response(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


def decide(
    outcome: Response | TransportError,
    request: Request = OFTEN,
    *,
    attempts: int = 1,
    refusals: int = 0,
    elapsed: float = 0.0,
    options: Retry | None = None,
    seed: int = 1,
    reachable: bool = True,
) -> float | None:
    """Return the decision of a new policy."""
    policy = RetryPolicy(options or Retry(), Random(seed))
    return policy.decide(
        request,
        outcome,
        attempts=attempts,
        refusals=refusals,
        elapsed=elapsed,
        now=NOW,
        reachable=reachable,
    )


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "3"}, b"", 3.0),
        ({"retry-after": "0"}, b"", 0.0),
        ({"retry-after": " 2.5 "}, b"", 2.5),
        ({"retry-after": "1000000000"}, b"", 1e9),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, b"", 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, b"", 0.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 -0000"}, b"", 30.0),
        ({"retry-after-ms": "250"}, b"", 0.25),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "9"}, b"", 1.5),
        ({}, b'{"message":"... pricing tier. Please retry after 1 second. To increase ..."}', 1.0),
        ({}, b"Please Retry After 20 seconds", 20.0),
        ({}, b"retry after 2 minutes", 120.0),
        ({"retry-after": "soon"}, b"Please retry after 4 seconds", 4.0),
        *(
            ({"retry-after": text}, b"", None)
            for text in (
                "",
                "inf",
                "nan",
                "-5",
                "1e9",
                "abc",
                "5, 6",
                "\uff15",
                "0x10",
                "1_000",
                "9" * 400,
                "Tue, 99 Nov 2023 99:00:00 GMT",
                "+5",
            )
        ),
        ({}, b"retry after some time", None),
        ({}, b"", None),
    ],
)
def test_retry_after_is_read_in_every_form(
    headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    """Seconds, dates, milliseconds and the service's sentence. Unreadable values are ignored."""
    assert parse_retry_after(headers, body, NOW) == seconds


@given(st.text(), st.binary(max_size=200))
def test_no_retry_after_is_negative_or_an_error(text: str, body: bytes) -> None:
    """For any header and body, the result is None or a finite number of seconds."""
    seconds = parse_retry_after({"retry-after": text, "retry-after-ms": text}, body, NOW)
    assert seconds is None or 0 <= seconds < 1e13


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_troubles_are_tried_again(status: int) -> None:
    """The statuses of temporary errors."""
    assert decide(response(status), refusals=1) is not None


@pytest.mark.parametrize(
    "status", [200, 202, 207, 400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 431, 501, 505]
)
def test_what_would_fail_alike_is_not(status: int) -> None:
    """Successes, and errors of the request itself."""
    assert decide(response(status, retry_after="1")) is None


@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        (ConnectError("refused"), True),
        (RequestTimeout("connect", sent=False), True),
        (response(429), True),
        (RequestTimeout("read", sent=True), False),
        (ResponseLost("reset"), False),
        (response(408), False),
        (response(500), False),
        (response(503), False),
    ],
)
def test_what_may_not_be_repeated_is_sent_again_only_if_it_was_not_taken_up(
    outcome: Response | TransportError, again: bool
) -> None:
    """Training a project twice is worse than an error."""
    assert (decide(outcome, ONCE, refusals=1) is not None) is again
    assert decide(outcome, OFTEN, refusals=1) is not None
    assert may_have_effect_of(outcome) is not again


def test_attempts_are_bounded_and_refusals_are_not_among_them() -> None:
    """The default is eight attempts. A 429 may occur more often, until the deadline."""
    assert decide(response(503), attempts=7) is not None
    assert decide(response(503), attempts=8) is None
    assert decide(response(429), attempts=8, refusals=50) is not None


def test_some_troubles_pass_sooner_or_never() -> None:
    """An invalid certificate is not retried. An endpoint that never responded gets three
    attempts.
    """
    assert decide(CertificateError("expired")) is None
    for unsent in (ConnectError("typo"), RequestTimeout("no connection", sent=False)):
        assert decide(unsent, attempts=2, reachable=False) is not None
        assert decide(unsent, attempts=3, reachable=False) is None
        assert decide(unsent, attempts=7, reachable=True) is not None


def test_no_attempt_starts_after_the_deadline() -> None:
    """The wait counts: no attempt starts after the deadline."""
    assert decide(response(429, retry_after="10"), refusals=1, elapsed=290) == 10
    assert decide(response(429, retry_after="11"), refusals=1, elapsed=290) is None
    assert decide(response(503), elapsed=301) is None


@pytest.mark.parametrize(("status", "scale"), [(503, 0.25), (429, 1.0)])
@pytest.mark.parametrize("failures", [1, 3, 10, 5000])
def test_backoff_is_full_jitter_up_to_a_most(status: int, scale: float, failures: int) -> None:
    """Uniform between 0 and scale x 2**n, at most 30 s."""
    options = Retry(max_attempts=10_000)
    waits = [
        decide(response(status), attempts=failures, refusals=failures, seed=seed, options=options)
        or 0.0
        for seed in range(300)
    ]
    maximum = min(30.0, scale * 2.0 ** min(failures, 60))
    assert max(waits) <= maximum
    assert max(waits) > 0.9 * maximum
    assert min(waits) < 0.1 * maximum


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_is_obeyed_and_clamped(status: int) -> None:
    """The wait is never shorter than requested, and at most two minutes."""
    for seed in range(50):
        assert 7.0 <= (decide(response(status, retry_after="7"), refusals=1, seed=seed) or 0) <= 7.5
        assert decide(response(status, retry_after="999999"), refusals=1, seed=seed) == 120


@given(st.lists(st.booleans(), max_size=300))
def test_retries_stay_within_their_share(steps: list[bool]) -> None:
    """At every moment, retries are at most 20 % of the requests plus the minimum."""
    budget = RetryBudget(0.2, 10)
    requests = retries = 0
    for is_request in steps:
        if is_request:
            budget.request()
            requests += 1
        else:
            retries += budget.retry()
        assert retries <= 10 + 0.2 * requests + 1e-6


def test_good_years_do_not_pay_for_a_storm() -> None:
    """The saved budget is at most 500."""
    budget = RetryBudget(0.2, 10)
    for _ in range(1_000_000):
        budget.request()
    assert sum(budget.retry() for _ in range(10_000)) == 500
