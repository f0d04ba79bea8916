"""The operations of the Training API (v1.2 to v3.4-preview) and the Prediction API (v1.1 to v3.1).

A test compares the rows with the OpenAPI documents of the service. These do not say whether an
operation may be repeated. It is decided here:

* Reads, deletes and PATCHes may be repeated, because a second one has no further effect.
* Creating images, tag pairs or regions may be repeated, because the response reports existing ones
  as duplicates.
* A prediction may be repeated, because its result is the same. The service may store the image
  twice, for 30 days.
* Creating a project, a tag, an iteration, an export or a published name is not repeated, because
  each request would create another.
"""

from __future__ import annotations

from .. import limits
from .._versions import ApiVersion, PredictionVersion
from ..models import (
    Account,
    Domain,
    Export,
    Image,
    ImageCreateSummary,
    ImageMetadataUpdateSummary,
    ImagePerformance,
    ImagePrediction,
    ImageRegionCreateSummary,
    ImageRegionProposal,
    ImageTagCreateSummary,
    Iteration,
    IterationPerformance,
    PredictionQueryResult,
    Project,
    ProjectExport,
    SuggestedTagAndRegion,
    SuggestedTagAndRegionQuery,
    Tag,
    TagList,
)
from .operation_spec import OperationSpec, Param, Version

__all__ = ["OPERATIONS", "operation_spec"]

_T, _P = ApiVersion, PredictionVersion
_NEWEST, _P_NEWEST = ApiVersion.V3_4_PREVIEW, PredictionVersion.V3_1

_PROJECT = "/projects/{projectId}"
_IMAGES = f"{_PROJECT}/images"
_ITERATION = f"{_PROJECT}/iterations/{{iterationId}}"
_TAG = f"{_PROJECT}/tags/{{tagId}}"

_NO_CONTENT: tuple[tuple[int, Version | None], ...] = ((204, None),)
_MULTI: tuple[tuple[int, Version | None], ...] = ((200, None), (207, _T.V3_3))

_ITERATION_ID = Param("iterationId", "id")
_ITERATION_REQUIRED = Param("iterationId", "id", required=True)
_TAG_IDS = Param("tagIds", "ids", limit=limits.TAGS_PER_FILTER)
_TAG_IDS_COUNT = Param("tagIds", "ids")
_TAGS_OF_BATCH = Param("tagIds", "ids", limit=limits.TAGS_PER_BATCH)
_PAGE = (
    Param("orderBy", "text"),
    Param("take", "int", limit=limits.MAX_PAGE_SIZE),
    Param("skip", "int"),
)
_STORE = Param("store", "bool", since=_T.V3_1)
_FILTER = (Param("taggingStatus", "text"), Param("$filter", "text"))

_PROJECTS = (
    OperationSpec("GetDomains", "GET", "/domains", list[Domain], _T.V1_2, _NEWEST),
    OperationSpec("GetDomain", "GET", "/domains/{domainId}", Domain, _T.V1_2, _NEWEST),
    OperationSpec("GetAccountInfo", "GET", "/account", Account, _T.V1_2, _T.V1_2),
    OperationSpec("GetProjects", "GET", "/projects", list[Project], _T.V1_2, _NEWEST),
    OperationSpec(
        "CreateProject", "POST", "/projects", Project, _T.V1_2, _NEWEST,
        query=(
            Param("name", "text", required=True),
            Param("description", "text"),
            Param("domainId", "id"),
            Param("classificationType", "text", since=_T.V2_1),
            Param("targetExportPlatforms", "texts", since=_T.V3_0),
        ),
        body="json", body_schema="CreateProjectOptions", body_since=_T.V3_4_PREVIEW,
        body_required=False,
        repeatable=False,
    ),
    OperationSpec("GetProject", "GET", _PROJECT, Project, _T.V1_2, _NEWEST),
    OperationSpec(
        "UpdateProject", "PATCH", _PROJECT, Project, _T.V1_2, _NEWEST, body="json",
        body_schema="Project",
    ),
    OperationSpec(
        "DeleteProject", "DELETE", _PROJECT, None, _T.V1_2, _NEWEST, statuses=_NO_CONTENT,
    ),
    OperationSpec(
        "GetArtifact", "GET", f"{_PROJECT}/artifacts", bytes, _T.V3_3, _NEWEST,
        query=(Param("path", "text", required=True),),
    ),
    OperationSpec("ExportProject", "GET", f"{_PROJECT}/export", ProjectExport, _T.V3_2, _NEWEST),
    OperationSpec(
        "ImportProject", "POST", "/projects/import", Project, _T.V3_2, _NEWEST,
        query=(Param("token", "text", required=True), Param("name", "text", since=_T.V3_3)),
        repeatable=False,
    ),
)  # fmt: skip

