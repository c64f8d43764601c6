# SPDX-License-Identifier: Apache-2.0
"""The example of a first real call, against the vendor's own package: its models, its client, and what they send."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vonage")

import first_call
import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from vonage_video import AudioConnectorOptions, AudioConnectorWebSocket, AudioSampleRate

DOCS = Path(__file__).parents[2] / "docs"
ANSWERS: dict[str, object] = {
    "/session/create": [{"session_id": "1_MX4"}],
    "/v2/project/app-1/connect": {"id": "socket-1", "connectionId": "connection-1"},
}


class Api:
    """Vonage's REST API, as far as the example asks it."""

    def __init__(self) -> None:
        self.requests: list[requests.PreparedRequest] = []

    def send(
        self, session: requests.Session, request: requests.PreparedRequest, **_: Any
    ) -> requests.Response:
        self.requests.append(request)
        answer = requests.Response()
        answer.request, answer.status_code = request, 200 if request.method == "POST" else 204
        answer.headers["content-type"] = "application/json"
        assert request.url is not None
        path = request.url.removeprefix("https://video.api.vonage.com")
        answer._content = json.dumps(ANSWERS[path]).encode() if request.method == "POST" else b""
        return answer


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Api:
    made = Api()
    monkeypatch.setattr(
        requests.Session, "send", lambda session, request, **options: made.send(session, request)
    )
    key = rsa.generate_private_key(65537, 2048)
    path = tmp_path / "private.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    monkeypatch.setenv("VONAGE_APPLICATION_ID", "app-1")
    monkeypatch.setenv("VONAGE_PRIVATE_KEY", str(path))
    return made


def test_what_it_sends_is_what_the_protocol_says(api: Api) -> None:
    vonage = first_call.log_in()
    session_id = first_call.create_session(vonage)
    assert first_call.connect(vonage, session_id, "wss://bot.example.org", rate_hz=8000) == "connection-1"
    create, connect = api.requests
    assert create.body is not None
    assert "p2p.preference=disabled" in str(create.body)  # PROTOCOL 1.12: routed
    assert isinstance(connect.body, str | bytes)
    body = json.loads(connect.body)
    token = body.pop("token")
    assert body == {
        "sessionId": "1_MX4",
        "websocket": {
            "uri": "wss://bot.example.org",
            "audioRate": 8000,
            "bidirectional": True,
            "headers": {"caller": "first-call"},
        },
    }
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["session_id"], claims["role"], claims["application_id"]) == ("1_MX4", "publisher", "app-1")
    for request in api.requests:
        assert "Bearer ey" in str(request.headers["Authorization"])


def test_the_whole_program_goes_from_a_key_to_a_hang_up(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["first_call.py", "wss://bot.example.org"])
    monkeypatch.setattr("builtins.input", print)
    first_call.main()
    shown = capsys.readouterr().out
    assert "session: 1_MX4" in shown
    assert "connected: connection-1" in shown
    hang_up = api.requests[-1]
    assert hang_up.method == "DELETE"
    assert str(hang_up.url).endswith("/v2/project/app-1/session/1_MX4/connection/connection-1")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VONAGE_APPLICATION_ID", raising=False)
    with pytest.raises(SystemExit, match="VONAGE_APPLICATION_ID is not set"):
        first_call.log_in()
    monkeypatch.setenv("VONAGE_APPLICATION_ID", "app-1")
    monkeypatch.setenv("VONAGE_PRIVATE_KEY", str(tmp_path / "no.key"))
    with pytest.raises(SystemExit, match=r"no\.key: No such file or directory; VONAGE_PRIVATE_KEY is"):
        first_call.log_in()


def test_the_rates_that_the_vendors_package_takes_are_those_that_the_page_names() -> None:
    rates = [str(int(rate)) for rate in AudioSampleRate]
    page = (DOCS / "first-call.md").read_text(encoding="utf-8")
    assert f"`audio_rate` | {' or '.join(rates)}" in page
    assert set(AudioConnectorWebSocket.model_fields) == set(
        re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)
    )
    assert set(AudioConnectorOptions.model_fields) == {"session_id", "token", "websocket"}


def test_the_program_on_the_page_is_the_example() -> None:
    page = (DOCS / "first-call.md").read_text(encoding="utf-8")
    example = Path(first_call.__file__).read_text(encoding="utf-8")
    code = example.partition('"""\n\n')[2]
    [shown] = re.findall(r'```python title="first_call.py"\n(.*?)```', page, flags=re.DOTALL)
    assert shown.strip() == code.strip()
