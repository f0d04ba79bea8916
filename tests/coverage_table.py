"""The table of operations by version: in the client, in the emulator, and checked by Microsoft's
SDK.

``python -m tests.coverage_table`` writes docs/operations.md; ``--check`` only tells whether it is
current. The table is derived from the code: the operations and coroutines of the client, the routes
and handlers of the emulator, and the calls that the tests make with Microsoft's SDKs.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from customvision_async import PredictionClient, ProjectClient, TrainingClient
from customvision_async._operations import Operations, PredictionOperations
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.operation_spec import OperationSpec, Version
from customvision_async._wire.operations import OPERATIONS
from customvision_async.emulator import _handlers as _handlers  # registers the operations
from customvision_async.emulator._api_request import HANDLERS, SLOW_HANDLERS
from customvision_async.emulator._routes import ROUTES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "operations.md"
COMMAND = "python -m tests.coverage_table"

SDKS: dict[tuple[str, str], str] = {
    ("Training", "v1.2"): "support/first_sdk.py",
    ("Prediction", "v1.1"): "support/first_sdk.py",
    ("Training", "v3.4-preview"): "test_official_sdk.py",
    ("Prediction", "v3.1"): "test_official_sdk.py",
}
"""The versions that a tested release of Microsoft's SDK supports, and the file that calls its
operations.
"""

VERBS = {
    "GetDomains": "training.list_domains create_project",
    "GetDomain": "training.get_domain",
    "GetAccountInfo": "",
    "GetProjects": "training.list_projects find_project",
    "CreateProject": "training.create_project",
    "GetProject": "training.get_project",
    "UpdateProject": "training.update_project",
    "DeleteProject": "training.delete_project",
    "GetArtifact": "project.get_artifact download_image download_export",
    "ExportProject": "project.export_project",
    "ImportProject": "training.begin_import",
    "GetTags": "project.list_tags",
    "CreateTag": "project.create_tag upload_images",
    "GetTag": "project.get_tag",
    "UpdateTag": "project.update_tag",
    "DeleteTag": "project.delete_tag",
    "GetImages": "project.list_images",
    "GetImageCount": "project.count_images begin_delete_all_images",
    "GetTaggedImages": "project.list_images",
    "GetTaggedImageCount": "project.count_images",
    "GetUntaggedImages": "project.list_images",
    "GetUntaggedImageCount": "project.count_images",
    "GetImagesByIds": "project.get_image",
    "CreateImagesFromData": "project.upload_images",
    "CreateImagesFromFiles": "project.upload_images",
    "CreateImagesFromPredictions": "project.upload_images",
    "CreateImagesFromUrls": "project.upload_images",
    "DeleteImages": "project.delete_images begin_delete_all_images",
    "UpdateImageMetadata": "project.update_image_metadata",
    "CreateImageTags": "project.tag_images",
    "PostImageTags": "project.tag_images",
    "DeleteImageTags": "project.untag_images",
    "CreateImageRegions": "project.create_regions",
    "DeleteImageRegions": "project.delete_regions",
    "GetImageRegionProposals": "project.get_region_proposals",
    "QuerySuggestedImages": "project.list_suggested_images",
    "QuerySuggestedImageCount": "project.count_suggested_images",
    "SuggestTagsAndRegions": "project.suggest_tags_and_regions",
    "TrainProject": "project.begin_training",
    "GetIterations": "project.list_iterations",
    "GetIteration": "project.get_iteration resume_training",
    "UpdateIteration": "project.update_iteration",
    "DeleteIteration": "project.delete_iteration",
    "GetExports": "project.list_exports resume_export",
    "ExportIteration": "project.begin_export",
    "GetIterationPerformance": "project.get_iteration_performance",
    "GetImagePerformances": "project.list_image_performances",
    "GetImagePerformanceCount": "project.count_image_performances",
    "PublishIteration": "project.publish_iteration",
    "UnpublishIteration": "project.unpublish_iteration",
    "DeletePrediction": "project.delete_predictions",
    "QueryPredictions": "project.list_predictions",
    "QueryPredictionResults": "project.list_predictions",
    "QuickTestImage": "project.quick_test",
    "QuickTestImageUrl": "project.quick_test",
    **{
        f"{kind}Image{url}{store}": f"prediction.{kind.lower()}_image {kind.lower()}_images"
        for kind in ("Classify", "Detect")
        for url in ("", "Url")
        for store in ("", "WithNoStore")
    },
    **{
        f"PredictImage{url}{store}": (
            "prediction.classify_image detect_image classify_images detect_images"
        )
        for url in ("", "Url")
        for store in ("", "WithNoStore")
    },
}
"""The methods that use an operation, with their client ("" if only ``client.operations`` has it).
"""

CLIENTS: dict[str, type] = {
    "training": TrainingClient,
    "project": ProjectClient,
    "prediction": PredictionClient,
}


def snake(operation: str) -> str:
    """Return the Python name of an operation."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()


