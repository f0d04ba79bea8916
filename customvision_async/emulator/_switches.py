"""The switches: behaviour of the real service that no evidence settles, and settings for tests.

:class:`Switches` is the one table: each field has its default, the values it accepts and the source
of the knowledge. :data:`SWITCHES` holds the same as rows. A default follows the evidence if there
is any, and otherwise is the harder case for a client. A test suite should pass with every setting.

A profile is a JSON file ``{"switches": {"cors": false, ...}}``. Its other members are ignored.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, get_args, get_origin, get_type_hints

from ._arguments import check_names, check_values

__all__ = [
    "SWITCHES",
    "Grade",
    "Switch",
    "SwitchChanges",
    "Switches",
    "profile_text",
    "read_profile",
]

Grade = Literal["R", "A", "B", "C", "T"]
"""The evidence for a default.

R: a recording. A: Microsoft's code, documents or engineers. B: a first-hand test against a real
project. C: unknown or inferred. T: not about the service, for tests only.
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch.

    A `meaning` of the form "X, or Y" describes True, then False. For a switch with more values it
    describes them in their order. `line` is the line in the table of evidence (D1 to D18), or
    empty. `values` are all values the switch accepts. For a number they are the values that tests
    try.
    """

    name: str
    meaning: str
    default: Any
    values: tuple[Any, ...]
    grade: Grade
    line: str = ""
    source: str = ""

    @property
    def open(self) -> bool:
        """Whether the switch describes the real service, so that a real resource can settle it."""
        return self.grade != "T"


def _switch(
    default: T,
    meaning: str,
    *,
    grade: Grade = "C",
    line: str = "",
    source: str = "",
    values: tuple[T, ...] = (),
) -> T:
    """Return a field of `Switches`. Only numbers need `values`: other types list their own."""
    metadata = {
        "meaning": meaning,
        "grade": grade,
        "line": line,
        "source": source,
        "values": values,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Switches:
    """Settings for behaviour of the service that is unknown or varies."""

    # Uploads.

    shuffle_results: bool = _switch(
        True,
        "Return the results of a batch in another order than sent, or in the same order.",
        grade="R",
        source="training-v3.0/CreateTrainedImageClassificationProject.dev-instance",
    )
    deduplicate: bool = _switch(
        True,
        "Return OKDuplicate for an image whose bytes the project has already, or store it again.",
        grade="A",
        source="the enum ImageCreateStatus",
    )
    duplicates_in_batch: bool = _switch(
        True,
        "Also treat the same bytes twice in one batch as a duplicate.",
    )
    duplicate_has_image: bool = _switch(
        True,
        "OKDuplicate contains the existing image, or null.",
    )
    duplicate_merges_tags: bool = _switch(
        True,
        "OKDuplicate adds the tags, regions and metadata of the request to the existing "
        "image, or leaves the image unchanged.",
        grade="A",
        line="D11",
        source="cognitive-services-python-sdk-samples#56 (a service engineer)",
    )
    duplicate_is_success: bool = _switch(
        False,
        "A batch with OKDuplicate has isBatchSuccessful true (and status 200), or false.",
        grade="B",
        source="cognitive-services-python-sdk-samples#98 and two public apps",
    )
    multi_status: bool = _switch(
        True,
        "From v3.3 on, a batch with a failure has status 207, or 200.",
        grade="A",
        source="Training-v3.3.json",
    )
    failed_image_is_null: bool = _switch(
        True,
        'A failed result has "image": null, or no such key (published examples show both).',
    )
    quoted_file_names: bool = _switch(
        True,
        "sourceUrl of a data upload keeps the quotes around the file name, or drops them.",
        grade="R",
        source="training-v3.4-preview/CreateImagesFromData",
    )
    entry_tags_add: bool = _switch(
        True,
        "tagIds of an entry are added to those of the batch, or replace them.",
    )
    unknown_tag: Literal["batch", "image"] = _switch(
        "batch",
        "Up to v3.3, an unknown tag id in one entry fails the whole batch with 400, or only "
        "that image with ErrorUnknown.",
        line="D14",
        source="cognitive-services-python-sdk-samples#56 suspects it; "
        "v3.4-preview has ErrorInvalidTag",
    )
    tag_limit_over_all: bool = _switch(
        True,
        "The limit of 20 tags applies to the distinct tags of batch, entries and regions "
        "together, or to each list separately.",
    )
    spoiled_batches: bool = _switch(
        False,
        "One bad image makes every result of its batch ErrorUnknown, or fails alone.",
        source="Cognitive-CustomVision-Windows#20 (2018)",
    )
    all_bad_is_400: bool = _switch(
        False,
        'A batch without a good image fails with 400 "No valid image files", or returns a '
        "list of results.",
        source="azure-sdk-for-python#17734",
    )
    turned_size: bool = _switch(
        False,
        "Width, height and regions refer to the image after its EXIF orientation is applied, "
        "or as stored.",
    )
    body_bytes: int = _switch(
        56_000_000,
        "Maximum size of a request body in bytes. A larger one fails with 408.",
        source="Cognitive-CustomVision-Windows#13 (batches above some 55 MB)",
        values=(56_000_000, 100_000_000),
    )

    # Tags, regions, images.

    names_ignore_case: bool = _switch(
        True,
        '"Apple" and "apple" are the same tag name (as SQL Server compares by default), or '
        "two names.",
    )
    strict_ids: bool = _switch(
        False,
        "Reject an unknown id in a delete or untag with 404, or ignore it.",
    )
    strict_metadata: bool = _switch(
        True,
        "Limit metadata to 10 pairs of 128 and 256 characters (v3.4-preview and the portal's "
        "page), or to 50 pairs of 256 and 512 (v3.3).",
    )
    null_lists: bool = _switch(
        False,
        "Return null for an empty list in v1.2 to v2.2, and in the tag summary of any "
        "version. The schemas allow it.",
    )
    repeated_region_is_400: bool = _switch(
        True,
        'The same region twice in one batch fails with 400 "Duplicate image regions" and '
        "creates nothing, or the second is reported as duplicated.",
        grade="B",
        line="D7",
        source="two tests against a real project",
    )
    shuffle_created: bool = _switch(
        True,
        "Return created[] of regions in another order than sent, or in the same order.",
        grade="B",
        line="D7",
        source="two tests against a real project",
    )

    # Training, iterations, projects.

    newest_iteration_first: bool = _switch(
        True,
        "GetIterations lists the newest iteration first, or the oldest.",
        grade="A",
        line="D3",
        source="azure-intelligent-edge-patterns; azure-docs#77596",
    )
    workspace_listed: bool = _switch(
        False,
        "v1.2 lists the workspace, whose status is New, among the iterations, or returns it "
        "only by its id.",
        line="D16",
        source="azure-sdk-for-python#1873 (an engineer) says that it is there, not where",
    )
    republish_is_400: bool = _switch(
        True,
        'Publishing a published iteration again fails with 400 "Iteration is already '
        'published as: ..." even with overwrite, or overwrite renames it.',
        grade="B",
        line="D9",
        source="a test against a real project",
    )
    empty_tag_stops_training: Literal["detection", "always", "never"] = _switch(
        "detection",
        'A tag without images fails a training with 400 "Not enough images per tag for '
        'training" in detection projects, in all projects, or in none.',
        grade="B",
        line="D10",
        source="a test against a real project (seen for detection)",
    )
    newer_domains: bool = _switch(
        True,
        "Offer the 18 domains of today, or the 14 of 2020.",
        grade="A",
        line="D12",
        source="Microsoft Learn, select-domain; 14 in training-v3.4-preview/DomainsApiTests",
    )
    quota_is_401: bool = _switch(
        False,
        "Too many projects fail with 401 Access Denied, or with 400 BadRequestExceedProjectLimit.",
        source="azure-sdk-for-python#2800",
    )

    # Addresses of images.

    vnet: bool = _switch(
        False,
        "Image addresses are relative paths for GetArtifact (from v3.3 on, for resources in a"
        " virtual network), or absolute.",
        grade="A",
        source="Training-v3.3.json",
    )
    address_seconds: float = _switch(
        86_400.0,
        "Seconds until the signed address of an image expires.",
        grade="R",
        source="every recording with images (24 hours)",
        values=(86_400.0, 600.0),
    )
    originals_kept: bool = _switch(
        True,
        "originalImageUri returns the uploaded bytes, or the image encoded again.",
    )
    cross_resource_fetch: bool = _switch(
        True,
        "CreateImagesFromUrls fetches image addresses of another resource, or fails with "
        "ErrorSource.",
    )

    # Requests.

    json_reader: Literal["quotes", "lenient", "strict"] = _switch(
        "quotes",
        "Accept JSON with single quotes, or also unquoted names, comments, trailing commas "
        "and a BOM, or only strict JSON.",
        grade="A",
        line="D2",
        source="AI-900 labs (single quotes); the rest is what Json.NET takes",
    )
    repeated_query: Literal["all", "last"] = _switch(
        "all",
        "Use all values of a list that is given twice in the query (tagIds=A&tagIds=B), or "
        "only the last.",
        line="D8",
        source="custom-vision-client sends it (v1.0)",
    )
    cors: bool = _switch(
        True,
        "Let browsers call the API: answer preflights and send Access-Control-Allow-Origin.",
        line="D6",
        source="VoTT's web build and several pages call it",
    )
    retry_after: Literal["seconds", "date", "none"] = _switch(
        "seconds",
        "A 429 has Retry-After in seconds, as a date, or not at all (only its text says when "
        "to retry).",
    )
    refuse_early: bool = _switch(
        False,
        "Send 401 and 429 before the body is read, or after.",
    )
    counting: Literal["second", "bucket"] = _switch(
        "second",
        "Count the requests of the last second at any time, or use a bucket that holds the "
        "requests of one second and refills evenly.",
    )
    penalty: bool = _switch(
        False,
        "After a 429, reject every request until its Retry-After has passed, or apply only "
        "the rate.",
    )

    # For tests.

    check_images: Literal["header", "decode", "none"] = _switch(
        "header",
        "Inspect the header of an upload, every pixel (slower), or nothing (for soak tests: "
        "all images are 1 x 1).",
        grade="T",
    )
    keep_images: bool = _switch(
        True,
        "Store and serve the bytes of uploaded images, or only their digest, so that memory "
        "stays flat in soak tests.",
        grade="T",
    )
    allow_internet: bool = _switch(
        False,
        "Fetch images by URL from anywhere, or only from loopback and data: URLs.",
        grade="T",
    )
    training_seconds: float = _switch(
        0.2,
        "Seconds that a training takes.",
        grade="T",
    )
    export_seconds: float = _switch(
        0.0,
        "Seconds that the export of an iteration takes. The first response always says Exporting.",
        grade="T",
    )
    import_seconds: float = _switch(
        0.0,
        "Seconds that the import of a project takes. The first response always says Importing.",
        grade="T",
    )
    delete_all_seconds: float = _switch(
        0.0,
        "Seconds until DeleteImages with allImages takes effect.",
        grade="T",
    )
    think_seconds: float = _switch(
        0.0,
        "Seconds between the end of a request's body and the response.",
        grade="T",
    )

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a switch with an invalid value."""
        check_values(dataclasses.asdict(self), _types())

    @classmethod
    def combinations(cls, *names: str) -> list[Switches]:
        """Return every combination of the named two-valued switches."""
        every: list[dict[str, Any]] = [
            dict(zip(names, values, strict=True))
            for values in itertools.product((False, True), repeat=len(names))
        ]
        return [dataclasses.replace(cls(), **values) for values in every]