_TAGS = (
    OperationSpec(
        "GetTags", "GET", f"{_PROJECT}/tags", list[Tag], _T.V1_2, _NEWEST,
        query=(_ITERATION_ID,), old_response=(_T.V1_2, TagList),
    ),
    OperationSpec(
        "CreateTag", "POST", f"{_PROJECT}/tags", Tag, _T.V1_2, _NEWEST,
        query=(
            Param("name", "text", required=True), Param("description", "text"),
            Param("type", "text", since=_T.V2_2),
        ),
        repeatable=False,
    ),
    OperationSpec("GetTag", "GET", _TAG, Tag, _T.V1_2, _NEWEST, query=(_ITERATION_ID,)),
    OperationSpec(
        "UpdateTag", "PATCH", _TAG, Tag, _T.V1_2, _NEWEST, body="json", body_schema="Tag",
    ),
    OperationSpec("DeleteTag", "DELETE", _TAG, None, _T.V1_2, _NEWEST, statuses=_NO_CONTENT),
)  # fmt: skip

_IMAGE_LISTS = (
    OperationSpec(
        "GetImages", "GET", _IMAGES, list[Image], _T.V3_3, _NEWEST,
        query=(_ITERATION_ID, _TAG_IDS, *_FILTER, *_PAGE),
    ),
    OperationSpec(
        "GetImageCount", "GET", f"{_IMAGES}/count", int, _T.V3_3, _NEWEST,
        query=(_ITERATION_ID, *_FILTER, _TAG_IDS_COUNT),
    ),
    OperationSpec(
        "GetTaggedImages", "GET", f"{_IMAGES}/tagged", list[Image], _T.V1_2, _NEWEST,
        query=(_ITERATION_ID, _TAG_IDS, *_PAGE),
    ),
    OperationSpec(
        "GetTaggedImageCount", "GET", f"{_IMAGES}/tagged/count", int, _T.V2_0, _NEWEST,
        query=(_ITERATION_ID, _TAG_IDS_COUNT),
    ),
    OperationSpec(
        "GetUntaggedImages", "GET", f"{_IMAGES}/untagged", list[Image], _T.V1_2, _NEWEST,
        query=(_ITERATION_ID, *_PAGE),
    ),
    OperationSpec(
        "GetUntaggedImageCount", "GET", f"{_IMAGES}/untagged/count", int, _T.V2_0, _NEWEST,
        query=(_ITERATION_ID,),
    ),
    OperationSpec(
        "GetImagesByIds", "GET", f"{_IMAGES}/id", list[Image], _T.V2_0, _NEWEST,
        query=(Param("imageIds", "ids", limit=limits.IDS_PER_GET), _ITERATION_ID),
    ),
)  # fmt: skip

_IMAGE_CHANGES = (
    OperationSpec(
        "CreateImagesFromData", "POST", _IMAGES, ImageCreateSummary, _T.V1_2, _NEWEST,
        query=(_TAGS_OF_BATCH,), body="images", body_schema="file", statuses=_MULTI,
    ),
    OperationSpec(
        "CreateImagesFromFiles", "POST", f"{_IMAGES}/files", ImageCreateSummary, _T.V1_2, _NEWEST,
        body="json", body_schema="ImageFileCreateBatch", statuses=_MULTI,
    ),
    OperationSpec(
        "CreateImagesFromPredictions", "POST", f"{_IMAGES}/predictions", ImageCreateSummary,
        _T.V1_2, _NEWEST,
        body="json", body_schema="ImageIdCreateBatch", statuses=_MULTI,
    ),
    OperationSpec(
        "CreateImagesFromUrls", "POST", f"{_IMAGES}/urls", ImageCreateSummary, _T.V1_2, _NEWEST,
        body="json", body_schema="ImageUrlCreateBatch", statuses=_MULTI,
    ),
    OperationSpec(
        "DeleteImages", "DELETE", _IMAGES, None, _T.V1_2, _NEWEST,
        query=(
            Param("imageIds", "ids", limit=limits.IDS_PER_DELETE, required_until=_T.V3_0),
            Param("allImages", "bool", since=_T.V3_1),
            Param("allIterations", "bool", since=_T.V3_1),
        ),
        statuses=((204, None), (202, _T.V3_1)),
    ),
    OperationSpec(
        "UpdateImageMetadata", "POST", f"{_IMAGES}/metadata", ImageMetadataUpdateSummary, _T.V3_3,
        _NEWEST,
        query=(Param("imageIds", "ids", required=True, limit=limits.IMAGES_PER_METADATA_UPDATE),),
        body="json", body_schema="map", statuses=_MULTI,
    ),
    OperationSpec(
        "CreateImageTags", "POST", f"{_IMAGES}/tags", ImageTagCreateSummary, _T.V2_0, _NEWEST,
        body="json", body_schema="ImageTagCreateBatch",
    ),
    OperationSpec(
        "PostImageTags", "POST", f"{_IMAGES}/tags", ImageTagCreateSummary, _T.V1_2, _T.V1_2,
        body="json", body_schema="ImageTagCreateBatch",
    ),
    OperationSpec(
        "DeleteImageTags", "DELETE", f"{_IMAGES}/tags", None, _T.V1_2, _NEWEST,
        query=(
            Param("imageIds", "ids", required=True, limit=limits.IMAGES_PER_UNTAG),
            Param("tagIds", "ids", required=True, limit=limits.TAGS_PER_UNTAG),
        ),
        statuses=_NO_CONTENT,
    ),
    OperationSpec(
        "CreateImageRegions", "POST", f"{_IMAGES}/regions", ImageRegionCreateSummary, _T.V2_0,
        _NEWEST,
        body="json", body_schema="ImageRegionCreateBatch", statuses=_MULTI,
    ),
    OperationSpec(
        "DeleteImageRegions", "DELETE", f"{_IMAGES}/regions", None, _T.V2_0, _NEWEST,
        query=(Param("regionIds", "ids", required=True, limit=limits.REGIONS_PER_DELETE),),
        statuses=_NO_CONTENT,
    ),
    OperationSpec(
        "GetImageRegionProposals", "POST", f"{_IMAGES}/{{imageId}}/regionproposals",
        ImageRegionProposal, _T.V2_0, _NEWEST,
        old_path=(_T.V2_2, "/{projectId}/images/{imageId}/regionproposals"),
    ),
)  # fmt: skip

