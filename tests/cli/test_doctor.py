"""``customvision doctor``: its findings for faults of settings and networks."""

from __future__ import annotations

import datetime
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from customvision_async.cli._doctor import network_checks
from customvision_async.cli._run import run
from customvision_async.emulator import Emulator

KEY = "canary5c1canary5c1canary5c1canar"
AUTHORITY = trustme.CA(organization_name="Example Security Inspection")
Checks = dict[str, dict[str, Any]]


@pytest.fixture
def doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Checks]]:
    """Return a function that runs the doctor, and returns its exit code and findings by name."""

    def call(endpoint: str, key: str = KEY, *words: str, **more: str) -> tuple[int, Checks]:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "VISION_PREDICTION_KEY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv("VISION_TRAINING_ENDPOINT", endpoint)
        monkeypatch.setenv("VISION_TRAINING_KEY", key)
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        code = run(["doctor", "--json", *words])
        shown = capsys.readouterr()
        assert not key.strip() or key.strip() not in shown.out + shown.err
        events = [json.loads(line) for line in shown.out.splitlines()]
        assert events[-1]["event"] == "summary"
        assert events[-1]["exit_code"] == code
        return code, {event["name"]: event for event in events[:-1]}

    return call


def states(checks: Checks) -> set[str]:
    """Return the states of the findings."""
    return {check["state"] for check in checks.values()}


def test_a_resource_in_good_order_has_no_problem(doctor: Any) -> None:
    """Every check is ok, and the exit code is 0."""
    with Emulator(training_key=KEY) as emulator:
        code, checks = doctor(emulator.endpoint)
    assert code == 0
    assert states(checks) == {"ok"}
    assert "v1.2, v2.0" in checks["versions"]["found"]
    assert "for object detection" in checks["domains"]["found"]


def test_people_read_one_line_a_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ``--json``, each finding is a line that begins with its state."""
    monkeypatch.setenv("VISION_TRAINING_ENDPOINT", "")
    monkeypatch.setenv("VISION_TRAINING_KEY", "")
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["problem", "endpoint", "not", "set:"]
    assert lines[2].startswith("not checked name")
    assert lines[-1] == "2 problems, 0 warnings"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("", "not set"),
        ("https://portal.azure.com/#view/HubsExtension", "web page for people"),
        ("https://www.customvision.ai/projects", "web page for people"),
        ("http://orchard.cognitiveservices.azure.com", "use https"),
        ("https://orchard cognitiveservices.azure.com", "a space"),
        (
            "https://a.cognitiveservices.azure.com/customvision/v3.0/Prediction/6f1c/classify"
            "/iterations/x/image",
            "prediction URL",
        ),
    ],
)
def test_an_endpoint_that_is_none_is_explained_without_a_network(
    doctor: Any, endpoint: str, expected: str
) -> None:
    """Explain an invalid endpoint by its form, without any check of the network."""
    code, checks = doctor(endpoint)
    assert code == 1
    assert checks["endpoint"]["state"] == "problem"
    assert expected in checks["endpoint"]["found"]
    assert checks["endpoint"]["advice"]
    assert checks["name"]["state"] == checks["access"]["state"] == "not checked"


@pytest.mark.parametrize(
    ("key", "state", "expected"),
    [
        ("", "problem", "not set"),
        ("canary5c1 canary5c1", "problem", "a space"),
        ("'canary5c1'", "problem", "quotes"),
        (f" {KEY}\n", "warning", "blanks or a newline around it"),
    ],
)
def test_a_key_that_was_not_copied_clean_is_told_and_not_shown(
    doctor: Any, key: str, state: str, expected: str
) -> None:
    """Ignore blanks around the key with a warning, and report one inside it as a problem."""
    with Emulator(training_key=KEY) as emulator:
        code, checks = doctor(f"{emulator.endpoint}/ ", key)
    assert checks["endpoint"]["state"] == "warning"
    assert (checks["key"]["state"], code) == (state, 1 if state == "problem" else 0)
    assert expected in checks["key"]["found"]
    assert checks["access"]["state"] == ("ok" if code == 0 else "not checked")


def test_a_wrong_key_and_a_key_of_a_prediction_resource_are_told_apart(doctor: Any) -> None:
    """Distinguish two kinds of 401 by a request to the Prediction API."""
    with Emulator(training_key="right", prediction_key=KEY) as emulator:
        code, checks = doctor(emulator.endpoint, "another")
        assert (code, checks["access"]["state"]) == (1, "problem")
        assert "does not accept the key" in checks["access"]["found"]
        assert checks["versions"]["state"] == "not checked"
        code, checks = doctor(emulator.endpoint, KEY)
        assert (code, checks["access"]["state"]) == (1, "problem")
        assert "prediction resource" in checks["access"]["found"]


def test_a_region_is_named_where_the_endpoint_is_regional(
    doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suggest another region after a 401 from a regional endpoint."""
    with Emulator(training_key="right") as emulator:
        monkeypatch.setattr(
            "customvision_async.cli._doctor.examination.Examination.host",
            "westus2.api.cognitive.microsoft.com",
        )
        monkeypatch.setattr(network_checks, "resolve", _loopback)
        monkeypatch.setattr(network_checks, "connect", _loopback_address)
        _, checks = doctor(emulator.endpoint)
    assert "another region than westus2" in checks["access"]["advice"]