@functools.cache
def _types() -> dict[str, Any]:
    return get_type_hints(Switches)


def _row(field: dataclasses.Field[Any]) -> Switch:
    about = field.metadata
    kind = _types()[field.name]
    values = about["values"] or (field.default,)
    if kind is bool:
        values = (field.default, not field.default)
    elif get_origin(kind) is Literal:
        values = get_args(kind)
    return Switch(
        field.name,
        about["meaning"],
        field.default,
        values,
        about["grade"],
        about["line"],
        about["source"],
    )


SWITCHES: dict[str, Switch] = {field.name: _row(field) for field in dataclasses.fields(Switches)}
"""The switches by name, in the order of the table."""

Switches.__doc__ = "\n".join(
    [
        Switches.__doc__ or "",
        "",
        "Args:",
        *(f"    {row.name} ({row.default!r}): {row.meaning}" for row in SWITCHES.values()),
    ]
)


def read_profile(path: str | Path) -> dict[str, Any]:
    """Return the switches that a profile sets, by name.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a profile, or gives a switch an invalid value.
    """
    try:
        profile = json.loads(Path(path).read_text(encoding="utf-8"))
        switches = profile["switches"]
        if not isinstance(switches, Mapping):
            raise TypeError("'switches' must be a JSON object")
        check_names(list(switches), list(SWITCHES))
        Switches(**switches)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = "it has no 'switches'" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is not a profile of the emulator: {reason}") from error
    return dict(switches)


