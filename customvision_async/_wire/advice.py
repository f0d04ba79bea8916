"""Remedies for each error code of the service, and for each status of an image."""

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
_TIERS = "F0 allows 5,000 per project, S0 100,000"
_FILES = "give a complete JPEG, PNG, GIF or BMP file"

STATUS_HELP: dict[str, StatusHelp] = {
    "OK": StatusHelp("the image is in the project", ""),
    "OKDuplicate": StatusHelp(
        "the project has an image with the same content already",
        "nothing to do; use that image",
    ),
    "ErrorSource": StatusHelp(
        "the service could not fetch or read the image",
        "check that the URL opens without signing in, and that it is the URL of an image",
    ),
    "ErrorImageFormat": StatusHelp("the service cannot read the file as an image", _FILES),
    "ErrorImageSize": StatusHelp(
        "the image is larger than the service accepts",
        f"reduce the file to {limits.IMAGE_BYTES.value // _MB} MB or less",
    ),
    "ErrorImageDimensions": StatusHelp(
        "a side of the image is too long, or its aspect ratio is too high",
        f"keep sides to {limits.IMAGE_SIDE}, and the longer side to"
        f" {limits.IMAGE_ASPECT_RATIO.value} times the shorter",
    ),
    "ErrorStorage": StatusHelp(
        "the service failed to store the image", "upload it again; the failure is temporary"
    ),
    "ErrorLimitExceed": StatusHelp(
        "the project has as many images as its tier allows",
        f"delete images, or move to a larger tier ({_TIERS})",
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
        "give it only the negative tag, or leave that out",
    ),
    "ErrorInvalidTag": StatusHelp(
        "a tag of the image does not belong to this project, or is not allowed for the image",
        "list the tags of the project",
    ),
    "ErrorInvalidRegion": StatusHelp(
        "a region is not within the image",
        "give left, top, width and height as fractions, so that the region stays within 0 to 1",
    ),
    "ErrorUnknown": StatusHelp(
        "the service gives no reason",
        "upload it again in a smaller batch; if it fails alone, check the file",
    ),
    "ErrorImageNotFound": StatusHelp(
        "the project has no such image", "list the images; it may have been deleted"
    ),
}
"""Cause and remedy by status."""

VAGUE_STATUSES = frozenset({"ErrorUnknown", "ErrorStorage"})
"""Statuses that another image of the chunk may have caused. Images with them are sent again in
smaller chunks."""


def status_help(status: str) -> StatusHelp:
    """Return the cause and remedy of a status, including unknown ones."""
    known = STATUS_HELP.get(status)
    if known is not None:
        return known
    return StatusHelp(
        f'the service returned "{status}", which this package does not know',
        "see Microsoft's reference of the API version",
    )


