"""Recorded sessions of the real service, replayed against the emulator.

Ids, dates, addresses and the figures of models are normalised. Content that was removed from a
recording (images, keys) is invented. The state that a session starts with is derived from its
entries. Everything else must be equal: the status, the names of headers, the order of members, null
and absent members, and the format of dates and numbers.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from PIL import Image

from tests.support.operations import Caller, calling
from tests.support.shared import SHARED, needs_recordings

pytestmark = [pytest.mark.anyio, needs_recordings]

FILES = sorted((SHARED / "recordings").glob("*/*.json"))
DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"
GENERAL = "ee85a74c-405e-4adc-bb47-ffa8ca0c9f31"
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

DIFFERENCES = {
    "CreateTrainedImageClassificationProject.dev-instance": (
        "a developer's own machine: dates to the second, exportableTo [] after training, "
        "domainId present during training, other headers; the first of its two uploads is "
        "missing from the recording"
    ),
}
"""Sessions that are skipped, each with the reason."""


def entries(file: Path) -> list[dict[str, Any]]:
    """Return the requests and responses of a session."""
    read: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))["Entries"]
    return read


@cache
def drawn(width: int, height: int, number: int) -> bytes:
    """Return an image of a size. Different numbers give different images."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (number * 37 % 256, number * 91 % 256, number % 256)).save(
        out, "JPEG", quality=30
    )
    return out.getvalue()


def members(value: Any, name: str) -> Iterator[Any]:
    """Yield every member of a name at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == name:
                yield item
            yield from members(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from members(item, name)


# Normalising.


def date_form(text: str) -> str:
    """Return the format of a date: milliseconds or 100 ns, with or without Z."""
    match = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,7}))?(Z?)", text)
    assert match, text
    decimals = match[1] or ""
    assert not decimals.endswith("0")
    return f"<date{' of 100 ns' if len(decimals) > 3 else ''}{match[2]}>"


def address_form(text: str) -> str:
    """Return the form of a blob's address: container, letter and the names of its parameters."""
    _, _, rest = text.partition("://")
    path, _, query = rest.partition("/")[2].partition("?")
    shown = re.sub(r"[0-9a-f]{32}|" + GUID.pattern, "<id>", path)
    return f"<address of {shown} with {[part.partition('=')[0] for part in query.split('&')]}>"


def plain(value: Any, name: str = "") -> Any:
    """Return a value without the parts that differ between sessions."""
    if isinstance(value, dict):
        return {key: plain(item, key) for key, item in value.items()}
    if isinstance(value, list):
        forms = [plain(item, name) for item in value]
        # They are ordered by ids or scores, which differ from the recorded ones.
        by_id = name.lower() in ("tags", "regions", "predictions") or any(
            "imageCount" in form for form in forms if isinstance(form, dict)
        )
        return sorted(forms, key=json.dumps) if by_id else forms
    if isinstance(value, str):
        if GUID.fullmatch(value) and name.lower() not in ("domainid", "domain"):
            return "<id>"
        if name.lower() in ("created", "lastmodified", "trainedat"):
            return date_form(value)
        if "://" in value and name.lower() != "sourceurl":
            return address_form(value)
        if name == "session":
            return re.sub(r"\d+", "<number>", value)
    if isinstance(value, float) and name.lower() in (
        "probability",
        "confidence",
        "left",
        "top",
        "width",
        "height",
    ):
        return "<figure>"
    return value


def looser(recorded: Any, ours: Any) -> tuple[Any, Any]:
    """Return both values as text without the precision of dates.

    By chance one date in ten ends with a zero, which is dropped.
    """
    texts = [
        json.dumps(value, ensure_ascii=False).replace(" of 100 ns", "")
        for value in (recorded, ours)
    ]
    return texts[0], texts[1]


# The state that a session expects.


