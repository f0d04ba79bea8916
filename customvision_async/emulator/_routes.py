"""The routes of the API: each operation with its method, its path and the versions that have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from .._versions import ApiVersion, PredictionVersion

__all__ = ["ROUTES", "Match", "Route", "find_route", "is_api"]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    `first` and `last` are version strings. `path` is relative to the base path of the API.
    """

    operation: str
    api: str
    method: str
    path: str
    first: str
    last: str

    def has(self, version: ApiVersion | PredictionVersion) -> bool:
        """Return whether `version` has the operation under this path."""
        kind = type(version)
        return kind(self.first) <= version <= kind(self.last)


@dataclass(frozen=True, slots=True)
class Match:
    """A request matched to an operation. `path` holds the decoded path parameters by name."""

    route: Route
    version: ApiVersion | PredictionVersion
    path: dict[str, str]


def is_api(path: str) -> bool:
    """Return whether a path belongs to the API rather than to a blob."""
    return path.lstrip("/").lower().startswith("customvision")


_P = "/projects/{projectId}"
_I = _P + "/images"
_T = _P + "/iterations/{iterationId}"
_LAST = "v3.4-preview"
_TRAINING = (
    ("GetDomains", "GET", "/domains", "v1.2", _LAST),
    ("GetDomain", "GET", "/domains/{domainId}", "v1.2", _LAST),
    ("GetProjects", "GET", "/projects", "v1.2", _LAST),
    ("CreateProject", "POST", "/projects", "v1.2", _LAST),
    ("GetProject", "GET", _P, "v1.2", _LAST),
    ("DeleteProject", "DELETE", _P, "v1.2", _LAST),
    ("UpdateProject", "PATCH", _P, "v1.2", _LAST),
    ("GetArtifact", "GET", _P + "/artifacts", "v3.3", _LAST),
    ("ExportProject", "GET", _P + "/export", "v3.2", _LAST),
    ("GetImages", "GET", _I, "v3.3", _LAST),
    ("CreateImagesFromData", "POST", _I, "v1.2", _LAST),
    ("DeleteImages", "DELETE", _I, "v1.2", _LAST),
    (
        "GetImageRegionProposals",
        "POST",
        "/{projectId}/images/{imageId}/regionproposals",
        "v2.0",
        "v2.2",
    ),
    ("GetImageRegionProposals", "POST", _I + "/{imageId}/regionproposals", "v3.0", _LAST),
    ("GetImageCount", "GET", _I + "/count", "v3.3", _LAST),
    ("CreateImagesFromFiles", "POST", _I + "/files", "v1.2", _LAST),
    ("GetImagesByIds", "GET", _I + "/id", "v2.0", _LAST),
    ("UpdateImageMetadata", "POST", _I + "/metadata", "v3.3", _LAST),
    ("CreateImagesFromPredictions", "POST", _I + "/predictions", "v1.2", _LAST),
    ("CreateImageRegions", "POST", _I + "/regions", "v2.0", _LAST),
    ("DeleteImageRegions", "DELETE", _I + "/regions", "v2.0", _LAST),
    ("QuerySuggestedImages", "POST", _I + "/suggested", "v3.1", _LAST),
    ("QuerySuggestedImageCount", "POST", _I + "/suggested/count", "v3.1", _LAST),
    ("GetTaggedImages", "GET", _I + "/tagged", "v1.2", _LAST),
    ("GetTaggedImageCount", "GET", _I + "/tagged/count", "v2.0", _LAST),
    ("PostImageTags", "POST", _I + "/tags", "v1.2", "v1.2"),
    ("CreateImageTags", "POST", _I + "/tags", "v2.0", _LAST),
    ("DeleteImageTags", "DELETE", _I + "/tags", "v1.2", _LAST),
    ("GetUntaggedImages", "GET", _I + "/untagged", "v1.2", _LAST),
    ("GetUntaggedImageCount", "GET", _I + "/untagged/count", "v2.0", _LAST),
    ("CreateImagesFromUrls", "POST", _I + "/urls", "v1.2", _LAST),
    ("GetIterations", "GET", _P + "/iterations", "v1.2", _LAST),
    ("GetIteration", "GET", _T, "v1.2", _LAST),
    ("DeleteIteration", "DELETE", _T, "v1.2", _LAST),
    ("UpdateIteration", "PATCH", _T, "v1.2", _LAST),
    ("GetExports", "GET", _T + "/export", "v1.2", _LAST),
    ("ExportIteration", "POST", _T + "/export", "v1.2", _LAST),
    ("GetIterationPerformance", "GET", _T + "/performance", "v1.2", _LAST),
    ("GetImagePerformances", "GET", _T + "/performance/images", "v2.0", _LAST),
    ("GetImagePerformanceCount", "GET", _T + "/performance/images/count", "v2.0", _LAST),
    ("PublishIteration", "POST", _T + "/publish", "v3.0", _LAST),
    ("UnpublishIteration", "DELETE", _T + "/publish", "v3.0", _LAST),
    ("DeletePrediction", "DELETE", _P + "/predictions", "v1.2", _LAST),
    ("QueryPredictionResults", "POST", _P + "/predictions/query", "v1.2", "v1.2"),
    ("QueryPredictions", "POST", _P + "/predictions/query", "v2.0", _LAST),
    ("QuickTestImage", "POST", _P + "/quicktest/image", "v1.2", _LAST),
    ("QuickTestImageUrl", "POST", _P + "/quicktest/url", "v1.2", _LAST),
    ("GetTags", "GET", _P + "/tags", "v1.2", _LAST),
    ("CreateTag", "POST", _P + "/tags", "v1.2", _LAST),
    ("GetTag", "GET", _P + "/tags/{tagId}", "v1.2", _LAST),
    ("DeleteTag", "DELETE", _P + "/tags/{tagId}", "v1.2", _LAST),
    ("UpdateTag", "PATCH", _P + "/tags/{tagId}", "v1.2", _LAST),
    ("SuggestTagsAndRegions", "POST", _P + "/tagsandregions/suggestions", "v3.1", _LAST),
    ("TrainProject", "POST", _P + "/train", "v1.2", _LAST),
    ("ImportProject", "POST", "/projects/import", "v3.2", _LAST),
    ("GetAccountInfo", "GET", "/account", "v1.2", "v1.2"),
)
_C = "/{projectId}/classify/iterations/{publishedName}"
_D = "/{projectId}/detect/iterations/{publishedName}"
_PREDICTION = (
    ("ClassifyImage", "POST", _C + "/image", "v3.0", "v3.1"),
    ("ClassifyImageWithNoStore", "POST", _C + "/image/nostore", "v3.0", "v3.1"),
    ("ClassifyImageUrl", "POST", _C + "/url", "v3.0", "v3.1"),
    ("ClassifyImageUrlWithNoStore", "POST", _C + "/url/nostore", "v3.0", "v3.1"),
    ("DetectImage", "POST", _D + "/image", "v3.0", "v3.1"),
    ("DetectImageWithNoStore", "POST", _D + "/image/nostore", "v3.0", "v3.1"),
    ("DetectImageUrl", "POST", _D + "/url", "v3.0", "v3.1"),
    ("DetectImageUrlWithNoStore", "POST", _D + "/url/nostore", "v3.0", "v3.1"),
    ("PredictImage", "POST", "/{projectId}/image", "v1.1", "v2.0"),
    ("PredictImageWithNoStore", "POST", "/{projectId}/image/nostore", "v1.1", "v2.0"),
    ("PredictImageUrl", "POST", "/{projectId}/url", "v1.1", "v2.0"),
    ("PredictImageUrlWithNoStore", "POST", "/{projectId}/url/nostore", "v1.1", "v2.0"),
)
ROUTES: tuple[Route, ...] = tuple(
    Route(operation, api, method, path, first, last)
    for api, rows in (("Training", _TRAINING), ("Prediction", _PREDICTION))
    for operation, method, path, first, last in rows
)


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