async def _loopback(host: str, port: int, seconds: float) -> list[str]:
    return ["127.0.0.1"]


async def _loopback_address(host: str, port: int, seconds: float) -> str:
    return "127.0.0.1"


def test_with_no_network_the_name_is_the_problem(doctor: Any) -> None:
    """Do not perform later checks if the name cannot be resolved."""
    code, checks = doctor("https://orchard.invalid")
    assert code == 1
    assert checks["name"]["state"] == "problem"
    assert checks["connection"]["state"] == checks["tls"]["state"] == "not checked"


def test_a_port_where_nothing_listens_is_named(doctor: Any) -> None:
    """Report the error message of the operating system."""
    code, checks = doctor(f"http://127.0.0.1:{_free_port()}")
    assert code == 1
    assert "Connection refused" in checks["connection"]["found"]


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_peer_that_never_answers_does_not_hold_the_doctor(
    doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Do not perform later checks after the first timeout."""
    monkeypatch.setattr(network_checks, "RESPONSE_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        code, checks = doctor(f"http://127.0.0.1:{mute.getsockname()[1]}")
    assert code == 1
    assert (checks["clock"]["state"], checks["clock"]["found"]) == (
        "problem",
        "no response in time",
    )
    assert checks["access"]["state"] == checks["versions"]["state"] == "not checked"


def test_a_proxy_that_does_not_answer_is_a_warning_without_its_password(doctor: Any) -> None:
    """Report an unreachable proxy as a warning, because connections do not use it."""
    with Emulator(training_key=KEY) as emulator:
        proxy = f"http://user:hunter2@127.0.0.1:{_free_port()}"
        code, checks = doctor(emulator.endpoint, KEY, HTTPS_PROXY=proxy)
        assert code == 0
        assert checks["proxy"]["state"] == "warning"
        assert "127.0.0.1" in checks["proxy"]["found"]
        assert "hunter2" not in json.dumps(checks)
        code, checks = doctor(
            f"http://127.0.0.1:{_free_port()}", KEY, HTTPS_PROXY=emulator.endpoint
        )
    assert "which answers, but customvision connects directly" in checks["proxy"]["found"]


@contextmanager
def web_site(seconds_ahead: float, body: bytes) -> Iterator[str]:
    """Serve another web site with a wrong date, and yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_ahead)
            return now.strftime("%a, %d %b %Y %H:%M:%S GMT")

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (120, "warning"), (-7200, "problem")])
def test_a_clock_that_is_off_and_another_web_site_are_told(
    doctor: Any, ahead: float, state: str
) -> None:
    """Compare the date of the response with the clock, and recognize another web site."""
    with web_site(ahead, b"<h1>Sign in</h1>") as endpoint:
        code, checks = doctor(endpoint)
    assert code == 1
    assert checks["clock"]["state"] == state
    assert "another web site answers" in checks["access"]["found"]


