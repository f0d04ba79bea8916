"""Simulate trained models: the same image always gets the same scores.

An image of the iteration is recognised: its tags score high and its boxes are found again. Any
other image is compared, by a coarse description of its colours, with up to `_SAMPLES` images of
each tag. So similar images have similar scores.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from . import _image_files
from ._ids import guid_key, guid_text
from ._resource import Resource

__all__ = ["Model", "known_scores", "model_of", "uncertainty"]

_SAMPLES = 20
_SHARPNESS = 25.0
Box = tuple[float, float, float, float]
Scores = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Sample:
    """An image of the iteration: its signature, and the boxes of the tag."""

    signature: tuple[float, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained iteration.

    `tags` are the id, name and type of each tag. `examples` are the stored images by tag, and
    `samples` their signatures.
    """

    iteration: bytes
    detects: bool
    tags: list[dict[str, str]]
    examples: dict[str, list[tuple[bytes | None, bytes, tuple[Box, ...]]]]
    samples: dict[str, list[_Sample]]

    def load_samples(self) -> None:
        """Compute the signatures of the examples. Slow: run it in a thread."""
        for tag, images in self.examples.items():
            if tag not in self.samples:
                found = [
                    (_image_files.signature(data if data is not None else digest), boxes)
                    for data, digest, boxes in images
                ]
                self.samples[tag] = [_Sample(*example) for example in found]

    def predict(self, data: _image_files.Buffer) -> Scores:
        """Return the scores of an image that is not in the iteration. Slow: run it in a thread."""
        self.load_samples()
        signature = _image_files.signature(data)
        nearest: dict[str, tuple[float, tuple[Box, ...]]] = {}
        for id, samples in self.samples.items():
            found = min(
                ((math.dist(signature, sample.signature), sample.boxes) for sample in samples),
                default=(4.0, ()),
            )
            nearest[id] = found
        weights = {
            id: math.exp(-_SHARPNESS * distance**2) + 1e-12 for id, (distance, _) in nearest.items()
        }
        total = sum(weights.values()) or 1.0
        scores: Scores = []
        for tag in self.tags:
            probability = weights.get(tag["tagId"], 1e-12) / total
            if not self.detects:
                scores.append(tag | {"probability": probability})
                continue
            closeness = math.exp(-nearest.get(tag["tagId"], (4.0, ()))[0])
            boxes = nearest.get(tag["tagId"], (4.0, ()))[1] or ((0.25, 0.25, 0.5, 0.5),)
            scores += [tag | {"probability": probability * closeness, "box": box} for box in boxes]
        return _sorted(scores)


def _sorted(scores: Scores) -> Scores:
    return sorted(scores, key=lambda score: (-score["probability"], score["tagId"]))


def model_of(resource: Resource, iteration: Any) -> Model:
    """Return the model of a trained iteration. Models are cached."""
    key = iteration["id"]
    model: Model | None = resource.models.get(key)
    if model is not None:
        return model
    tags = json.loads(iteration["tags"])
    examples: dict[str, list[tuple[bytes | None, bytes, tuple[Box, ...]]]] = {}
    for tag in tags:
        rows = resource.state.rows(
            "SELECT i.id, i.digest FROM image_tags t JOIN images i ON i.id = t.image WHERE "
            "t.tag = ? AND t.iteration = ?"
            " ORDER BY i.id LIMIT ?",
            guid_key(tag["tagId"]),
            key,
            _SAMPLES,
        )
        examples[tag["tagId"]] = [
            (
                resource.image_content(row["digest"]),
                row["digest"],
                _boxes(resource, key, row["id"], guid_key(tag["tagId"])),
            )
            for row in rows
        ]
    model = resource.models[key] = Model(
        key, resource.domain(iteration["domain"]).detects, tags, examples, {}
    )
    return model


def _boxes(resource: Resource, iteration: bytes, image: bytes, tag: bytes) -> tuple[Box, ...]:
    rows = resource.state.rows(
        (
            "SELECT left, top, width, height FROM regions WHERE image = ? AND iteration = ? AND "
            "tag = ? ORDER BY id"
        ),
        image,
        iteration,
        tag,
    )
    return tuple((row[0], row[1], row[2], row[3]) for row in rows)


def known_scores(resource: Resource, model: Model, project: bytes, digest: bytes) -> Scores | None:
    """Return the scores of an image of the iteration, or None if it is not one."""
    rows = resource.state.rows(
        (
            "SELECT t.image, t.tag FROM images i JOIN image_tags t ON t.image = i.id AND "
            "t.iteration = ? WHERE i.digest = ? AND i.project = ?"
        ),
        model.iteration,
        digest,
        project,
    )
    tag_ids = {guid_text(row["tag"]) for row in rows}
    if not tag_ids:
        return None
    noise = 1e-6 * (1 + digest[0] / 255)
    scores: Scores = []
    for tag in model.tags:
        probability = 1 - noise * 10 if tag["tagId"] in tag_ids else noise
        if not model.detects:
            scores.append(tag | {"probability": probability})
        elif tag["tagId"] in tag_ids:
            boxes = _boxes(resource, model.iteration, rows[0]["image"], guid_key(tag["tagId"])) or (
                (0.0, 0.0, 1.0, 1.0),
            )
            scores += [
                tag | {"probability": probability - 0.01 * number, "box": box}
                for number, box in enumerate(boxes)
            ]
    return _sorted(scores)


def uncertainty(scores: Scores) -> float:
    """Return the uncertainty of the model, 0 to 1: one minus the best score."""
    return round(1.0 - max((score["probability"] for score in scores), default=0.0), 6)
