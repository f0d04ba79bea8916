"""The switches: what no public evidence settles about the real service, and what a test may want
turned off.

:class:`Switches` is the one table: each field has its default, the values it can take and where the
knowledge comes from; :data:`SWITCHES` is the same as rows. A default follows the evidence where
there is any, and else is what is harder for a client. A suite is to pass under every setting.

A profile is a JSON file ``{"switches": {"cors": false, ...}}``. Other members of it are not looked
at.
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
"""R is recorded; A is Microsoft's code, documents or engineers; B is a first-hand test against a real
project; C is not known, or inferred; T says nothing about the service: it is for tests."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch. `line` is its line in the table of evidence (D1 to D18), where it has one.

    `values` are all it can take, or, where it is a number, the ones that tests try.
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
        """Whether it is about the real service, so that a real resource can tell which value holds."""
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
    """A field of `Switches`. `values` is for numbers: other types list their values themselves."""
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
    """How the emulator behaves where the service's behaviour is not known, or may be varied."""

    # Uploads.

    shuffle_results: bool = _switch(
        True,
        "Results of a batch come in another order than sent, or in the same.",
        grade="R",
        source="training-v3.0/CreateTrainedImageClassificationProject.dev-instance",
    )
    deduplicate: bool = _switch(
        True,
        "An image whose bytes the project has already is OKDuplicate, or is stored once more.",
        grade="A",
        source="the enum ImageCreateStatus",
    )
    duplicates_in_batch: bool = _switch(
        True, "The same bytes twice in one batch count as a duplicate too."
    )
    duplicate_has_image: bool = _switch(
        True, "OKDuplicate carries the image that was there, or null."
    )
    duplicate_merges_tags: bool = _switch(
        True,
        "OKDuplicate adds the tags, regions and metadata sent to the image that was there, or "
        "leaves it"
        " as it was.",
        grade="A",
        line="D11",
        source="cognitive-services-python-sdk-samples#56 (a service engineer)",
    )
    duplicate_is_success: bool = _switch(
        False,
        "A batch with OKDuplicate in it has isBatchSuccessful true (and 200), or false.",
        grade="B",
        source="cognitive-services-python-sdk-samples#98 and two public apps",
    )
    multi_status: bool = _switch(
        True,
        "From v3.3: 207 when not all is well, or 200.",
        grade="A",
        source="Training-v3.3.json",
    )
    failed_image_is_null: bool = _switch(
        True, 'A failed result has "image": null, or no such key (both are in published examples).'
    )
    quoted_file_names: bool = _switch(
        True,
        "sourceUrl of a data upload keeps the quotes round the file name, or not.",
        grade="R",
        source="training-v3.4-preview/CreateImagesFromData",
    )
    entry_tags_add: bool = _switch(
        True, "tagIds of an entry add to those of the batch, or replace them."
    )
    unknown_tag: Literal["batch", "image"] = _switch(
        "batch",
        "An unknown tag id in one entry, up to v3.3: the whole batch is a 400, or that image "
        "alone is"
        " ErrorUnknown.",
        line="D14",
        source=(
            "cognitive-services-python-sdk-samples#56 suspects it; v3.4-preview has ErrorInvalidTag"
        ),
    )
    tag_limit_over_all: bool = _switch(
        True,
        "The 20 tags of a batch are the distinct ones of batch, entries and regions together, "
        "or each"
        " list counts alone.",
    )
    spoiled_batches: bool = _switch(
        False,
        "One bad image makes every result of its batch ErrorUnknown, or only its own fails.",
        source="Cognitive-CustomVision-Windows#20 (2018)",
    )
    all_bad_is_400: bool = _switch(
        False,
        'A batch in which no image is good is a 400 "No valid image files", or a list of results.',
        source="azure-sdk-for-python#17734",
    )
    turned_size: bool = _switch(
        False,
        (
            "Width, height and regions are of the image as its EXIF orientation turns it, or as it "
            "is stored."
        ),
    )
    body_bytes: int = _switch(
        56_000_000,
        "A larger body ends in 408.",
        source="Cognitive-CustomVision-Windows#13 (batches above some 55 MB)",
        values=(56_000_000, 100_000_000),
    )

    # Tags, regions, images.

    names_ignore_case: bool = _switch(
        True,
        '"Apple" and "apple" are the same name of a tag (as SQL Server compares by default), or two.',
    )
    strict_ids: bool = _switch(
        False, "An unknown id in a delete or untag is refused with 404, or ignored."
    )
    strict_metadata: bool = _switch(
        True,
        "Metadata up to 10 pairs of 128 and 256 characters (v3.4-preview, and the portal's "
        "page), or"
        " 50, 256 and 512 (v3.3).",
    )
    null_lists: bool = _switch(
        False,
        "v1.2 to v2.2 (and the tag summary of any version): null in place of an empty list, "
        "which their"
        " schemas allow.",
    )
    repeated_region_is_400: bool = _switch(
        True,
        'The same region twice in one batch: 400 "Duplicate image regions" and nothing is created, or the'
        " second is among the duplicated.",
        grade="B",
        line="D7",
        source="two tests against a real project",
    )
    shuffle_created: bool = _switch(
        True,
        "created[] of regions comes in another order than sent, or in the same.",
        grade="B",
        line="D7",
        source="two tests against a real project",
    )

    # Training, iterations, projects.

    newest_iteration_first: bool = _switch(
        True,
        "GetIterations lists the newest first, or the oldest.",
        grade="A",
        line="D3",
        source="azure-intelligent-edge-patterns; azure-docs#77596",
    )
    workspace_listed: bool = _switch(
        False,
        (
            "v1.2 lists the workspace, which is New, among the iterations; or gives it by its id "
            "alone."
        ),
        line="D16",
        source="azure-sdk-for-python#1873 (an engineer) says that it is there, not where",
    )
    republish_is_400: bool = _switch(
        True,
        'Publishing a published iteration again is a 400 "Iteration is already published as: ..." with'
        " overwrite too, or overwrite renames it.",
        grade="B",
        line="D9",
        source="a test against a real project",
    )
    empty_tag_stops_training: Literal["detection", "always", "never"] = _switch(
        "detection",
        'A tag with no image at all stops a training with 400 "Not enough images per tag for training":'
        " of detection projects, of all, or of none.",
        grade="B",
        line="D10",
        source="a test against a real project (seen for detection)",
    )
    newer_domains: bool = _switch(
        True,
        "There are the 18 domains of today, or the 14 of 2020.",
        grade="A",
        line="D12",
        source="Microsoft Learn, select-domain; 14 in training-v3.4-preview/DomainsApiTests",
    )
    quota_is_401: bool = _switch(
        False,
        "Too many projects: 401 Access Denied, or 400 BadRequestExceedProjectLimit.",
        source="azure-sdk-for-python#2800",
    )

    # Addresses of images.

    vnet: bool = _switch(
        False,
        "Image addresses are relative paths for GetArtifact (v3.3 up, resources in a virtual "
        "network), or"
        " absolute.",
        grade="A",
        source="Training-v3.3.json",
    )
    address_seconds: float = _switch(
        86_400.0,
        "How long a signed address of an image is good.",
        grade="R",
        source="every recording with images (24 hours)",
        values=(86_400.0, 600.0),
    )
    originals_kept: bool = _switch(
        True, "originalImageUri serves the bytes that were uploaded, or the image written anew."
    )
    cross_resource_fetch: bool = _switch(
        True,
        (
            "CreateImagesFromUrls fetches the image addresses of another resource, or fails "
            "(ErrorSource)."
        ),
    )

    # Requests.

    json_reader: Literal["quotes", "lenient", "strict"] = _switch(
        "quotes",
        "JSON with single quotes is taken; also unquoted names, comments, trailing commas and "
        "a BOM; or"
        " neither.",
        grade="A",
        line="D2",
        source="AI-900 labs (single quotes); the rest is what Json.NET takes",
    )
    repeated_query: Literal["all", "last"] = _switch(
        "all",
        (
            "Of a list in the query that is given twice (tagIds=A&tagIds=B) both count, or the "
            "last alone."
        ),
        line="D8",
        source="custom-vision-client sends it (v1.0)",
    )
    cors: bool = _switch(
        True,
        "Browsers may call: preflights are answered, and Access-Control-Allow-Origin is sent.",
        line="D6",
        source="VoTT's web build and several pages call it",
    )
    retry_after: Literal["seconds", "date", "none"] = _switch(
        "seconds", "A 429 has a Retry-After in seconds, as a date, or its words alone tell."
    )
    refuse_early: bool = _switch(
        False, "401 and 429 are answered before the body was read, or after."
    )
    counting: Literal["second", "bucket"] = _switch(
        "second",
        "Calls a second are those of the last second at any time; or a bucket holds one "
        "second's calls and"
        " fills evenly.",
    )
    penalty: bool = _switch(
        False,
        "After a 429 every call is refused until its Retry-After is over, or only the rate counts.",
    )

    # For tests.

    check_images: Literal["header", "decode", "none"] = _switch(
        "header",
        "How far an upload is looked at: its header; every pixel (slower); or not at all (for "
        "soak tests:"
        " size 1 x 1).",
        grade="T",
    )
    keep_images: bool = _switch(
        True,
        "Keep the bytes of uploaded images (and serve them), or only their digest: memory "
        "stays flat in"
        " soak tests.",
        grade="T",
    )
    allow_internet: bool = _switch(
        False,
        "Images by URL may come from anywhere, or from loopback and data: URLs only.",
        grade="T",
    )
    training_seconds: float = _switch(0.2, "How long a training takes.", grade="T")
    export_seconds: float = _switch(
        0.0,
        (
            "How long the export of an iteration takes; the first answer says Exporting whatever "
            "it is."
        ),
        grade="T",
    )
    import_seconds: float = _switch(
        0.0,
        "How long the import of a project takes; the first answer says Importing whatever it is.",
        grade="T",
    )
    delete_all_seconds: float = _switch(
        0.0, "How long it takes until DeleteImages with allImages has had its effect.", grade="T"
    )
    think_seconds: float = _switch(
        0.0, "How long the service thinks about every call once it has its body.", grade="T"
    )

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a switch that cannot be set to what it is."""
        check_values(dataclasses.asdict(self), _types())

    @classmethod
    def combinations(cls, *names: str) -> list[Switches]:
        """Every combination of the two-valued switches named."""
        return [
            dataclasses.replace(cls(), **dict(zip(names, values, strict=True)))  # type: ignore[arg-type]  # booleans by name
            for values in itertools.product((False, True), repeat=len(names))
        ]


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
        ValueError: It is no profile, or sets a switch to what it cannot be.
    """
    try:
        profile = json.loads(Path(path).read_text(encoding="utf-8"))
        switches = profile["switches"]
        if not isinstance(switches, Mapping):
            raise TypeError("its switches are no JSON object")
        check_names(list(switches), list(SWITCHES))
        Switches(**switches)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = "it has no 'switches'" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is no profile of the emulator: {reason}") from error
    return dict(switches)


def profile_text(switches: Mapping[str, Any], **more: Any) -> str:
    """The text of a profile that sets these switches; `more` are further members of it."""
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
