"""The domains of the service with their real ids.

The order is that in which the service listed them in November 2020, then the later ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._ids import guid_key

__all__ = ["DOMAINS", "GENERAL", "Domain", "find_domain"]


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain.

    `megabytes` and `description` describe the exported model and are empty if the domain has none.
    `newer` domains appeared after the recording of 2020.
    """

    id: str
    name: str
    type: str
    platforms: tuple[str, ...] = ()
    megabytes: int = 0
    description: str = ""
    newer: bool = False

    @property
    def exportable(self) -> bool:
        """Whether models of this domain can be exported: only those of compact domains can."""
        return bool(self.platforms)

    @property
    def detects(self) -> bool:
        """Whether the domain detects objects (True) or classifies whole images (False)."""
        return self.type == "ObjectDetection"


_ALL = ("VAIDK", "CoreML", "DockerFile", "ONNX", "OpenVino", "TensorFlow")
_MODEL = "A ShuffleNet-like {}model for {} classification problem."


def _compact(id: str, name: str, subject: str, base: str = "") -> Domain:
    return Domain(id, f"{name} (compact)", "Classification", _ALL, 5, _MODEL.format(base, subject))


DOMAINS: tuple[Domain, ...] = (
    Domain("ee85a74c-405e-4adc-bb47-ffa8ca0c9f31", "General", "Classification"),
    Domain("c151d5b5-dd07-472a-acc8-15d29dea8518", "Food", "Classification"),
    Domain("ca455789-012d-4b50-9fec-5bb63841c793", "Landmarks", "Classification"),
    Domain("b30a91ae-e3c1-4f73-a81e-c270bff27c39", "Retail", "Classification"),
    Domain("45badf75-3591-4f26-a705-45678d3e9f5f", "Adult", "Classification"),
    _compact("0732100f-1a38-4e49-a514-c9b44c697ab5", "General", "general"),
    _compact("8882951b-82cd-4c32-970b-d5f8cb8bf6d7", "Food", "food"),
    _compact("b5cfd229-2ac7-4b2b-8d0a-2b0661344894", "Landmarks", "landmarks"),
    _compact(
        "6b4faeda-8396-481b-9f8b-177b9fa3097f", "Retail", "food", "based "
    ),  # the service itself says "food" here
    Domain("da2e3a8a-40a5-4171-82f4-58522f70fbc1", "General", "ObjectDetection"),
    Domain("1d8ffafe-ec40-4fb2-8f90-72b3b6cecea4", "Logo", "ObjectDetection"),
    Domain("3780a898-81c3-4516-81ae-3a139614e1f3", "Products on Shelves", "ObjectDetection"),
    Domain(
        "a27d5ca5-bb19-49d8-a70a-fec086c47f5b",
        "General (compact)",
        "ObjectDetection",
        ("CoreML", "DockerFile", "ONNX", "TensorFlow"),
        42,
        "A YOLO-like model for general detection problem.",
    ),
    Domain(
        "7ec2ac80-887b-48a6-8df9-8b1357765430",
        "General (compact) [S1]",
        "ObjectDetection",
        (*_ALL, "IVS"),
        13,
        "A SSD-like model for general detection problem.",
    ),
    Domain("a8e3c40f-fb4a-466f-832a-5e457ae4a344", "General [A1]", "Classification", newer=True),
    Domain("2e37d7fb-3a54-486a-b4d6-cfc369af0018", "General [A2]", "Classification", newer=True),
    Domain(
        "a1db07ca-a19a-4830-bae8-e004a42dc863",
        "General (compact) [S1]",
        "Classification",
        _ALL,
        5,
        _MODEL.format("", "general"),
        newer=True,
    ),
    Domain("9c616dff-2e7d-ea11-af59-1866da359ce6", "General [A1]", "ObjectDetection", newer=True),
)
GENERAL = DOMAINS[0]
_BY_KEY = {guid_key(domain.id): domain for domain in DOMAINS}


def find_domain(id: str) -> Domain | None:
    """Return the domain with an id, or None."""
    try:
        return _BY_KEY.get(guid_key(id))
    except ValueError:
        return None
