"""Remedies: for each error code of the service, and for each status of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .. import limits
from .._statuses import meaning_of
from .operation_spec import OperationSpec

__all__ = ["STATUS_HELP", "VAGUE_STATUSES", "StatusHelp", "advice_for", "status_help"]


class StatusHelp(NamedTuple):
    """The cause of a status of an image, and the remedy."""

    cause: str
    fix: str


_MB = 1024 * 1024
_TIERS = "F0 has 5,000 a project, S0 100,000"
_FILES = "give a whole JPEG, PNG, GIF or BMP file"

STATUS_HELP: dict[str, StatusHelp] = {
    "OK": StatusHelp("the image is in the project", ""),
    "OKDuplicate": StatusHelp(
        "the project has an image with the same content already",
        "nothing: that image stands for this one",
    ),
    "ErrorSource": StatusHelp(
        "the service could not fetch or read the image",
        "check that the URL opens without signing in, and that it is the image itself",
    ),
    "ErrorImageFormat": StatusHelp("the service cannot read it as an image", _FILES),
    "ErrorImageSize": StatusHelp(
        "the image is larger than the service accepts",
        f"reduce the file to {limits.IMAGE_BYTES.value // _MB} MB or less",
    ),
    "ErrorImageDimensions": StatusHelp(
        "a side of the image is too long, or one side is too long for the other",
        f"keep sides to {limits.IMAGE_SIDE}"
        f" and to {limits.IMAGE_ASPECT_RATIO.value} times each other",
    ),
    "ErrorStorage": StatusHelp(
        "the service failed to store the image", "upload it again; this is temporary"
    ),
    "ErrorLimitExceed": StatusHelp(
        "the project has as many images as its tier allows",
        f"delete images, or move to a larger tier: {_TIERS}",
    ),
    "ErrorTagLimitExceed": StatusHelp(
        "the image would have more tags than allowed",
        f"give it at most {limits.TAGS_PER_IMAGE}",
    ),
    "ErrorRegionLimitExceed": StatusHelp(
        "the image would have more regions than allowed",
        f"give it at most {limits.REGIONS_PER_IMAGE}",
    ),
    "ErrorNegativeAndRegularTagOnSameImage": StatusHelp(
        "the image has a negative tag and another one",
        "give it the negative tag alone, or leave that out",
    ),
    "ErrorInvalidTag": StatusHelp(
        "a tag of the image is not one of this project, or does not fit it",
        "list the tags of the project",
    ),
    "ErrorInvalidRegion": StatusHelp(
        "a region is not within the image",
        "give left, top, width, height as fractions that stay within 0 to 1",
    ),
    "ErrorUnknown": StatusHelp(
        "the service gives no reason",
        "upload it again in a smaller batch; if it fails alone, check the file",
    ),
    "ErrorImageNotFound": StatusHelp(
        "the project has no such image", "it may have been deleted: list the images"
    ),
}
"""Cause and remedy by status."""

VAGUE_STATUSES = frozenset({"ErrorUnknown", "ErrorStorage"})
"""Statuses that may be caused by another image of the chunk. Such images are sent again in a
smaller chunk."""


def status_help(status: str) -> StatusHelp:
    """Return the cause and remedy of a status, also of one that this package does not know."""
    known = STATUS_HELP.get(status)
    if known is not None:
        return known
    return StatusHelp(
        f'the service returned "{status}", which this package does not know',
        "see Microsoft's reference of the API version",
    )


_BY_CODE = {
    "BadRequestProjectNameNotUnique": "Choose another name, or use the project that has it.",
    "BadRequestTagNameNotUnique": "The project has a tag of this name: list the tags and use it.",
    "BadRequestIterationNameNotUnique": "Choose another name for the iteration.",
    "BadRequestExceedProjectLimit": (
        "Delete a project or move to a larger tier: F0 has 2 projects, S0 100."
    ),
    "BadRequestExceedTagPerProjectLimit": (
        "Delete tags or move to a larger tier: F0 has 50 tags a project, S0 500."
    ),
    "BadRequestExceedIterationPerProjectLimit": (
        "Delete an iteration that is not published: 20 is the most a project can have."
    ),
    "BadRequestExceedTagPerImageLimit": f"Give each image at most {limits.TAGS_PER_IMAGE}.",
    "BadRequestExceededQuota": (
        "The tier's quota is used up: delete what is not needed, or move to a larger tier."
    ),
    "BadRequestExceededBatchSize": f"Send at most {limits.IMAGES_PER_BATCH}"
    f" and {limits.TAGS_PER_BATCH} in a request;"
    " upload_images does so.",
    "BadRequestImageExceededCount": f"The project has as many images as its tier allows: {_TIERS}.",
    "BadRequestImageBatch": "The service found no usable image in the request: check the files,"
    " and that tags are given by id.",
    "BadRequestImageSizeBytes": "An image is too large: the maximum is"
    f" {limits.IMAGE_BYTES.value // _MB} MB for training, "
    f"{limits.PREDICTION_BYTES.value // _MB} MB for prediction.",
    "BadRequestImageFormat": "Give whole JPEG, PNG, GIF or BMP files.",
    "BadRequestImageUrl": (
        "Check that the URL opens without signing in, and that it is the image itself."
    ),
    "BadRequestImageRegions": (
        "Keep every region within 0 to 1, and use regions in object detection projects alone."
    ),
    "BadRequestImageTags": "Check that every tag id is one of this project.",
    "BadRequestNegativeAndRegularTagOnSameImage": (
        "Give an image the negative tag alone, or leave that out."
    ),
    "BadRequestMultipleNegativeTag": "A project has at most one negative tag.",
    "BadRequestImageMetadataKey": (
        f"Keep metadata to {limits.METADATA_PAIRS} with keys of at most"
        f" {limits.METADATA_KEY_LENGTH}."
    ),
    "BadRequestImageMetadataValue": f"Keep metadata values to {limits.METADATA_VALUE_LENGTH}.",
    "BadRequestProjectUnknownDomain": (
        "List the domains: get_domains() has the ids this resource knows."
    ),
    "BadRequestTrainingNotNeeded": (
        "Nothing has changed since the last training: change images or tags, or force the training."
    ),
    "BadRequestTrainingValidationFailed": (
        "Training needs at least two tags with 5 images each (15 each for object detection)."
    ),
    "BadRequestClassificationTrainingValidationFailed": (
        "Training needs at least two tags with 5 images each."
    ),
    "BadRequestMultiClassClassificationTrainingValidationFailed": (
        "Training needs at least two tags with 5 images each."
    ),
    "BadRequestMultiLabelClassificationTrainingValidationFailed": (
        "Training needs at least two tags with 5 images each."
    ),
    "BadRequestDetectionTrainingValidationFailed": (
        "Training needs at least 15 images with a region of each tag."
    ),
    "BadRequestTrainingAlreadyInProgress": "Wait for the training that is under way.",
    "BadRequestIterationIsPublished": "Unpublish the iteration first.",
    "BadRequestIterationNotPublished": "Publish the iteration first.",
    "BadRequestIterationIsNotTrained": "Wait until the iteration's status is Completed.",
    "BadRequestInvalidPublishName": (
        "Choose another name to publish under: it is taken, or has characters that a URL may not."
    ),
    "BadRequestInvalidPublishTarget": (
        "Give the id of the prediction resource, from its Properties page"
        " (VISION_PREDICTION_RESOURCE_ID)."
    ),
    "BadRequestExportAlreadyInProgress": (
        "Wait for the export that is under way: get_exports() shows it."
    ),
    "BadRequestInvalidImportToken": (
        "Export the project again and give its token, complete and at once."
    ),
    "BadRequestTrainingNotNeededButTrainingPipelineUpdated": (
        "Only the service itself has changed: force the training."
    ),
    "BadRequestReservedBudgetInHoursNotEnoughForAdvancedTraining": (
        "Give advanced training a budget of at least one hour."
    ),
    "BadRequestDomainNotSupportedForAdvancedTraining": (
        "Leave out the budget, or choose another domain."
    ),
    "BadRequestExportPlatformNotSupportedForAdvancedTraining": (
        "Change the project's export platforms, or train without a budget."
    ),
    "BadRequestRetiredDomainNotSupportedForTraining": (
        "The domain is retired: move the project to an enabled one."
    ),
    "BadRequestDetectionTrainingNotAllowNegativeTag": (
        "Object detection knows no negative tag: delete it, or make it regular."
    ),
    "BadRequestInvalidEmailAddress": "Give one whole e-mail address, or leave it out.",
    "BadRequestCustomBaseModelIterationStatusNotCompleted": (
        "Wait until the iteration to begin from is Completed."
    ),
    "BadRequestCustomBaseModelDomainNotCompatible": "Begin from an iteration of the same domain.",
    "BadRequestExportValidationFailed": (
        "Its `exportable_to` says what an iteration exports for: only compact domains do."
    ),
    "BadRequestExportWhileTraining": (
        "Wait until the training is completed, then export the project."
    ),
    "BadRequestProjectUnsupportedExportPlatform": (
        "The domain's `exportable_platforms` say for which it can be exported."
    ),
    "BadRequestIterationName": "Give the iteration a name of 1 to 256 characters.",
    "BadRequestWorkspaceCannotBeModified": (
        "This iteration is the workspace, not yet trained: train the project first."
    ),
    "BadRequestWorkspaceNotDeletable": (
        "This iteration is the workspace: it cannot be deleted. Delete images in place of it."
    ),
    "BadRequestUnpublishFailed": (
        "Try again later; if it stays so, publish the iteration again with overwrite, and then"
        " unpublish it."
    ),
    "BadRequestPredictionInvalidQueryParameters": (
        "Begin the query again without its token: a token expires, and belongs to one query."
    ),
    "BadRequestPredictionTagsExceededCount": (
        f"Request at most {limits.TAGS_PER_PREDICTION_QUERY} at a time."
    ),
    "BadRequestPredictionIdsExceededCount": "Delete at most"
    f" {limits.PREDICTIONS_PER_DELETE.value} predictions in a request;"
    " delete_predictions does so.",
    "BadRequestPredictionIdsMissing": "Give at least one id of a prediction.",
    "BadRequestPredictionResultsExceededCount": "Ask for fewer results a page.",
    "BadRequestInvalidArtifactUri": "Give the relative address exactly as the service wrote it.",
    "BadRequestInvalidIds": (
        "Give ids of the form 12345678-1234-1234-1234-123456789abc, of this project."
    ),
    "BadRequestNotSupported": (
        "The project is of the other kind: classification, or object detection."
    ),
    "BadRequestImageStream": f"The service could not read the image: {_FILES}.",
    "BadRequestImageDimensions": f"Keep the sides of an image to {limits.IMAGE_SIDE}.",
    "BadRequestImageAspectRatio": (
        f"Keep the longer side of an image to {limits.IMAGE_ASPECT_RATIO.value} times the shorter."
    ),
    "NotFoundProjectDefaultIteration": (
        "Say which iteration is meant, or make one the default (until v2.2: update_iteration)."
    ),
    "NotFoundIterationPerformance": (
        "The iteration has no performance yet: wait until its status is Completed."
    ),
    "BadRequestSubscriptionApi": (
        "The key is of another kind of resource than this operation needs."
    ),
    "ForbiddenDRModeEnabled": "The project is in disaster recovery mode and cannot be changed.",
    "NotFoundProject": (
        "The resource of this key has no such project: list_projects() shows those it has."
    ),
    "NotFoundTag": "The project has no such tag: list_tags() shows those it has.",
    "NotFoundImage": "The project has no such image: it may have been deleted.",
    "NotFoundIteration": (
        "The project has no such iteration, or nothing published under that name:"
        " list_iterations() shows what it has."
    ),
    "NotFoundDomain": "List the domains: get_domains() has the ids this resource knows.",
}


_WRONG_ENDPOINT = (
    "If every request ends so, the endpoint is wrong: VISION_{kind}_ENDPOINT is the bare address on"
    " the page of the resource, such as https://NAME.cognitiveservices.azure.com, without a path."
)


def advice_for(spec: OperationSpec, status: int, code: str, headers: Mapping[str, str]) -> str:
    """Return the remedy for an error of the service, or "" if none is known."""
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    advice = meaning_of(status).advice
    if status == 404 and not code.startswith("NotFound") and not headers.get("apim-request-id"):
        advice = _WRONG_ENDPOINT
    other = "prediction" if spec.api == "Training" else "training"
    return advice.format(kind=spec.api.upper(), api=spec.api.lower(), other=other)
