"""The controller by itself: invariants under any events, and its figures in a short simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.controller import KINDS, NAMED, Simulation, campaign, ideal, quantile
from customvision_async._options import Concurrency
from customvision_async._transport.controller import Call, Controller

STEP = st.tuples(
    st.sampled_from(["start", "start", "sent", "accepted", "refused", "lost", "abandoned"]),
    st.floats(0, 5),
    st.integers(0, 99),
)


@settings(max_examples=100)
@given(
    st.lists(STEP, max_size=150),
    st.sampled_from(["call", "all"]),
    st.sampled_from([None, 0.5, 10.0]),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_whatever_happens_the_books_are_right(
    steps: list[tuple[str, float, int]],
    on_refusal: str,
    rate: float | None,
    requests: int,
    uploads: int,
) -> None:
    """Limits hold, counts match, and a request can always start in the end."""
    controller = Controller(
        Concurrency(
            max_requests=requests,
            max_uploads=uploads,
            requests_per_second=rate,
            on_throttle=on_refusal,
        )
    )
    now = 0.0
    calls: list[Call] = []
    for what, seconds, which in steps:
        now += seconds
        if what == "start":
            pause = controller.wait(now, upload=bool(which % 2))
            assert pause >= 0
            if pause == 0:
                calls.append(controller.start(now, upload=bool(which % 2)))
        elif calls:
            call = calls[which % len(calls)]
            if what == "sent":
                controller.body_sent(now, call)
            elif what == "refused":
                controller.refused(now, call, None if which % 3 else seconds)
            else:
                getattr(controller, what)(now, call)
        going = [call for call in calls if call.open]
        assert controller.in_flight == len(going) <= requests
        assert (
            controller.uploading
            == sum(call.upload and call.sent is None for call in going)
            <= uploads
        )
        assert 1 <= controller.limit <= requests
        assert controller.rate is None or 0 < controller.rate < math.inf
    for call in calls:
        controller.abandoned(now, call)
    assert controller.wait(now, upload=True) < 200


@pytest.mark.parametrize("strict", [False, True], ids=["one by one", "every call"])
def test_it_comes_close_to_the_oracle(strict: bool) -> None:
    """20 scenarios. ``python -m benchmarks.controller`` runs 80 of any seed."""
    rows = campaign(7, 20, strict=strict)
    assert median(row[0] for row in rows) >= 0.95
    assert quantile([row[0] for row in rows], 0.1) >= (0.5 if strict else 0.8)
    assert median(row[1] for row in rows) <= 0.05


@pytest.mark.parametrize("kind", ["bucket", "window"])
@pytest.mark.parametrize("name", NAMED)
def test_it_keeps_a_quota_full(name: str, kind: str) -> None:
    """95 % of the ideal rate with few refusals, for a token bucket and for a sliding second."""
    scenario = replace(NAMED[name], **KINDS[kind])
    runs = [Simulation(scenario, seed).run() for seed in range(3)]
    assert median(run.accepted for run in runs) >= 0.95 * ideal(scenario)
    assert median(run.refused / (run.refused + run.accepted) for run in runs) <= (
        0.05 if "2 calls" not in name else 0.12
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["think 100 ms, 10 calls/s", "think 2 s, 10 calls/s", "F0: 2 calls/s"]
)
def test_it_lives_with_every_way_of_refusing(name: str, kind: str) -> None:
    """90 % of the rate with few refusals, whether one request is refused or all for a while."""
    scenario = replace(NAMED[name], **KINDS[kind])
    runs = [Simulation(scenario, seed).run() for seed in range(3)]
    assert median(run.accepted for run in runs) >= 0.9 * ideal(scenario)
    assert median(run.refused / run.accepted for run in runs) <= 0.07


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [2.0, 9.9, 30.0])
def test_no_second_sees_a_call_too_many_when_timers_are_late(rate: float, seed: int) -> None:
    """Late requests are caught up with, but no sliding second has more than the rate."""
    random = Random(seed)
    controller = Controller(
        Concurrency(requests_per_second=rate, max_requests=1000, initial_requests=1000)
    )
    now, starts = 0.0, list[float]()
    while now < 15:  # the search beyond a known rate starts later
        while (pause := controller.wait(now, upload=False)) > 0:
            now += pause + random.expovariate(200)
        controller.abandoned(now, controller.start(now, upload=False))
        starts.append(now)
    maximum = math.ceil(rate)
    assert all(
        later - earlier >= 1 - 1e-9
        for earlier, later in zip(starts, starts[maximum:], strict=False)
    )
    assert len(starts) >= 0.94 * rate * now


def test_a_call_refused_long_after_it_began_spoils_no_measure() -> None:
    """Any number of late refusals may arrive: the rate stays a finite number."""
    controller = Controller(
        Concurrency(requests_per_second=10.0, max_requests=1000, initial_requests=1000)
    )
    calls, now = list[Call](), 0.0
    for _ in range(100):
        now += controller.wait(now, upload=False)
        calls.append(controller.start(now, upload=False))
    for call in calls:
        controller.refused(now, call, 1.0)
    for _ in range(100):
        now += controller.wait(now, upload=False)
        controller.refused(now, controller.start(now, upload=False), 1.0)
        now += 2.0
        assert controller.rate is not None
        assert 0 < controller.rate < 11


def test_a_service_that_refuses_every_call_is_noticed() -> None:
    """With a long Retry-After, one or two requests are wasted per pause."""
    run = Simulation(
        replace(NAMED["think 100 ms, 10 calls/s"], strict=True, retry_after=5.0), 1
    ).run()
    assert run.refused <= 0.02 * run.accepted


def test_all_calls_stop_where_that_is_asked_for() -> None:
    """on_throttle="all": nothing starts during a Retry-After, whatever the learnt rate."""
    controller = Controller(Concurrency(on_throttle="all"))
    call = controller.start(0.0, upload=False)
    controller.refused(1.0, call, 10.0)
    assert controller.wait(1.0, upload=False) == 10.0
    assert controller.wait(10.5, upload=False) == pytest.approx(0.5)