_SUGGESTIONS = (
    OperationSpec(
        "QuerySuggestedImages", "POST", f"{_IMAGES}/suggested", SuggestedTagAndRegionQuery,
        _T.V3_1, _NEWEST,
        query=(_ITERATION_REQUIRED,), body="json", body_schema="SuggestedTagAndRegionQueryToken",
    ),
    OperationSpec(
        "QuerySuggestedImageCount", "POST", f"{_IMAGES}/suggested/count", dict[str, int], _T.V3_1,
        _NEWEST,
        query=(_ITERATION_REQUIRED,), body="json", body_schema="TagFilter",
    ),
    OperationSpec(
        "SuggestTagsAndRegions", "POST", f"{_PROJECT}/tagsandregions/suggestions",
        list[SuggestedTagAndRegion], _T.V3_1, _NEWEST,
        query=(
            _ITERATION_REQUIRED,
            Param("imageIds", "ids", required=True, limit=limits.IMAGES_PER_SUGGESTION),
        ),
    ),
)  # fmt: skip

_ITERATIONS = (
    OperationSpec(
        "TrainProject", "POST", f"{_PROJECT}/train", Iteration, _T.V1_2, _NEWEST,
        query=(
            Param("trainingType", "text", since=_T.V3_0),
            Param("reservedBudgetInHours", "int", since=_T.V3_0),
            Param("forceTrain", "bool", since=_T.V3_0),
            Param("notificationEmailAddress", "text", since=_T.V3_0),
        ),
        body="json", body_schema="TrainingParameters", body_since=_T.V3_2, body_required=False,
        repeatable=False,
    ),
    OperationSpec(
        "GetIterations", "GET", f"{_PROJECT}/iterations", list[Iteration], _T.V1_2, _NEWEST,
    ),
    OperationSpec("GetIteration", "GET", _ITERATION, Iteration, _T.V1_2, _NEWEST),
    OperationSpec(
        "UpdateIteration", "PATCH", _ITERATION, Iteration, _T.V1_2, _NEWEST, body="json",
        body_schema="Iteration",
    ),
    OperationSpec(
        "DeleteIteration", "DELETE", _ITERATION, None, _T.V1_2, _NEWEST, statuses=_NO_CONTENT,
    ),
    OperationSpec("GetExports", "GET", f"{_ITERATION}/export", list[Export], _T.V1_2, _NEWEST),
    OperationSpec(
        "ExportIteration", "POST", f"{_ITERATION}/export", Export, _T.V1_2, _NEWEST,
        query=(Param("platform", "text", required=True), Param("flavor", "text", since=_T.V2_0)),
        repeatable=False,
    ),
    OperationSpec(
        "GetIterationPerformance", "GET", f"{_ITERATION}/performance", IterationPerformance,
        _T.V1_2, _NEWEST,
        query=(
            Param("threshold", "float", required_until=_T.V1_2),
            Param("overlapThreshold", "float", since=_T.V2_0),
        ),
    ),
    OperationSpec(
        "GetImagePerformances", "GET", f"{_ITERATION}/performance/images", list[ImagePerformance],
        _T.V2_0, _NEWEST,
        query=(_TAG_IDS, *_PAGE),
    ),
    OperationSpec(
        "GetImagePerformanceCount", "GET", f"{_ITERATION}/performance/images/count", int, _T.V2_0,
        _NEWEST, query=(_TAG_IDS_COUNT,),
    ),
    OperationSpec(
        "PublishIteration", "POST", f"{_ITERATION}/publish", bool, _T.V3_0, _NEWEST,
        query=(
            Param("publishName", "text", required=True),
            Param("predictionId", "text", required=True),
            Param("overwrite", "bool", since=_T.V3_3),
        ),
        repeatable=False,
    ),
    OperationSpec(
        "UnpublishIteration", "DELETE", f"{_ITERATION}/publish", None, _T.V3_0, _NEWEST,
        statuses=_NO_CONTENT,
    ),
)  # fmt: skip