class Session:
    """A session to replay, with our id for each recorded one."""

    def __init__(self, call: Caller, file: Path, images: str) -> None:
        self.call = call
        self.file = file
        self.name = file.stem
        self.images = images
        self.entries = entries(file)
        self.ids: dict[str, str] = {}

    @property
    def bodies(self) -> list[Any]:
        """All recorded response bodies."""
        return [
            json.loads(entry["ResponseBody"]) for entry in self.entries if entry["ResponseBody"]
        ]

    def learn(self, recorded: Any, ours: Any) -> None:
        """Pair the ids at the same place in both responses."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for key in recorded.keys() & ours.keys():
                self.learn(recorded[key], ours[key])
        elif isinstance(recorded, list) and isinstance(ours, list):
            for one, other in zip(recorded, ours, strict=False):
                self.learn(one, other)
        elif (
            isinstance(recorded, str)
            and isinstance(ours, str)
            and GUID.fullmatch(recorded)
            and GUID.fullmatch(ours)
        ):
            self.ids.setdefault(recorded, ours)

    def ours(self, text: str) -> str:
        """Return a recorded text with our ids and our image server."""
        text = GUID.sub(lambda match: self.ids.get(match[0], match[0]), text)
        return re.sub(r"https://raw\.githubusercontent\.com/[^\"]*/", f"{self.images}/", text)

    async def prepare(self) -> None:
        """Create the project that the session expects, unless it creates one itself."""
        project = self._project()
        if project is None:
            for name in {
                name
                for body in self.bodies
                for name in members(body, "name")
                if str(name).endswith(" (1)")
            }:
                await self.call.at("v3.3").project(name.removesuffix(" (1)"))
            return
        detects = self.name == "RegionManipulation"
        made = await self.call.at("v3.3").project(
            "SDK UT: 4743f58e-08c9-4c9a-b2b5-9036f0daf00a",
            domainId=DETECTION if detects else GENERAL,
        )
        self.ids[project] = made.rpartition("/")[2]
        if detects:
            await self._detection(made)
        else:
            await self._classification(made)

    def _project(self) -> str | None:
        first = self.entries[0]
        match = re.search(
            rf"/projects/({GUID.pattern})|/prediction/({GUID.pattern})", first["RequestUri"]
        )
        return (match[1] or match[2]) if match else None

    async def _classification(self, project: str) -> None:
        """Create two tags of five images, train them, and publish if the session expects it."""
        call = self.call.at("v3.3")
        names = {
            name
            for body in self.bodies
            for key in ("tagName", "Tag")
            for name in members(body, key)
            if name
        }
        for place, name in enumerate(sorted(names if len(names) > 1 else {"Tag1", "Tag2"})):
            tag = await call.tag(project, name)
            for body in self.bodies:
                for entry in members(body, "tags"):
                    self._pair_tag(entry, name, tag)
                self._pair_tag(body, name, tag)
            sizes = (self._sizes(name) + [(900, 1600)] * 5)[:5]
            images = {
                str(number): drawn(*size, place * 5 + number) for number, size in enumerate(sizes)
            }
            await call.upload(project, images, [tag])
        if re.search(r"/images/(files|urls)$|/images\?tagIds", self.entries[0]["RequestUri"]):
            await self._pair_sent_tags(project)
        iteration = (await call("POST", f"{project}/train"))["id"]
        path = f"{project}/iterations/{iteration}"
        with anyio.fail_after(10):
            while (await call("GET", path))["status"] != "Completed":
                await anyio.sleep(0.005)
        self.ids |= dict.fromkeys(list(self._iterations())[:1], iteration)
        if self.name == "DeletePrediction":
            headers = {"Content-Type": "application/octet-stream"}
            await call(
                "POST", f"{project}/quicktest/image", data=drawn(900, 1600, 1), headers=headers
            )
        if "Training UnitTest Iteration" not in json.dumps(self.entries).replace("%20", " "):
            return
        resource = next(
            (
                text
                for body in self.bodies
                for text in members(body, "originalPublishResourceId")
                if text
            ),
            "/r",
        )
        await call(
            "POST",
            f"{path}/publish?publishName=Training%20UnitTest%20Iteration&predictionId={resource}",
        )

    def _sizes(self, tag: str) -> list[tuple[int, int]]:
        """Return the sizes of the recorded images of a tag, oldest first."""
        listed = [
            body for body in self.bodies if isinstance(body, list) and body and "width" in body[0]
        ]
        found = {
            image["id"]: image
            for body in listed
            for image in body
            if tag in members(image, "tagName")
        }
        numbered = sorted(
            enumerate(found.values()),
            key=lambda pair: (pair[1]["created"].ljust(27, "0"), -pair[0]),  # ties: last is first
        )
        return [(image["width"], image["height"]) for _, image in numbered]

    def _pair_tag(self, entry: Any, name: str, tag: str) -> None:
        for one in entry if isinstance(entry, list) else ():
            if isinstance(one, dict) and name in (one.get("tagName"), one.get("name")):
                self.ids.setdefault(one.get("tagId") or one["id"], tag)

    async def _pair_sent_tags(self, project: str) -> None:
        sent = GUID.findall(
            self.entries[0]["RequestBody"] + self.entries[0]["RequestUri"].partition("?")[2]
        )
        for tag in sent:
            self.ids.setdefault(
                tag, (await self.call.at("v3.3")("GET", f"{project}/tags"))[0]["id"]
            )

    def _iterations(self) -> Iterator[str]:
        for entry in self.entries:
            yield from re.findall(rf"iterations?(?:/|Id=)({GUID.pattern})", entry["RequestUri"])

    async def _detection(self, project: str) -> None:
        call = self.call.at("v3.3")
        listed = next(body for body in self.bodies if isinstance(body, list))[0]
        known = listed["regions"][-1]
        tag = await call.tag(project, known["tagName"])
        box = {"tagId": tag} | {side: known[side] for side in ("left", "top", "width", "height")}
        data = base64.b64encode(drawn(listed["width"], listed["height"], 1)).decode()
        made = await call(
            "POST",
            f"{project}/images/files",
            json={"images": [{"name": "a", "contents": data, "regions": [box]}]},
        )
        self.ids |= {listed["id"]: made["images"][0]["image"]["id"], known["tagId"]: tag}

    async def imported(self) -> None:
        """Wait, as the recorded client did, until no project is being imported."""
        with anyio.fail_after(10):
            while any(
                project["status"] == "Importing"
                for project in await self.call.at("v3.3")("GET", "/projects")
            ):
                await anyio.sleep(0.005)

    # Sending.

    def body_of(self, entry: dict[str, Any]) -> tuple[bytes | None, dict[str, str]]:
        """Return the body of a request with the removed content restored, and its content type."""
        text: str = entry["RequestBody"]
        if not text:
            return None, {}
        if "/images?" in entry["RequestUri"]:
            name = json.loads(entry["ResponseBody"])["images"][0]["sourceUrl"]
            head = (
                "Content-Type: application/octet-stream\r\n"
                f"Content-Disposition: form-data; name=imageData; filename={name}\r\n\r\n"
            )
            body = f"--mark\r\n{head}".encode() + drawn(900, 1600, 99) + b"\r\n--mark--\r\n"
            return body, {"Content-Type": 'multipart/form-data; boundary="mark"'}
        content = base64.b64encode(drawn(900, 1600, 98)).decode()
        return re.sub(r"<base64[^>]*>", content, self.ours(text)).encode(), {
            "Content-Type": "application/json; charset=utf-8"
        }

    async def send(self, entry: dict[str, Any]) -> tuple[int, set[str], Any]:
        """Replay a request, and return the status, the names of headers and the response."""
        uri = self.ours(entry["RequestUri"])
        if "/import?token=" in uri:
            export = await self.call.at("v3.3")(
                "GET", f"/projects/{self.ids[self._project() or '']}/export"
            )
            uri = (
                uri.partition("=")[0]
                + "="
                + export["token"].replace("%", "%25").replace("&", "%26")
            )
        if entry["RequestMethod"] == "GET" and self.name == "ImportExportProject":
            await self.imported()
        _, version, api, rest = uri.lstrip("/").split("/", 3)
        data, headers = self.body_of(entry)
        response, body = await self.call.at(version).raw(
            entry["RequestMethod"], f"/{rest}", api=api.lower(), data=data, headers=headers
        )
        answer = json.loads(body.replace(self.images.encode(), b"<images>")) if body else None
        return response.status, {name.lower() for name in response.headers}, answer


async def serve_image(request: web.Request) -> web.Response:
    """Return images of the sizes that the recorded addresses had."""
    size = (1260, 900) if request.path.endswith("test_image.jpg") else (900, 1600)
    return web.Response(body=drawn(*size, 97), content_type="image/jpeg")


@pytest.fixture
async def images() -> Any:
    """Yield the address of an image server on loopback."""
    app = web.Application()
    app.router.add_get("/{name}", serve_image)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


ORDER = {
    # A recording groups entries by request line. This is a possible order of sending.
    "RegionManipulation": [0, 1, 2, 3, 5, 4, 6],
    "ImageTagManipulation": [0, 2, 3, 1, 4],
}


def recorded_form(body: str) -> Any:
    """Return the recorded response, normalised."""
    text = re.sub(r"https://raw\.githubusercontent\.com/[^\"]*/", "<images>/", body)
    return plain(json.loads(text)) if text else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
async def test_the_emulator_answers_as_recorded(file: Path, images: str) -> None:
    """Each request of the session gets the recorded response."""
    if file.stem in DIFFERENCES:
        pytest.skip(DIFFERENCES[file.stem])
    async with calling(
        "v3.3",
        training_seconds=1.5 if file.stem == "TrainAndPublishProject" else 0,
        shuffle_results=False,
        newer_domains=False,  # the recordings are of 2020
    ) as call:
        session = Session(call, file, images)
        await session.prepare()
        for number in ORDER.get(file.stem, range(len(session.entries))):
            entry = session.entries[number]
            status, headers, answer = await session.send(entry)
            assert status == entry["StatusCode"], (
                entry["RequestMethod"],
                entry["RequestUri"],
                answer,
            )
            recorded = json.loads(entry["ResponseBody"]) if entry["ResponseBody"] else None
            session.learn(recorded, answer)
            assert headers == {name.lower() for name in entry["ResponseHeaders"]}
            await compare(recorded_form(entry["ResponseBody"]), plain(answer), entry)


async def compare(recorded: Any, ours: Any, entry: dict[str, Any]) -> None:
    """Assert that two normalised responses are equal, apart from parts that depend on state."""
    if isinstance(recorded, dict) and "proposals" in recorded:
        recorded["proposals"] = ours["proposals"] = ours["proposals"][:2]
    if isinstance(recorded, dict) and "estimatedImportTimeInMS" in recorded:
        recorded["estimatedImportTimeInMS"] = ours["estimatedImportTimeInMS"]
        # The recorded project had two tags that no response shows.
        recorded["tagCount"] = ours["tagCount"]
    expected, found = looser(recorded, ours)
    assert found == expected, f"{entry['RequestMethod']} {entry['RequestUri']}"