def profile_text(switches: Mapping[str, Any], **more: Any) -> str:
    """Return the text of a profile that sets these switches. `more` are further members of it."""
    check_names(list(switches), list(SWITCHES))
    return json.dumps(more | {"switches": dict(switches)}, indent=2, ensure_ascii=False) + "\n"


class SwitchChanges(TypedDict, total=False):
    """The switches as keyword arguments, for type checkers. See :class:`Switches`."""

    shuffle_results: bool
    deduplicate: bool
    duplicates_in_batch: bool
    duplicate_has_image: bool
    duplicate_merges_tags: bool
    duplicate_is_success: bool
    multi_status: bool
    failed_image_is_null: bool
    quoted_file_names: bool
    entry_tags_add: bool
    unknown_tag: Literal["batch", "image"]
    tag_limit_over_all: bool
    spoiled_batches: bool
    all_bad_is_400: bool
    turned_size: bool
    body_bytes: int
    names_ignore_case: bool
    strict_ids: bool
    strict_metadata: bool
    null_lists: bool
    repeated_region_is_400: bool
    shuffle_created: bool
    newest_iteration_first: bool
    workspace_listed: bool
    republish_is_400: bool
    empty_tag_stops_training: Literal["detection", "always", "never"]
    newer_domains: bool
    quota_is_401: bool
    vnet: bool
    address_seconds: float
    originals_kept: bool
    cross_resource_fetch: bool
    json_reader: Literal["quotes", "lenient", "strict"]
    repeated_query: Literal["all", "last"]
    cors: bool
    retry_after: Literal["seconds", "date", "none"]
    refuse_early: bool
    counting: Literal["second", "bucket"]
    penalty: bool
    check_images: Literal["header", "decode", "none"]
    keep_images: bool
    allow_internet: bool
    training_seconds: float
    export_seconds: float
    import_seconds: float
    delete_all_seconds: float
    think_seconds: float
