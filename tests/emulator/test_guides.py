"""The requests of Microsoft's labs, guides and testing console, byte for byte on a raw socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.evidence import project_with_images, quick, trained
from tests.support.images import image_bytes
from tests.support.operations import Caller

pytestmark = pytest.mark.anyio
KEY = "k" * 32
RESOURCE = "/subscriptions/0/resourceGroups/1/providers/Microsoft.CognitiveServices/accounts/2"
CURL = ("User-Agent: curl/7.58.0", "Accept: */*")
POWERSHELL = (
    "User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1682",
    "Expect: 100-continue",
    "Connection: Keep-Alive",
)
PYTHON = ("Accept-Encoding: identity",)
OCTETS = "Content-Type: application/octet-stream"
FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"


@dataclass
class Guide:
    """A published project, and raw requests to its emulator."""

    call: Caller
    project: str
    iteration: str
    image_url: str

    async def send(self, line: str, *headers: str, body: bytes = b"") -> tuple[int, Any]:
        """Send a request as written, and wait for 100 Continue if the headers ask for it."""
        port = int(self.call.emulator.endpoint.rpartition(":")[2])
        head = [f"{line} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
        if not line.startswith("GET"):
            head.append(f"Content-Length: {len(body)}")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(20):
                writer.write("\r\n".join([*head, "", ""]).encode())
                if any(each.startswith("Expect:") for each in headers):
                    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                writer.write(body)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
                text = await reader.readexactly(length)
        finally:
            writer.close()
        return int(answer.split(" ")[1]), json.loads(text) if text else None

    def prediction(self, rest: str, version: str = "v3.0") -> str:
        """Return a request line as the portal shows it, with a capital in the path."""
        return f"POST /customvision/{version}/Prediction/{self.project.rpartition('/')[2]}/{rest}"


@pytest.fixture
async def guide() -> AsyncIterator[Guide]:
    """Yield a project of two tags whose iteration is published as "groceries"."""
    async with quick(training_key=KEY) as call:
        project = await project_with_images(call)
        path = await trained(call, project)
        await call("POST", f"{path}/publish?publishName=groceries&predictionId={RESOURCE}")
        image = (await call("GET", f"{project}/images?take=1"))[0]
        yield Guide(call, project, path.rpartition("/")[2], image["originalImageUri"])


BODIES = {
    "the AI-900 lab": "{{'url' : '{}'}}",
    "the Learn module": '{{"url": "{}"}}',
    "the portal": '{{"Url": "{}"}}',
    "ConvertTo-Json": '{{\r\n    "Url":  "{}"\r\n}}',
    ".NET SDK": '{{\r\n  "url": "{}"\r\n}}',
}


@pytest.mark.evidence("D2")
@pytest.mark.parametrize("source", BODIES)
async def test_an_image_address_from_powershell(source: str, guide: Guide) -> None:
    """Invoke-RestMethod waits for 100 Continue, and scripts for it write JSON in several ways."""
    body = BODIES[source].format(guide.image_url).encode()
    line = guide.prediction("classify/iterations/groceries/url")
    status, answer = await guide.send(line, f"Prediction-Key: {KEY}", JSON, *POWERSHELL, body=body)
    assert status == 200
    assert {each["tagName"] for each in answer["predictions"]} == {"apple", "pear"}


@pytest.mark.parametrize("name", ["Prediction-Key", "Prediction-key", "prediction-key"])
@pytest.mark.parametrize(
    ("client", "query"), [(CURL, ""), (PYTHON, "?"), (PYTHON, "?application=x")]
)
async def test_image_bytes_to_the_published_name(
    name: str, client: tuple[str, ...], query: str, guide: Guide
) -> None:
    """curl --data-binary, and the testing console's Python, which sends a bare question mark."""
    line = guide.prediction(f"classify/iterations/groceries/image{query}")
    status, answer = await guide.send(line, *client, f"{name}: {KEY}", OCTETS, body=image_bytes(1))
    assert status == 200
    assert answer["iteration"] == guide.iteration


