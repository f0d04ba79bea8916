"""The table of operations and the models agree with the service's OpenAPI documents."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest

from customvision_async import models
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.operation_spec import OperationSpec, Version
from customvision_async._wire.operations import OPERATIONS, operation_spec
from customvision_async._wire.request import base_path

from .support.shared import SHARED, needs_specs

pytestmark = needs_specs

VERSIONS: list[Version] = [*ApiVersion, *PredictionVersion]
each_version = pytest.mark.parametrize(
    "version", VERSIONS, ids=lambda version: f"{type(version).__name__}-{version.value}"
)


@cache
def read(name: str) -> dict[str, Any]:
    """Return an OpenAPI document."""
    return json.loads((SHARED / "specs" / name).read_text("utf-8"))


def spec(version: Version) -> dict[str, Any]:
    """Return the OpenAPI document of a version."""
    return read(
        f"{'Training' if isinstance(version, ApiVersion) else 'Prediction'}-{version.value}.json"
    )


def operations(version: Version) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and document of each operation, by its operationId."""
    return {
        document["operationId"]: (method.upper(), path, document)
        for path, item in spec(version)["paths"].items()
        for method, document in item.items()
        if method in {"get", "post", "patch", "delete", "put"}
    }


def parameters(document: dict[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of an operation in a place, by name."""
    return {item["name"]: item for item in document["parameters"] if item.get("in") == place}


@each_version
def test_rows_are_the_operations_of_the_version(version: Version) -> None:
    """Each version has exactly the operations of the table, with the same method and path."""
    rows = {
        row.id: (row.method, row.path_in(version))
        for row in OPERATIONS.values()
        if row.in_version(version)
    }
    assert rows == {id: (method, path) for id, (method, path, _) in operations(version).items()}


def test_counts_are_those_of_the_reference() -> None:
    """34 operations in v1.2, 52 in v3.3 and v3.4-preview."""
    counts = {
        version.value: sum(row.in_version(version) for row in OPERATIONS.values())
        for version in ApiVersion
    }
    assert (counts["v1.2"], counts["v3.3"], counts["v3.4-preview"]) == (34, 52, 52)


@each_version
def test_base_paths(version: Version) -> None:
    """The base path is that of the document, including letter case."""
    document = spec(version)
    prefix = document.get("basePath") or document["x-ms-parameterized-host"]["hostTemplate"]
    assert prefix.endswith(base_path(version))


KINDS = {
    ("string", "uuid"): "id",
    ("string", None): "text",
    ("integer", "int32"): "int",
    ("number", "float"): "float",
    ("number", "double"): "float",
    ("boolean", None): "bool",
}


def kind_of(document: dict[str, Any]) -> str:
    """Return the kind of a query parameter, as the table names it."""
    if document["type"] != "array":
        return KINDS[document["type"], document.get("format")]
    assert document["collectionFormat"] == "csv"
    ids = document["items"].get("format") == "uuid" or document["name"].lower().endswith("ids")
    return "ids" if ids else "texts"


def limit_of(document: dict[str, Any]) -> int | None:
    """Return the maximum of a parameter, from its description or else its schema.

    One schema contradicts its description.
    """
    text = re.search(r"[Ll]imited to (\d+)", document.get("description", ""))
    return int(text[1]) if text else document.get("maxItems", document.get("maximum"))


@each_version
def test_queries_are_those_of_the_documents(version: Version) -> None:
    """Names, kinds, required ones, and limits of all query parameters."""
    for id, (_, _, document) in operations(version).items():
        stated = {
            name: (kind_of(item), item["required"], limit_of(item))
            for name, item in parameters(document, "query").items()
        }
        ours = {
            param.name: (
                param.kind,
                param.is_required(version),
                param.limit.value if param.limit else None,
            )
            for param in OPERATIONS[id].query
            if param.since is None or version >= param.since
        }
        assert ours == stated, id


@each_version
def test_path_parameters_are_those_of_the_documents(version: Version) -> None:
    """Every placeholder is an id, except the published name."""
    for id, (_, path, document) in operations(version).items():
        stated = {name: kind_of(item) for name, item in parameters(document, "path").items()}
        assert stated == {
            name: "text" if name == "publishedName" else "id"
            for name in re.findall(r"{(\w+)}", path)
        }, id


def schema_name(schema: dict[str, Any]) -> str:
    """Return a schema in a word: its name, "[name]" for a list, or the type."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema["type"] == "array":
        return f"[{schema_name(schema['items'])}]"
    if "additionalProperties" in schema:
        return f"map<{schema_name(schema['additionalProperties'])}>"
    return schema["type"]


@each_version
def test_bodies_are_those_of_the_documents(version: Version) -> None:
    """The operations with a body, its schema, and whether it is required."""
    for id, (_, _, document) in operations(version).items():
        row = OPERATIONS[id]
        bodies = parameters(document, "body")
        if not row.has_body(version):
            assert not bodies, id
            assert not parameters(document, "formData"), id
        elif row.body_schema == "file":
            assert set(parameters(document, "formData")) == {"imageData"}, id
            assert "application/octet-stream" in document["consumes"], id
        else:
            (body,) = bodies.values()
            assert schema_name(body["schema"]).partition("<")[0] == row.body_schema, id
            assert body["required"] is row.body_required, id


OLD_NAMES = {
    "ImagePredictionResult": "ImagePrediction",
    "ImagePredictionResultModel": "ImagePrediction",
    "ImageTagPredictionModel": "Prediction",
    "ImageTagPrediction": "Prediction",
    "PredictionTag": "Prediction",
    "PredictionQuery": "PredictionQueryResult",
}
"""Names of early versions whose schemas have a model of another name."""


def model_name(name: str, version: Version) -> str:
    """Return the name of our model of a schema."""
    if version is ApiVersion.V1_2 and name == "Prediction":
        # v1.2 calls a Prediction a PredictionTag
        return "StoredImagePrediction"
    return OLD_NAMES.get(name, name)


def type_name(kind: Any, version: Version) -> str:
    """Return the type of a response in the words of `schema_name`."""
    names = {int: "integer", bool: "boolean", bytes: "file", dict[str, int]: "map<integer>"}
    if kind in names:
        return names[kind]
    return f"[{kind.__args__[0].__name__}]" if hasattr(kind, "__args__") else kind.__name__


@each_version
def test_answers_are_those_of_the_documents(version: Version) -> None:
    """The success statuses, and the type of the body."""
    for id, (_, _, document) in operations(version).items():
        row: OperationSpec = OPERATIONS[id]
        successes = {
            int(status): item
            for status, item in document["responses"].items()
            if status != "default"
        }
        assert set(successes) == row.statuses_in(version), id
        for response in successes.values():
            kind = row.response_in(version)
            if kind is None:
                assert "schema" not in response, id
                continue
            stated = schema_name(response["schema"])
            inner = stated.strip("[]")
            assert stated.replace(inner, model_name(inner, version)) == type_name(kind, version), id


NO_MODEL = {
    "CustomVisionError": "an answer of this shape is raised, as ServiceError",
    "CustomVisionErrorCodes": "codes are open strings",
    "ImageTagCreateBatch": "create_image_tags takes the entries alone",
    "ImageRegionCreateBatch": "create_image_regions takes the entries alone",
}
OTHER_FIELD = {("Region", "tag_id"): "tag", ("ImageUrl", "url"): "url"}


def snake(name: str) -> str:
    """Convert camelCase or PascalCase to snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@each_version
def test_models_have_every_field_of_every_schema(version: Version) -> None:
    """Each schema has a model with each of its properties."""
    for name, schema in spec(version).get("definitions", {}).items():
        if name in NO_MODEL or "properties" not in schema:
            continue
        model = getattr(models, model_name(name, version))
        fields = {field for field in dir(model) if not field.startswith("_")} | set(
            getattr(model, "__dataclass_fields__", ())
        )
        ours = {
            OTHER_FIELD.get((name, snake(field)), snake(field)) for field in schema["properties"]
        }
        assert ours <= fields, name


@each_version
def test_models_read_answers_that_have_what_is_never_null(version: Version) -> None:
    """A model needs only the properties that the document says are never null."""
    samples = {"uuid": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "date-time": "2020-01-01T00:00:00"}
    plain = {"integer": 1, "number": 0.5, "boolean": True, "string": "x"}
    for name, schema in spec(version).get("definitions", {}).items():
        model = getattr(models, model_name(name, version), None)
        if (
            name in NO_MODEL
            or "properties" not in schema
            or not hasattr(model, "__struct_fields__")
        ):
            continue
        sample = {
            field[0].lower() + field[1:]: samples.get(
                item.get("format", ""), item.get("enum", [plain.get(item.get("type"))])[0]
            )
            for field, item in schema["properties"].items()
            if item.get("x-nullable") is False
            or field.lower() in {"name", "id", "platform", "status"}
        }
        assert msgspec.convert(sample, model), name


@each_version
def test_enums_know_every_value(version: Version) -> None:
    """Each value of a document is a member of the enum."""
    enums = {
        "ImageUploadStatus": "ImageCreateStatus",
        "ExportStatusModel": "ExportStatus",
        "ExportPlatformModel": "ExportPlatform",
        "ExportFlavorModel": "ExportFlavor",
    }

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            name = node.get("x-ms-enum", {}).get("name", "")
            if "enum" in node and name and name != "CustomVisionErrorCodes":
                enum = getattr(models, enums.get(name, name))
                assert set(node["enum"]) <= {member.value for member in enum}, name
            for item in node.values():
                walk(item)

    walk(spec(version).get("definitions"))


def test_names_of_renamed_operations_lead_to_each_other() -> None:
    """PostImageTags of v1.2 is CreateImageTags later. Either name works in every version."""
    assert (
        operation_spec("CreateImageTags", ApiVersion.V1_2).id
        == operation_spec("PostImageTags", ApiVersion.V1_2).id
        == "PostImageTags"
    )
    assert operation_spec("PostImageTags", ApiVersion.V3_3).id == "CreateImageTags"
    assert operation_spec("QueryPredictions", ApiVersion.V1_2).id == "QueryPredictionResults"
