"""The mutants: one mistake each, such as a tired person might make, and the tests that must see it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTANTS", "QUICK", "Mutant"]

CAMPAIGN = (
    "-m",
    "tests.campaign",
    "--seeds",
    "400",
    "--items",
    "24",
    "--jobs",
    "1",
    "--out",
    "mutant.md",
    "--stop",
)
"""A share of the fault campaign, which ends at the first problem."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """In `file`, `old` (which stands there once) becomes `new`. `killers` are arguments of Python: one of them must fail."""

    name: str
    file: str
    old: str
    new: str
    killers: tuple[tuple[str, ...], ...] = (CAMPAIGN,)


def _tests(*names: str) -> tuple[tuple[str, ...], ...]:
    return (
        (
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            *(f"tests/{name}.py" for name in names),
        ),
    )


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a result that is missing is taken as success",
        "_project/uploads.py",
        "        unit.in_doubt = True  # it may have landed all the same\n        return UNANSWERED",
        '        return Done("OK")',
    ),
    Mutant(
        "results are joined by their order",
        "_project/uploads.py",
        "        found = (by_name.get(name) for name in names)",
        "        found = [*results, *([None] * len(units))][: len(list(names))]",
    ),
    Mutant(
        "only the first of the refused items goes again",
        "_batch/settler.py",
        "[unit for unit, _ in smaller], tries",
        "[unit for unit, _ in smaller[:1]], tries",
    ),
    Mutant(
        "a success is told before its tags are added",
        "_project/uploads.py",
        "return await self._completed(units, outcomes)",
        "return outcomes",
    ),
    Mutant(
        "tags of a picture that was there before are taken for granted",
        "_project/uploads.py",
        '            old = outcome.status != "OK"',
        "            old = False",
    ),
    Mutant(
        "what was sent again after a lost answer is not said to be in doubt",
        "_batching.py",
        "            if creates and meter.in_doubt:",
        "            if False:",
    ),
    Mutant(
        "a duplicate of our own making is called a duplicate",
        "_project/uploads.py",
        'status == "OKDuplicate" and not _is_own_retry(unit, result.image, answer)',
        'status == "OKDuplicate"',
    ),
    Mutant(
        "the tags beyond twenty are forgotten",
        "_project/uploads.py",
        "            add_tags = load.tags + load.after_tags if old else load.after_tags",
        "            add_tags = load.tags if old else ()",
    ),
    Mutant(
        "chunks take any number of tags",
        "_batch/chunker.py",
        "len(base.labels) + new <= limits.labels",
        "True",
    ),
    Mutant(
        "the content-length of base64 is an estimate",
        "_content.py",
        "(piece.size + 2) // 3 * 4",
        "piece.size * 4 // 3",
    ),
    Mutant(
        "pages do not overlap",
        "_paging.py",
        "            self._next += self._size - 1",
        "            self._next += self._size",
        _tests("test_paging"),
    ),
    Mutant(
        "drift of a list is not looked for",
        "_paging.py",
        "        if self._seen and (not page or",
        "        if False and (not page or",
    ),
    Mutant(
        "a list ends with its first full page",
        "_paging.py",
        "        if len(page) < self._size:",
        "        if len(page) <= self._size:",
    ),
    Mutant(
        "one unknown id of many makes them all deleted",
        "_operations/_call.py",
        "            _deletes_one(row)\n            and",
        '            row.method == "DELETE"\n            and',
    ),
    Mutant(
        "items in flight are not in the account",
        "_batch/run.py",
        "for chunk in (*self._under_way.values(), self._chunker.waiting_units())",
        "for chunk in (self._chunker.waiting_units(),)",
    ),
    Mutant(
        "what has landed is still named as unsettled",
        "_batch/work_item.py",
        "        units.settled = True",
        "        pass",
        _tests("batch/test_work_item"),
    ),
    Mutant(
        "what is cut off a span keeps the numbers of its beginning",
        "_batch/work_item.py",
        "self.start + at, ",
        "self.start, ",
    ),
    Mutant(
        "a span that is taken apart forgets how often it was sent",
        "_batch/work_item.py",
        "WorkItem(index, item, load, weight, attempts=attempts, settled=settled)",
        "WorkItem(index, item, load, weight, settled=settled)",
        _tests("batch/test_work_item"),
    ),
    Mutant(
        "a run that was left goes on if the cancellation is swallowed",
        "_batch/run.py",
        "        self._settler.over = True",
        "        pass",
        _tests("batch/test_leaving"),
    ),
    Mutant(
        "retries know no budget",
        "_transport/pipeline.py",
        "        return delay if self._budget.retry() else None",
        "        return delay",
        _tests("transport/test_pipeline"),
    ),
    Mutant(
        "a Retry-After is obeyed however long",
        "_transport/retry.py",
        "min(asked, self._options.max_retry_after)",
        "asked",
        _tests("transport/test_retry", "transport/test_pipeline"),
    ),
    Mutant(
        "there is no jitter",
        "_transport/retry.py",
        "        return self._random.uniform(\n",
        "        return max(\n",
        _tests("transport/test_retry"),
    ),
    Mutant(
        "what may not be repeated is repeated",
        "_transport/retry.py",
        "maybe_taken_up(outcome) and not request.repeatable",
        "False",
        _tests("transport/test_retry", "transport/test_pipeline"),
    ),
    Mutant(
        "503 is the last word",
        "_transport/retry.py",
        "frozenset({408, 429, 500, 502, 503, 504})",
        "frozenset({408, 429, 500, 502, 504})",
        _tests("transport/test_retry", "transport/test_pipeline"),
    ),
    Mutant(
        "refusals for rate count as attempts",
        "_transport/pipeline.py",
        "            journey.refusals += 1",
        "            journey.refusals += 0",
        _tests("transport/test_pipeline"),
    ),
    Mutant(
        "a cancelled call keeps its place in the limiter",
        "_transport/pipeline.py",
        "            self._report(request, journey, type(error).__name__, now() - began, ticket)\n            ticket.abandoned()",
        "            self._report(request, journey, type(error).__name__, now() - began, ticket)",
        _tests("test_cancellation"),
    ),
    Mutant(
        "redirects are followed, with the key",
        "_transport/aiohttp.py",
        "allow_redirects=False",
        "allow_redirects=True",
        _tests("test_security_transport"),
    ),
    Mutant(
        "one file that changed fails its whole batch",
        "_project/uploads.py",
        "    if unit.payload.source is error.blob:",
        "    if True:",
    ),
)

QUICK = (
    "only the first of the refused items goes again",
    "retries know no budget",
    "results are joined by their order",
)
"""Those that every run of the tests tries."""