def test_a_key_that_a_server_repeats_is_hidden(doctor: Any) -> None:
    """Hide the key in the message of a server."""
    body = json.dumps({"error": {"code": "x", "message": f"unknown key {KEY}"}}).encode()
    with web_site(0, body) as endpoint:
        _, checks = doctor(endpoint)
    assert "unknown key ***" in checks["access"]["found"]


def _serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


YEAR_2020 = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("certificate", "trusted", "state", "expected"),
    [
        (lambda: AUTHORITY.issue_cert("127.0.0.1"), True, "ok", "TLSv1.3, certificate by"),
        (
            lambda: AUTHORITY.issue_cert("127.0.0.1"),
            False,
            "problem",
            "issued by Example Security Inspection",
        ),
        (lambda: AUTHORITY.issue_cert("other.example"), True, "problem", "for another host"),
        (
            lambda: AUTHORITY.issue_cert("127.0.0.1", not_after=YEAR_2020),
            True,
            "problem",
            "ended on 2020-01-01",
        ),
        (
            lambda: AUTHORITY.issue_cert(
                "127.0.0.1",
                not_after=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3),
            ),
            True,
            "warning",
            "valid until",
        ),
    ],
    ids=["trusted", "intercepted", "other host", "expired", "ends soon"],
)
def test_tls_names_the_issuer_and_the_reason(
    doctor: Any, tmp_path: Path, certificate: Any, trusted: bool, state: str, expected: str
) -> None:
    """Explain an untrusted certificate by its fields, and do not send the key."""
    file = tmp_path / "ca.pem"
    (AUTHORITY if trusted else trustme.CA()).cert_pem.write_to_path(str(file))
    with Emulator(training_key=KEY, ssl_context=_serving(certificate())) as emulator:
        code, checks = doctor(emulator.endpoint, SSL_CERT_FILE=str(file))
        keyed = [seen for seen in emulator.requests if KEY in str(seen)]
    assert checks["tls"]["state"] == state
    assert expected in checks["tls"]["found"]
    assert code == (1 if state == "problem" else 0)
    assert checks["access"]["state"] == ("not checked" if state == "problem" else "ok")
    assert not keyed or state != "problem"


def test_a_port_that_does_not_speak_tls_is_told(doctor: Any) -> None:
    """Report a port that does not use TLS."""
    with Emulator() as emulator:
        code, checks = doctor(emulator.endpoint.replace("http:", "https:"))
    assert code == 1
    assert "no TLS 1.2 or newer" in checks["tls"]["found"]


def test_a_refusal_for_rate_is_waited_for_and_told(doctor: Any) -> None:
    """Retry a check after one 429, and report it in the quota check."""
    with Emulator(training_key=KEY) as emulator:
        emulator.faults.add("status", status=429, retry_after=0.5, operation="GetDomains")
        code, checks = doctor(emulator.endpoint)
    assert code == 0
    assert checks["versions"]["state"] == "ok"
    assert checks["quota"]["state"] == "warning"
    assert "1 request refused with 429" in checks["quota"]["found"]


def test_a_version_that_the_resource_does_not_have_is_told_with_one_that_it_has(
    doctor: Any,
) -> None:
    """Check all versions, and recommend one that the resource has."""
    with Emulator(training_key=KEY, prediction_key="another") as emulator:
        emulator.faults.add("status", status=404, times=None, operation="GetProjects")
        # The eighth of nine versions is v3.3.
        emulator.faults.add("status", status=404, times=1, operation="GetDomains", after=7)
        code, checks = doctor(emulator.endpoint)
    assert code == 1
    assert "404: no Training API v3.3" in checks["access"]["found"]
    assert checks["versions"]["advice"] == "use --api-version v3.4-preview"