async def test_an_iteration_in_the_query_of_the_older_versions(guide: Guide) -> None:
    """The portal of 2018 used .../image?iterationId=... with v2.0, and PascalCase with v1.1."""
    for version, member in (("v2.0", "predictions"), ("v1.1", "Predictions")):
        line = guide.prediction(f"image?iterationId={guide.iteration}", version)
        key = f"Prediction-Key: {KEY}"
        status, answer = await guide.send(line, *CURL, key, OCTETS, body=image_bytes(1))
        assert status == 200, answer
        assert len(answer[member]) == 2


async def test_a_project_made_by_curl(guide: Guide) -> None:
    """v1.2 with curl: `Training-key`, empty forms as bodies, and images with -F."""
    base, key = "/customvision/v1.2/Training/projects", f"Training-key: {KEY}"

    async def posted(path: str, *headers: str, body: bytes = b"") -> Any:
        line = f"POST {base}{path}"
        status, answer = await guide.send(line, *CURL, key, *(headers or [FORM]), body=body)
        assert status == 200, answer
        return answer

    made = await posted("?name=Curl")
    assert (made["Name"], made["Description"]) == ("Curl", "")
    project = f"/{made['Id']}"
    for start, name in ((0, "Winners"), (100, "Losers")):
        tag = await posted(f"{project}/tags?name={name}")
        assert (tag["Description"], tag["ImageCount"]) == (None, 0)
        body = curl_form([f"image{n:02}" for n in range(5)], start)
        summary = await posted(f"{project}/images?tagIds={tag['Id']}", MULTIPART, body=body)
        assert summary["IsBatchSuccessful"]
        assert len(summary["Images"]) == 5
    iteration = await posted(f"{project}/train")
    path = f"{project}/quicktest/image?iterationId={iteration['Id']}"
    found = await posted(path, MULTIPART, body=curl_form(["image"], 1))
    assert {each["Tag"] for each in found["Predictions"]} == {"Winners", "Losers"}
    assert await guide.send(f"DELETE {base}{project}", *CURL, key) == (204, None)


MULTIPART = "Content-Type: multipart/form-data; boundary=------------------------d74496d66958873e"


def curl_form(names: list[str], start: int) -> bytes:
    """Return the body that curl sends for -F name=@name.jpg, once for each name."""
    boundary = b"--" + MULTIPART.partition("boundary=")[2].encode()
    parts = [
        boundary
        + f'\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"'
        "\r\nContent-Type: image/jpeg\r\n\r\n".encode()
        + image_bytes(seed)
        + b"\r\n"
        for seed, name in enumerate(names, start)
    ]
    return b"".join(parts) + boundary + b"--\r\n"


async def test_no_key_or_the_placeholder_is_access_denied(guide: Guide) -> None:
    """The 401 comes from the gateway in its own shape."""
    line = guide.prediction("classify/iterations/groceries/image")
    for headers in ([], ["Prediction-Key: YOUR_PREDICTION_KEY"]):
        status, answer = await guide.send(line, *CURL, *headers, OCTETS, body=image_bytes(1))
        assert (status, answer["error"]["code"]) == (401, "401")


async def test_the_doubled_slash_of_an_endpoint_with_a_slash(guide: Guide) -> None:
    """As recorded, .NET appends the path to an endpoint that ends with a slash."""
    line = "GET //customvision/v3.0/training/projects"
    status, answer = await guide.send(line, f"Training-Key: {KEY}")
    assert (status, len(answer)) == (200, 1)


@pytest.mark.evidence("D17")
async def test_json_under_the_media_type_of_bytes_is_refused(guide: Guide) -> None:
    """JSON with the media type of image bytes gets a 415."""
    line = guide.prediction("classify/iterations/groceries/url")
    body = json.dumps({"url": guide.image_url}).encode()
    status, answer = await guide.send(line, *CURL, f"Prediction-Key: {KEY}", OCTETS, body=body)
    assert status == 415
    assert answer["message"].startswith("The request entity's media type")