_BY_CODE = {
    "BadRequestProjectNameNotUnique": "Choose another name, or use the project that has it.",
    "BadRequestTagNameNotUnique": "List the tags, and use the one with this name.",
    "BadRequestIterationNameNotUnique": "Choose another name for the iteration.",
    "BadRequestExceedProjectLimit": (
        "Delete a project, or move to a larger tier (F0 allows 2 projects, S0 100)."
    ),
    "BadRequestExceedTagPerProjectLimit": (
        "Delete tags, or move to a larger tier (F0 allows 50 tags per project, S0 500)."
    ),
    "BadRequestExceedIterationPerProjectLimit": (
        "Delete an iteration that is not published. A project can have at most 20."
    ),
    "BadRequestExceedTagPerImageLimit": f"Give each image at most {limits.TAGS_PER_IMAGE}.",
    "BadRequestExceededQuota": (
        "The quota of the tier is used up. Delete unneeded objects, or move to a larger tier."
    ),
    "BadRequestExceededBatchSize": f"Send at most {limits.IMAGES_PER_BATCH}"
    f" and {limits.TAGS_PER_BATCH} in a request, as upload_images does.",
    "BadRequestImageExceededCount": (
        f"The project has as many images as its tier allows ({_TIERS})."
    ),
    "BadRequestImageBatch": "The service found no usable image in the request. Check the files,"
    " and that tags are given by id.",
    "BadRequestImageSizeBytes": "An image is too large. The maximum is"
    f" {limits.IMAGE_BYTES.value // _MB} MB for training and"
    f" {limits.PREDICTION_BYTES.value // _MB} MB for prediction.",
    "BadRequestImageFormat": "Give complete JPEG, PNG, GIF or BMP files.",
    "BadRequestImageUrl": (
        "Check that the URL opens without signing in, and that it is the URL of an image."
    ),
    "BadRequestImageRegions": (
        "Keep every region within 0 to 1, and use regions only in object detection projects."
    ),
    "BadRequestImageTags": "Check that every tag id belongs to this project.",
    "BadRequestNegativeAndRegularTagOnSameImage": (
        "Give an image only the negative tag, or leave that out."
    ),
    "BadRequestMultipleNegativeTag": "A project has at most one negative tag.",
    "BadRequestImageMetadataKey": (
        f"Give at most {limits.METADATA_PAIRS}, with keys of at most {limits.METADATA_KEY_LENGTH}."
    ),
    "BadRequestImageMetadataValue": (
        f"Give metadata values of at most {limits.METADATA_VALUE_LENGTH}."
    ),
    "BadRequestProjectUnknownDomain": (
        "Use an id from list_domains(), which lists the domains of this resource."
    ),
    "BadRequestTrainingNotNeeded": (
        "Nothing has changed since the last training. Change images or tags, or force the training."
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
    "BadRequestTrainingAlreadyInProgress": "Wait for the training in progress.",
    "BadRequestIterationIsPublished": "Unpublish the iteration first.",
    "BadRequestIterationNotPublished": "Publish the iteration first.",
    "BadRequestIterationIsNotTrained": "Wait until the iteration's status is Completed.",
    "BadRequestInvalidPublishName": (
        "Choose another name to publish under. It is taken, or has characters that are not allowed"
        " in a URL."
    ),
    "BadRequestInvalidPublishTarget": (
        "Give the id of the prediction resource, from its Properties page"
        " (VISION_PREDICTION_RESOURCE_ID)."
    ),
    "BadRequestExportAlreadyInProgress": (
        "Wait for the export in progress, which list_exports() shows."
    ),
    "BadRequestInvalidImportToken": (
        "Export the project again, and give the complete token within a day."
    ),
    "BadRequestTrainingNotNeededButTrainingPipelineUpdated": (
        "Only the service itself has changed. To train again, force the training."
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
        "The domain is retired. Move the project to an enabled one."
    ),
    "BadRequestDetectionTrainingNotAllowNegativeTag": (
        "Object detection does not support a negative tag. Delete it, or make it regular."
    ),
    "BadRequestInvalidEmailAddress": "Give one complete e-mail address, or leave it out.",
    "BadRequestCustomBaseModelIterationStatusNotCompleted": (
        "Wait until the iteration to start from is Completed."
    ),
    "BadRequestCustomBaseModelDomainNotCompatible": "Start from an iteration of the same domain.",
    "BadRequestExportValidationFailed": (
        "Choose a platform from `exportable_to` of the iteration. Only iterations of compact"
        " domains can be exported."
    ),
    "BadRequestExportWhileTraining": (
        "Wait until the training is completed, then export the project."
    ),
    "BadRequestProjectUnsupportedExportPlatform": (
        "Choose platforms from `exportable_platforms` of the domain."
    ),
    "BadRequestIterationName": "Give the iteration a name of 1 to 256 characters.",
    "BadRequestWorkspaceCannotBeModified": (
        "This iteration is the workspace, which is not trained. Train the project first."
    ),
    "BadRequestWorkspaceNotDeletable": (
        "This iteration is the workspace, which cannot be deleted. Delete its images instead."
    ),
    "BadRequestUnpublishFailed": (
        "Try again later. If that fails too, publish the iteration again with overwrite, and then"
        " unpublish it."
    ),
    "BadRequestPredictionInvalidQueryParameters": (
        "Start the query again without a token. A token expires, and belongs to one query."
    ),
    "BadRequestPredictionTagsExceededCount": (
        f"Request at most {limits.TAGS_PER_PREDICTION_QUERY} at a time."
    ),
    "BadRequestPredictionIdsExceededCount": "Delete at most"
    f" {limits.PREDICTIONS_PER_DELETE.value} predictions in a request, as delete_predictions does.",
    "BadRequestPredictionIdsMissing": "Give at least one id of a prediction.",
    "BadRequestPredictionResultsExceededCount": "Request fewer results per page.",
    "BadRequestInvalidArtifactUri": "Give the relative URI exactly as the service returned it.",
    "BadRequestInvalidIds": (
        "Give ids of the form 12345678-1234-1234-1234-123456789abc, of this project."
    ),
    "BadRequestNotSupported": (
        "The project is of the other type: classification or object detection."
    ),
    "BadRequestImageStream": f"The service could not read the image; {_FILES}.",
    "BadRequestImageDimensions": f"Keep the sides of an image to {limits.IMAGE_SIDE}.",
    "BadRequestImageAspectRatio": (
        f"Keep the longer side of an image to {limits.IMAGE_ASPECT_RATIO.value} times the shorter."
    ),
    "NotFoundProjectDefaultIteration": (
        "Give an iteration, or make one the default (until v2.2, with update_iteration)."
    ),
    "NotFoundIterationPerformance": (
        "The iteration has no performance yet. Wait until its status is Completed."
    ),
    "BadRequestSubscriptionApi": (
        "The key belongs to another kind of resource than this operation needs."
    ),
    "ForbiddenDRModeEnabled": "The project is in disaster recovery mode and cannot be changed.",
    "NotFoundProject": (
        "The resource of this key has no such project. list_projects() shows its projects."
    ),
    "NotFoundTag": "The project has no such tag. list_tags() shows its tags.",
    "NotFoundImage": "The project has no such image. It may have been deleted.",
    "NotFoundIteration": (
        "The project has no such iteration, or none is published under that name."
        " list_iterations() shows its iterations."
    ),
    "NotFoundDomain": "Use an id from list_domains(), which lists the domains of this resource.",
}


_WRONG_ENDPOINT = (
    "If every request fails like this, the endpoint is wrong. VISION_{kind}_ENDPOINT is the"
    " endpoint on the page of the resource, such as https://NAME.cognitiveservices.azure.com,"
    " without a path."
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
