# SPDX-License-Identifier: Apache-2.0
"""Tokens on the command line: minted, carried by the commands that dial, told to a server, and never shown."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.cli_peer import Peer
from support.tokens import KEY, request

from audio_connector import AudioConnectorServerConfig
from audio_connector.auth import SignedToken, UpgradeRequest
from audio_connector.cli import main
from audio_connector.cli.plan import Plan
from audio_connector.cli.serve import configuration_for, configured
from audio_connector.cli.settings import ServeSettings
from audio_connector.cli.simulate import carrying
from audio_connector.cli.tokens import credentials, key_of, keys_in, signed_token
from audio_connector.errors import AudioConnectorConfigError, UsageError
from audio_connector.playground.session import Settings
from audio_connector.simulator import RouterCall
from audio_connector.wire.transport import Headers

Capture = pytest.CaptureFixture[str]


def claims(token: str, **options: Any) -> Any:
    return SignedToken([KEY], **options).verifying(time.time)(request(token))


@pytest.fixture(autouse=True)
def bot_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_KEY", f"{KEY}, an-old-one")
    for name in ServeSettings.model_fields:
        monkeypatch.delenv(f"AUDIO_CONNECTOR_{name.upper()}", raising=False)


def test_a_token_is_minted_for_a_pipe(capsys: Capture) -> None:
    assert (
        main(["token", "--token-key", "BOT_KEY", "--session", "s", "--lifetime", "60", "--claim", "who=Ann"])
        == 0
    )
    made = claims(capsys.readouterr().out.strip())
    assert (made["session_id"], made["who"]) == ("s", "Ann")
    assert 59 <= made["exp"] - made["iat"] <= 61


@pytest.mark.parametrize("carrier", ["header:authorization", "query:t", "path"])
def test_one_is_shown_as_the_rest_call_has_it(carrier: str, capsys: Capture) -> None:
    url = "wss://bot.example.org/room"
    assert main(["token", "--token-key", KEY, "--url", url, "--token-carrier", carrier]) == 0
    shown = json.loads(capsys.readouterr().out)
    parts = urlsplit(shown["uri"])
    headers = Headers(shown.get("headers", {}).items())
    asked = UpgradeRequest(parts.path, parts.query, headers, ("", 0), True)
    assert SignedToken([KEY], carrier=carrier).verifying(time.time)(asked)


def test_a_new_key_is_long_enough_and_another_each_time(capsys: Capture) -> None:
    assert main(["token", "--new-key"]) == main(["token", "--new-key"]) == 0
    first, second = capsys.readouterr().out.split()
    assert first != second
    assert SignedToken([first, second]).carrier == "header:authorization"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "which key? Expected --token-key, or --new-key for one"),
        (["--token-key", "NO_SUCH_KEY"], "--token-key NO_SUCH_KEY: there is no such variable"),
        (["--token-key", "a-short-secret"], "key has 14 bytes; expected 32 at least"),
        (["--token-key", KEY, "--claim", "x"], "--claim 'x': expected NAME=VALUE"),
        (["--token-key", KEY, "--claim", "session_id=x"], "for a session --session"),
        (["--token-key", KEY, "--url", "https://x"], "is not a WebSocket URL"),
        (["--token-key", KEY, "--token-carrier", "cookie"], "carrier='cookie'"),
    ],
)
def test_what_is_wrong_is_a_line_without_a_secret(arguments: list[str], text: str, capsys: Capture) -> None:
    assert main(["token", *arguments]) == 2
    shown = capsys.readouterr()
    assert text in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "a-short-secret" not in shown.err


def test_keys_are_read_as_variables_and_files_have_them() -> None:
    assert keys_in(" a,b  c\nd\r\n,") == ["a", "b", "c", "d"]
    assert key_of("X", {"X": "a b"}) == "a"
    assert key_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", {}) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def test_a_call_carries_a_token_of_its_session_and_shows_none(peer: Peer, capsys: Capture) -> None:
    for carrier in ("header:authorization", "query:t"):
        options = ["--calls", "2", "--token-key", "BOT_KEY", "--token-carrier", carrier, "--json"]
        main(["simulate", f"{peer.url}/401", "--tail", "0", "--duration", "0.1", *options])
        shown = capsys.readouterr()
        assert "eyJ" not in shown.out + shown.err
        assert "HTTP 401" in shown.err
        assert "--token-key" in shown.err
    tokens = [headers["authorization"].removeprefix("Bearer ") for headers in peer.headers[:2]]
    sessions = [headers["x-opentok-ws-sessionid"] for headers in peer.headers[:2]]
    assert [claims(token)["session_id"] for token in tokens] == sessions
    assert len(set(tokens)) == 2


def test_a_call_that_is_made_later_has_one_that_lasts_until_then() -> None:
    calls = [RouterCall(url="ws://x/bot", dial_after_s=after_s) for after_s in (0.0, 3600.0)]
    [_, late] = carrying(Plan(calls, 60.0, "x"), KEY, "query:t").calls
    assert late.target is not None
    assert claims(late.target.partition("t=")[2])["exp"] > time.time() + 3700
    assert "eyJ" not in repr(late)
    with pytest.raises(UsageError, match="bytes in sum; the router takes 512"):
        carrying(
            Plan([RouterCall(url="ws://x", headers={"a": "x" * 400})], 0.0, "x"), KEY, "header:authorization"
        )


def test_each_call_of_a_page_carries_a_token_of_its_own() -> None:
    settings = Settings(url="ws://x/bot?a=b", label="x", credentials=credentials("BOT_KEY", "query:t"))
    first, second = settings.call(), settings.call()
    assert first.target is not None
    assert first.target != second.target
    assert first.target.startswith("/bot?a=b&t=eyJ")
    assert (first.url, first.address) == ("ws://x/bot?a=b", "ws://x/bot?…")


# What a server is told.


def test_keys_are_told_by_environment_or_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n", encoding="utf-8-sig")  # as some editors write it
    for told in (
        {"token_keys": KEY},
        {"token_keys_file": file},
        {"token_keys": "short", "token_keys_file": file},
    ):
        settings = ServeSettings(**told, token_carrier="query:t", token_one_time=True)
        assert signed_token(settings) == SignedToken([KEY], carrier="query:t", one_time=True)
    assert signed_token(ServeSettings()) is None


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"token_carrier": "path"}, "without a key"),
        (
            {"token_keys_file": Path("nothing-there")},
            "token_keys_file 'nothing-there' cannot be read: No such file",
        ),
        ({"token_keys": "a-short-secret"}, "keys has 14 bytes"),
        ({"token_keys": KEY, "token_carrier": "cookie"}, "carrier='cookie'"),
    ],
)
def test_what_cannot_be_is_said_without_a_key(told: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        signed_token(ServeSettings(**told))
    assert text in str(caught.value)
    assert "a-short-secret" not in str(caught.value)


def test_tokens_for_one_time_take_a_single_io_process() -> None:
    """Also where the application says so."""
    told: dict[str, Any] = {"token_keys": KEY, "token_one_time": True}
    for config, settings in (
        (AudioConnectorServerConfig(host="", port=0), ServeSettings(io_processes=2, **told)),
        (
            AudioConnectorServerConfig(host="", port=0, authenticate=SignedToken(KEY, one_time=True)),
            ServeSettings(io_processes=2),
        ),
    ):
        with pytest.raises(UsageError, match="expected one I/O process"):
            configured(config, settings)
        assert configured(config, settings.model_copy(update={"io_processes": 1})).authenticate is not None


def test_a_secret_is_neither_a_flag_nor_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "token_bot.py").write_text("def on_connect(client): ...\n")
    (tmp_path / "bad.toml").write_text(f'token_keys = ["{KEY}", 5]\n')
    (tmp_path / "good.toml").write_text(f'token_keys = ["{KEY}", "{KEY[::-1]}"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    app = ["serve", "token_bot:on_connect", "--print-config"]
    assert main([*app, "--token-keys", KEY]) == 2
    assert "No such option" in capsys.readouterr().err
    assert main([*app, "--config", "bad.toml"]) == 2
    shown = capsys.readouterr()
    assert "token_keys=***: expected a text, or several" in shown.err
    assert KEY not in shown.err
    assert main([*app, "--config", "good.toml"]) == 0
    monkeypatch.setenv("AUDIO_CONNECTOR_TOKEN_KEYS", KEY)
    assert main(app) == 0
    shown = capsys.readouterr()
    assert re.search(r"^token_keys +'\*\*\*' ", shown.out, re.MULTILINE)
    assert "AUDIO_CONNECTOR_TOKEN_KEYS" in shown.out
    assert KEY not in shown.out + shown.err
    made = configuration_for("token_bot:on_connect", ServeSettings(token_keys=KEY))
    assert isinstance(made.authenticate, SignedToken)
    assert KEY not in repr(made)
    with pytest.raises(AudioConnectorConfigError):
        configuration_for("token_bot:on_connect", ServeSettings(token_keys="short"))
