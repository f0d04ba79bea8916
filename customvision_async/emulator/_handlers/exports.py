"""Exports of models, and artifacts: the files that a user downloads."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from ..._versions import ApiVersion as V
from .._api_request import ApiRequest, ApiResponse, handles, handles_slowly
from .._blobs import BLOBS, read_blob
from .._bodies import match_any_case
from .._domains import find_domain
from .._ids import guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._views import blob_name
from .iterations import require_trained

_FLAVORS = (
    "Linux",
    "Windows",
    "ONNX10",
    "ONNX12",
    "ARM",
    "TensorFlowNormal",
    "TensorFlowLite",
    # Not documented, but used by Microsoft's own clients.
    "ONNXFloat16",
    "CoreMLFloat16",
    "TensorFlowSavedModel",
    "TensorFlowJs",
    "TensorFlowLiteFloat16",
    "NoPostProcess",
)
_FILES = {
    "CoreML": "model.mlmodel",
    "TensorFlow": "model.pb",
    "ONNX": "model.onnx",
    "DockerFile": "app/model.pb",
    "VAIDK": "model.dlc",
    "OpenVino": "model.xml",
    "IVS": "model.bin",
}


def _iteration(request: ApiRequest) -> Any:
    project = request.resource.project(request.key("projectId"))["id"]
    return require_trained(
        request.resource, request.resource.iteration(project, request.key("iterationId"))
    )


def _view(request: ApiRequest, row: Any, *, fresh: bool = False) -> dict[str, Any]:
    done = row["ready"] <= request.resource.state.clock.now() and not fresh
    address = request.resource.address(
        blob_name("x", row["iteration"]), f"{blob_name('m', row['id'])}.zip"
    )
    out: dict[str, Any] = {"platform": row["platform"], "status": "Done" if done else "Exporting"}
    if done or request.version != V.V3_0:  # in v3.0 it is not nullable
        out["downloadUri"] = address if done else None
    if request.version >= V.V2_0:
        out["flavor"] = row["flavor"] or None
    if request.version >= V.V2_1:
        out["newerVersionAvailable"] = False
    return out


@handles("GetExports")
def get_exports(request: ApiRequest) -> ApiResponse:
    """Return the exports of an iteration."""
    rows = request.resource.state.rows(
        "SELECT * FROM exports WHERE iteration = ? ORDER BY platform, flavor",
        _iteration(request)["id"],
    )
    return ApiResponse(value=[_view(request, row) for row in rows])


@handles("ExportIteration")
def export_iteration(request: ApiRequest) -> ApiResponse:
    """Start an export for a platform and flavor. Each pair can be exported once."""
    row, state = _iteration(request), request.resource.state
    platform, flavor = request.required("platform"), request.text("flavor") or ""
    domain = find_domain(row["domain"])
    known = match_any_case(platform, domain.platforms) if domain else None
    if known is None:
        offer = (
            ", ".join(domain.platforms)
            if domain and domain.platforms
            else "none, because it is not compact"
        )
        raise ServiceFault(
            "BadRequestExportValidationFailed",
            f"The domain has no export for '{platform}'. It has {offer}.",
        )
    if flavor and match_any_case(flavor, _FLAVORS) is None:
        raise ServiceFault("BadRequestExportValidationFailed", f"Unknown flavor '{flavor}'.")
    values = (row["id"], known, match_any_case(flavor, _FLAVORS) or "")
    if state.scalar(
        "SELECT 1 FROM exports WHERE iteration = ? AND platform = ? AND flavor = ?", *values
    ):
        raise ServiceFault(
            "BadRequestExportAlreadyInProgress",
            f"{guid_text(row['id'])} is already queued for export",
        )
    ready = state.clock.now() + int(request.resource.switches.export_seconds * 1e7)
    state.db.execute(
        "INSERT INTO exports VALUES (?, ?, ?, ?, ?)", (*values, ready, state.ids.key())
    )
    made = state.row(
        "SELECT * FROM exports WHERE iteration = ? AND platform = ? AND flavor = ?", *values
    )
    return ApiResponse(value=_view(request, made, fresh=True))


def _archive(resource: Resource, iteration: bytes, blob: str) -> bytes | None:
    """Return the zip of an export: the labels and a placeholder for the model, always the same
    bytes.
    """
    for row in resource.state.rows("SELECT * FROM exports WHERE iteration = ?", iteration):
        if f"{blob_name('m', row['id'])}.zip" == blob:
            break
    else:
        return None
    trained_row = resource.state.row("SELECT * FROM iterations WHERE id = ?", iteration)
    labels = "\n".join(tag["tagName"] for tag in json.loads(trained_row["tags"])) + "\n"
    model = (
        b"emulated " + row["platform"].encode() + b" model\n" + trained_row["fingerprint"] * 4096
    )
    files = {_FILES[row["platform"]]: model, "labels.txt": labels.encode()}
    if row["platform"] == "DockerFile":
        files["Dockerfile"] = b"FROM scratch\nCOPY app /app\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 11, 6, 0, 0, 0)), data)
    return out.getvalue()


BLOBS["x"] = _archive


@handles_slowly("GetArtifact")
async def get_artifact(request: ApiRequest) -> ApiResponse:
    """Return an image or an export of the project by its relative path."""
    resource = request.resource
    project = resource.project(request.key("projectId"))["id"]
    container, _, blob = request.required("path").strip("/").rpartition("/")
    iterations = resource.state.rows("SELECT id FROM iterations WHERE project = ?", project)
    own = {blob_name("i", project), "predictionimages/" + request.match.path["projectId"].lower()}
    own |= {blob_name("x", row["id"]) for row in iterations}
    data = await read_blob(resource, container, blob) if container.lower() in own else None
    if data is None:
        raise ServiceFault(
            "BadRequestInvalidArtifactUri",
            ("The path does not belong to the project. Use the address of an image in a response."),
        )
    return ApiResponse(raw=data, content_type="application/octet-stream")