_STORED = (
    OperationSpec(
        "DeletePrediction", "DELETE", f"{_PROJECT}/predictions", None, _T.V1_2, _NEWEST,
        query=(Param("ids", "ids", required=True, limit=limits.PREDICTIONS_PER_DELETE),),
        statuses=_NO_CONTENT,
    ),
    OperationSpec(
        "QueryPredictions", "POST", f"{_PROJECT}/predictions/query", PredictionQueryResult,
        _T.V2_0, _NEWEST,
        body="json", body_schema="PredictionQueryToken",
    ),
    OperationSpec(
        "QueryPredictionResults", "POST", f"{_PROJECT}/predictions/query", PredictionQueryResult,
        _T.V1_2, _T.V1_2,
        body="json", body_schema="PredictionQueryToken",
    ),
    OperationSpec(
        "QuickTestImage", "POST", f"{_PROJECT}/quicktest/image", ImagePrediction, _T.V1_2, _NEWEST,
        query=(_ITERATION_ID, _STORE), body="image", body_schema="file",
    ),
    OperationSpec(
        "QuickTestImageUrl", "POST", f"{_PROJECT}/quicktest/url", ImagePrediction, _T.V1_2, _NEWEST,
        query=(_ITERATION_ID, _STORE), body="json", body_schema="ImageUrl",
    ),
)  # fmt: skip


def _predict(id: str, end: str, *, published: str = "") -> OperationSpec:
    by_url = "url" in end
    path, first, last = f"/{{projectId}}/{end}", _P.V1_1, _P.V2_0
    query: tuple[Param, ...] = (_ITERATION_ID, Param("application", "text"))
    if published:
        path, first, last = (
            f"/{{projectId}}/{published}/iterations/{{publishedName}}/{end}",
            _P.V3_0,
            _P_NEWEST,
        )
        query = query[1:]
    return OperationSpec(
        id, "POST", path, ImagePrediction, first, last,
        query=query, body="json" if by_url else "image",
        body_schema="ImageUrl" if by_url else "file",
    )  # fmt: skip


_PREDICTION = (
    _predict("ClassifyImage", "image", published="classify"),
    _predict("ClassifyImageWithNoStore", "image/nostore", published="classify"),
    _predict("ClassifyImageUrl", "url", published="classify"),
    _predict("ClassifyImageUrlWithNoStore", "url/nostore", published="classify"),
    _predict("DetectImage", "image", published="detect"),
    _predict("DetectImageWithNoStore", "image/nostore", published="detect"),
    _predict("DetectImageUrl", "url", published="detect"),
    _predict("DetectImageUrlWithNoStore", "url/nostore", published="detect"),
    _predict("PredictImage", "image"),
    _predict("PredictImageWithNoStore", "image/nostore"),
    _predict("PredictImageUrl", "url"),
    _predict("PredictImageUrlWithNoStore", "url/nostore"),
)

OPERATIONS: dict[str, OperationSpec] = {
    row.id: row
    for group in (
        _PROJECTS,
        _TAGS,
        _IMAGE_LISTS,
        _IMAGE_CHANGES,
        _SUGGESTIONS,
        _ITERATIONS,
        _STORED,
        _PREDICTION,
    )
    for row in group
}
"""Every operation by its operationId."""

_RENAMED = {
    "CreateImageTags": "PostImageTags",
    "PostImageTags": "CreateImageTags",
    "QueryPredictions": "QueryPredictionResults",
    "QueryPredictionResults": "QueryPredictions",
}


def operation_spec(operation_id: str, version: Version) -> OperationSpec:
    """Return an operation. Two operations have different ids in different versions.

    Raises:
        UnsupportedOperation: The version lacks the operation.
    """
    row = OPERATIONS[operation_id]
    if not row.in_version(version) and operation_id in _RENAMED:
        other = OPERATIONS[_RENAMED[operation_id]]
        if other.in_version(version):
            return other
    row.check(version)
    return row