_TABLE: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
for _route in ROUTES:
    _parts = _segments(_route.path)
    _TABLE.setdefault((_route.api, len(_parts)), []).append((_parts, _route))
for _rows in _TABLE.values():
    # Literal paths come before paths with parameters: "import" in /projects/import is not an id.
    _rows.sort(key=lambda row: sum(part.startswith("{") for part in row[0]))


def find_route(method: str, raw_path: str) -> Match | int:
    """Return the match of a request, or the status 404 or 405 if there is none.

    The prefix matches in any letter case, and leading slashes may be repeated. The real service
    accepts both.
    """
    parts = _segments(raw_path)
    if len(parts) < 4 or parts[0].lower() != "customvision":
        return 404
    api = parts[2].capitalize()
    version = _version(api, parts[1].lower())
    if version is None:
        return 404
    return _among(_TABLE.get((api, len(parts) - 3), ()), method, parts[3:], version)


def _version(api: str, text: str) -> ApiVersion | PredictionVersion | None:
    try:
        if api == "Training":
            return ApiVersion(text)
        return PredictionVersion(text) if api == "Prediction" else None
    except ValueError:
        return None


def _among(
    rows: Iterable[tuple[list[str], Route]],
    method: str,
    parts: list[str],
    version: ApiVersion | PredictionVersion,
) -> Match | int:
    status = 404
    for pattern, route in rows:
        if not route.has(version):
            continue
        names = _bound(pattern, parts)
        if names is None:
            continue
        if route.method == method:
            return Match(route, version, names)
        status = 405
    return status


def _bound(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for wanted, given in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            names[wanted[1:-1]] = unquote(given)
        elif wanted != given.lower():
            return None
    return names