def verbs(operation: str) -> list[tuple[type, str]]:
    """Return the methods that use an operation, each with its client."""
    client, _, names = VERBS[operation].partition(".")
    return [(CLIENTS[client], name) for name in names.split()]


def in_client(row: OperationSpec, version: Version) -> bool:
    """Return whether the client can call the operation in this version."""
    kind = Operations if isinstance(version, ApiVersion) else PredictionOperations
    return row.in_version(version) and callable(getattr(kind, snake(row.id), None))


def in_emulator(row: OperationSpec, version: Version) -> bool:
    """Return whether the emulator handles the operation in this version."""
    handled = row.id in HANDLERS or row.id in SLOW_HANDLERS
    return handled and any(
        route.operation == row.id
        and route.api == row.api
        and type(version)(route.first) <= version <= type(version)(route.last)
        for route in ROUTES
    )


@cache
def called(file: str) -> frozenset[str]:
    """Return the names that a file calls, or lists as strings to call."""
    tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return frozenset(names)


def by_sdk(row: OperationSpec, version: Version) -> bool:
    """Return whether the tests call the operation with Microsoft's SDK of that version."""
    file = SDKS.get((row.api, version.value))
    return file is not None and snake(row.id) in called(file)


def cell(row: OperationSpec, version: Version) -> str:
    """Return the cell of an operation in a version: "-" if the version lacks it."""
    if not row.in_version(version):
        return "-"
    marks = (
        ("C", in_client(row, version)),
        ("E", in_emulator(row, version)),
        ("S", by_sdk(row, version)),
    )
    return "".join(mark for mark, holds in marks if holds) or "none"


def table(rows: Iterable[OperationSpec], versions: Iterable[Version]) -> list[str]:
    """Return the lines of a table."""
    versions = list(versions)
    lines = [
        "| operation | "
        + " | ".join(version.value.removesuffix("-preview") for version in versions)
        + " | verbs |",
        "| --- |" + " :-: |" * len(versions) + " --- |",
    ]
    for row in rows:
        names = ", ".join(f"`{name}`" for _, name in verbs(row.id)) or "(`operations` alone)"
        cells = " | ".join(cell(row, version) for version in versions)
        lines.append(f"| `{snake(row.id)}` | {cells} | {names} |")
    counts = " | ".join(str(sum(row.in_version(version) for row in rows)) for version in versions)
    return [*lines, f"| **in all** | {counts} | |"]


def page() -> str:
    """Return the whole page."""
    training = [row for row in OPERATIONS.values() if row.api == "Training"]
    prediction = [row for row in OPERATIONS.values() if row.api == "Prediction"]
    others = [
        ", ".join(version.value for version in versions if (api, version.value) not in SDKS)
        for api, versions in (("Training", ApiVersion), ("Prediction", PredictionVersion))
    ]
    lines = [
        "# Every operation, in every version",
        "",
        (
            f"Written by `{COMMAND}`; a test holds it current. Each operation is a coroutine of "
            "that name in"
        ),
        (
            "`client.operations`; the verbs of `TrainingClient`, `ProjectClient` and "
            "`PredictionClient` that use it end its line."
        ),
        "",
        (
            "* **C**: the client calls it in this version (`tests/wire/test_live.py` does, over a "
            "real socket, each in each version;"
        ),
        (
            "  `tests/test_specs.py` holds method, path, parameters, body and answer to the "
            "service's OpenAPI document of the version)."
        ),
        (
            "* **E**: the emulator answers it (`tests/emulator/test_specs.py` holds its answers to "
            "the same documents)."
        ),
        (
            "* **S**: Microsoft's own SDK calls it on the emulator: 0.1.0 speaks v1.2 and "
            "Prediction v1.1 (`tests/test_official_sdk_v1.py`),"
        ),
        (
            "  3.1.1 speaks v3.4-preview and Prediction v3.1 (`tests/test_official_sdk.py`). Each "
            "calls every operation it has."
        ),
        f"  There is no **S** for Training {others[0]} and Prediction {others[1]}:",
        "  the two releases that are run, the first and the last, do not speak these.",
        (
            "* **-**: the version does not have it. Asked for it, the client raises "
            "`UnsupportedOperation`, naming the first that does."
        ),
        "",
        "## Training",
        "",
        *table(training, ApiVersion),
        "",
        (
            "v3.4 is v3.4-preview. `post_image_tags` and `create_image_tags` are one call under "
            "two names, as are"
        ),
        "`query_prediction_results` and `query_predictions`: in every version either name works.",
        "",
        "## Prediction",
        "",
        *table(prediction, PredictionVersion),
        "",
    ]
    return "\n".join(lines)


def main(*arguments: str) -> int:
    """Write the page, or with ``--check`` compare it."""
    if "--check" in arguments:
        return 0 if PAGE.read_text("utf-8") == page() else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
