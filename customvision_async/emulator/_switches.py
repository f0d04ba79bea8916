"""What no public evidence settles about the real service, as switches; and what a test may want turned off.

The defaults are what the evidence favours, or else what is harder for a client. A suite is to pass under every setting.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_type_hints

from ._arguments import check_values

__all__ = ["SwitchChanges", "Switches"]


@dataclass(frozen=True, slots=True)
class Switches:
    """How the emulator behaves where the service's behaviour is not known, or may be varied."""

    shuffle_results: bool = True
    """Results of a batch come in another order than sent (recorded), or in the same."""
    deduplicate: bool = True
    """A picture whose bytes the project has already is OKDuplicate, or is stored once more."""
    duplicates_in_batch: bool = True
    """The same bytes twice in one batch count as a duplicate too."""
    duplicate_has_image: bool = True
    """OKDuplicate carries the image that was there, or null."""
    duplicate_merges_tags: bool = False
    """OKDuplicate adds the tags, regions and metadata sent to the image that was there, or leaves it as it was."""
    duplicate_is_success: bool = False
    """A batch with OKDuplicate in it has isBatchSuccessful true (and 200), or false."""
    multi_status: bool = True
    """From v3.3: 207 when not all is well (as documented), or 200."""
    failed_image_is_null: bool = True
    """A failed result has ``"image": null``, or no such key (both are in published examples)."""
    quoted_file_names: bool = True
    """sourceUrl of a data upload keeps the quotes round the file name (recorded), or not."""
    entry_tags_add: bool = True
    """tagIds of an entry add to those of the batch, or replace them."""
    tag_limit_over_all: bool = True
    """The 20 tags of a batch are the distinct ones of batch, entries and regions together, or each list counts alone."""
    names_ignore_case: bool = True
    """"Apple" and "apple" are the same name of a tag (as SQL Server compares by default), or two."""
    strict_ids: bool = False
    """An unknown id in a delete or untag is refused with 404, or ignored."""
    strict_metadata: bool = True
    """Metadata up to 10 pairs of 128 and 256 characters (v3.4-preview, and the portal's page), or 50, 256 and 512 (v3.3)."""
    null_lists: bool = False
    """v1.2 to v2.2 (and the tag summary of any version): null in place of an empty list, which their schemas allow."""
    spoiled_batches: bool = False
    """One bad picture makes every result of its batch ErrorUnknown (reported 2018), or only its own fails."""
    all_bad_is_400: bool = False
    """A batch in which no picture is good is a 400 "No valid image files" (reported), or a list of results."""
    quota_is_401: bool = False
    """Too many projects: 401 Access Denied (reported), or 400 BadRequestExceedProjectLimit."""
    refuse_early: bool = False
    """401 and 429 are answered before the body was read, or after."""
    counting: Literal["second", "bucket"] = "second"
    """Calls a second are those of the last second at any time; or a bucket holds one second's calls and fills evenly."""
    penalty: bool = False
    """After a 429 every call is refused until its Retry-After is over, or only the rate counts."""
    vnet: bool = False
    """Image addresses are relative paths for GetArtifact (v3.3 up, resources in a virtual network), or absolute."""
    check_images: Literal["header", "decode", "none"] = "header"
    """How far an upload is looked at: its header; every pixel (slower); or not at all (for soak tests: size 1 x 1)."""
    keep_images: bool = True
    """Keep the bytes of uploaded pictures (and serve them), or only their digest: memory stays flat in soak tests."""
    allow_internet: bool = False
    """Pictures by URL may come from anywhere, or from loopback and data: URLs only."""
    training_seconds: float = 0.2
    """How long a training takes."""
    export_seconds: float = 0.0
    """How long the export of an iteration takes; the first answer says Exporting whatever it is."""
    import_seconds: float = 0.0
    """How long the import of a project takes; the first answer says Importing whatever it is."""
    delete_all_seconds: float = 0.0
    """How long it takes until DeleteImages with allImages has had its effect."""
    think_seconds: float = 0.0
    """How long the service thinks about every call once it has its body."""
    body_bytes: int = 56_000_000
    """A larger body ends in 408 (reported for batches above some 55 MB)."""

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
    tag_limit_over_all: bool
    names_ignore_case: bool
    strict_ids: bool
    strict_metadata: bool
    null_lists: bool
    spoiled_batches: bool
    all_bad_is_400: bool
    quota_is_401: bool
    refuse_early: bool
    counting: Literal["second", "bucket"]
    penalty: bool
    vnet: bool
    check_images: Literal["header", "decode", "none"]
    keep_images: bool
    allow_internet: bool
    training_seconds: float
    export_seconds: float
    import_seconds: float
    delete_all_seconds: float
    think_seconds: float
    body_bytes: int
