"""One job of a user of Microsoft's SDK, with whichever released version is installed.

The command ``python -m tests.sdks`` and test_sdk_versions.py run it in the environment of one
version. It takes an endpoint, keys and images as JSON on stdin. It prints one JSON object with the
outcome of each step: "ok", "not there" if the version has no such operation, or the error.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import io
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

NAMESPACE = "azure.cognitiveservices.vision.customvision"
COMPACT = "0732100f-1a38-4e49-a514-c9b44c697ab5"
DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"


class NotThere(Exception):
    """The version has no such operation."""


def clients(given: dict[str, Any]) -> tuple[Any, Any]:
    """Return the training and the prediction client of this version."""
    endpoint = given["endpoint"]
    keys = given["training_key"], given["prediction_key"]
    training = importlib.import_module(NAMESPACE + ".training")
    prediction = importlib.import_module(NAMESPACE + ".prediction")
    if hasattr(training, "CustomVisionTrainingClient"):
        kinds = training.CustomVisionTrainingClient, prediction.CustomVisionPredictionClient
        if "credentials" not in inspect.signature(kinds[0]).parameters:
            return kinds[0](keys[0], endpoint), kinds[1](keys[1], endpoint)  # 0.4.0 and 1.0.0
        from msrest.authentication import ApiKeyCredentials

        names = "Training-key", "Prediction-key"
        shown = [
            ApiKeyCredentials(in_headers={name: key}) for name, key in zip(names, keys, strict=True)
        ]
        return kinds[0](endpoint, shown[0]), kinds[1](endpoint, shown[1])
    from azure.cognitiveservices.vision.customvision.prediction.prediction_endpoint import (
        PredictionEndpoint,
    )
    from azure.cognitiveservices.vision.customvision.training.training_api import TrainingApi

    # 0.1.0 to 0.3.0 have the base address of a region: replace only the host.
    made = TrainingApi(keys[0]), PredictionEndpoint(keys[1])
    moved = []
    for kind, key, client in zip((TrainingApi, PredictionEndpoint), keys, made, strict=True):
        path = "/customvision/" + client.config.base_url.partition("/customvision/")[2]
        moved.append(kind(key, base_url=endpoint + path))
    return moved[0], moved[1]


class Scenario:
    """The steps. Each may need the results of the steps before it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.images = [base64.b64decode(image) for image in given["images"]]
        self.resource = "/subscriptions/s/resourceGroups/g/providers/p/accounts/a"
        self.training, self.prediction = clients(given)
        self.models = importlib.import_module(NAMESPACE + ".training.models")

    def batch(self, kind: str, entries: list[Any], tags: list[str]) -> Any:
        """Send entries. Since 3.0.0 the SDK takes one batch object, before that it takes lists."""
        method = getattr(self.training, f"create_images_from_{kind}s")
        made = {"file": "ImageFileCreateBatch", "url": "ImageUrlCreateBatch"}[kind]
        if "images" in method.__code__.co_varnames[: method.__code__.co_argcount]:
            return method(self.project, images=entries, tag_ids=tags)
        return method(self.project, getattr(self.models, made)(images=entries, tag_ids=tags))

    def projects(self) -> None:
        """Create a project, find it in the list, and read its domain."""
        self.project = self.training.create_project("Orchard", domain_id=COMPACT).id
        assert [project.id for project in self.training.get_projects()] == [self.project]
        assert self.training.get_project(self.project).settings.domain_id == COMPACT
        assert COMPACT in [domain.id for domain in self.training.get_domains()]

    def tags(self) -> None:
        """Create two tags and list them."""
        self.apple = self.training.create_tag(self.project, "apple").id
        self.pear = self.training.create_tag(self.project, "pear").id
        found = self.training.get_tags(self.project)
        found = getattr(found, "tags", found)
        assert {tag.name for tag in found} == {"apple", "pear"}

    def data(self) -> None:
        """Upload one image as a stream."""
        summary = self.training.create_images_from_data(
            self.project, io.BytesIO(self.images[0]), tag_ids=[self.pear]
        )
        assert summary.is_batch_successful and summary.images[0].status == "OK"

    def files(self) -> None:
        """Upload a batch per tag, and one without a tag."""
        entry = self.models.ImageFileCreateEntry
        for tags, first in (([self.apple], 1), ([self.pear], 7), ([], 13)):
            entries = [
                entry(name=f"{n}.jpg", contents=self.images[n]) for n in range(first, first + 6)
            ]
            summary = self.batch("file", entries, tags)
            assert summary.is_batch_successful
            names = {result.source_url for result in summary.images}
            assert names == {f"{n}.jpg" for n in range(first, first + 6)}
            self.made = [result.image.id for result in summary.images]

    def urls(self) -> None:
        """Upload from a URL. An image that the project already has is a duplicate."""
        image = self.training.get_tagged_images(self.project, take=1)[0]
        url = getattr(image, "original_image_uri", None) or image.image_uri
        entry = self.models.ImageUrlCreateEntry(url=url)
        summary = self.batch("url", [entry], [self.apple])
        assert summary.images[0].status == "OKDuplicate"
        assert summary.images[0].source_url == url

    def lists(self) -> None:
        """List tagged and untagged images, in pages and by tag."""
        pages = [self.training.get_tagged_images(self.project, take=5, skip=n) for n in (0, 5, 10)]
        ids = [image.id for page in pages for image in page]
        assert len(ids) == len(set(ids)) == 13
        assert all(image.tags for page in pages for image in page)
        assert len(self.training.get_tagged_images(self.project, tag_ids=[self.apple])) >= 6
        found = self.training.get_untagged_images(self.project, take=50)
        assert {image.id for image in found} == set(self.made)

    def tagging(self) -> None:
        """Tag images and remove the tag again."""
        pairs = [
            self.models.ImageTagCreateEntry(image_id=id, tag_id=self.apple) for id in self.made
        ]
        method = getattr(self.training, "create_image_tags", None)
        method = method or self.training.post_image_tags  # 0.1.0
        assert len(method(self.project, tags=pairs).created) == 6
        self.training.delete_image_tags(self.project, self.made, [self.apple])
        assert len(self.training.get_untagged_images(self.project)) == 6

    def regions(self) -> None:
        """Create a detection project with regions in one image, added later or with the upload."""
        if not hasattr(self.models, "ImageRegionCreateEntry"):
            raise NotThere
        project = self.training.create_project("Boxes", domain_id=DETECTION).id
        fork = self.training.create_tag(project, "fork").id
        made = self.training.create_images_from_data(project, io.BytesIO(self.images[0]))
        id = made.images[0].image.id
        box = {"left": 0.1, "top": 0.2, "width": 0.3, "height": 0.4}
        region = self.models.ImageRegionCreateEntry(image_id=id, tag_id=fork, **box)
        assert len(self.training.create_image_regions(project, regions=[region]).created) == 1
        image = self.training.get_tagged_images(project)[0]
        assert (image.regions[0].tag_name, image.regions[0].left) == ("fork", 0.1)
        self.training.delete_image_regions(project, [image.regions[0].region_id])
        self.training.delete_project(project)

    def train(self) -> None:
        """Train and wait for the end."""
        self.iteration = self.training.train_project(self.project).id
        for _ in range(400):
            found = self.training.get_iteration(self.project, self.iteration)
            if found.status == "Completed":
                break
            time.sleep(0.01)
        assert found.status == "Completed"
        performance = self.training.get_iteration_performance(self.project, self.iteration, 0.5)
        assert 0 <= performance.precision <= 1

    def publish(self) -> None:
        """Publish the iteration, or make it the default one (before 1.0.0)."""
        if hasattr(self.training, "publish_iteration"):
            args = self.project, self.iteration, "live", self.resource
            assert self.training.publish_iteration(*args)
            return
        args = self.project, self.iteration
        assert self.training.update_iteration(*args, name="live", is_default=True).is_default

    def predict(self) -> None:
        """Predict, stored and not."""
        if hasattr(self.prediction, "classify_image"):
            verbs, name = ("classify_image", "classify_image_with_no_store"), ["live"]
        else:
            verbs, name = ("predict_image", "predict_image_with_no_store"), []
        for verb in verbs:
            image = io.BytesIO(self.images[1])
            result = getattr(self.prediction, verb)(self.project, *name, image)
            best = result.predictions[0]
            assert (getattr(best, "tag_name", None) or best.tag) == "apple"

    def export(self) -> None:
        """Export and wait for the export."""
        assert self.training.export_iteration(self.project, self.iteration, "TensorFlow")
        export = self.training.get_exports(self.project, self.iteration)[0]
        assert export.status == "Done" and export.download_uri

    def delete(self) -> None:
        """Delete images, iteration, tag and project."""
        self.training.delete_images(self.project, self.made)
        assert self.training.get_untagged_images(self.project) == []
        if hasattr(self.training, "unpublish_iteration"):
            self.training.unpublish_iteration(self.project, self.iteration)
        else:
            args = self.project, self.iteration
            self.training.update_iteration(*args, name="live", is_default=False)
        self.training.delete_iteration(self.project, self.iteration)
        self.training.delete_tag(self.project, self.pear)
        self.training.delete_project(self.project)
        assert self.training.get_projects() == []


STEPS = (
    "projects",
    "tags",
    "data",
    "files",
    "urls",
    "lists",
    "tagging",
    "regions",
    "train",
    "publish",
    "predict",
    "export",
    "delete",
)


def outcome(step: Callable[[], None]) -> str:
    """Run a step and return its outcome."""
    try:
        step()
    except NotThere:
        return "not there"
    except Exception as error:  # noqa: BLE001 - any error is the outcome of the step
        frames = traceback.extract_tb(error.__traceback__)
        line = [frame.lineno for frame in frames if frame.filename == __file__][-1]
        return f"{type(error).__name__} at line {line}: {error}"[:300]
    return "ok"


def main() -> None:
    """Run every step and print the outcomes."""
    scenario = Scenario(json.load(sys.stdin))
    json.dump({name: outcome(getattr(scenario, name)) for name in STEPS}, sys.stdout)


if __name__ == "__main__":
    main()
