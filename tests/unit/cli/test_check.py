# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path

import pytest
from support.foreign_bots import EchoBot, serving_bot
from support.serving import own_loop
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from audio_connector.audio.wav import WavWriter
from audio_connector.cli import check, main
from audio_connector.testing.conformance import CHECKS, Timing

Capture = pytest.CaptureFixture[str]
QUICK = ("--only", "upgrade/in-time", "--only", "odd-inputs/empty-audio", "--only", "clear/barge-in")


class Fragile(EchoBot):
    """Closes on an empty message."""

    async def on_audio(self, frame: bytes) -> None:
        if not frame:
            await self.connection.close(1003)
        await super().on_audio(frame)


def answer(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/500":
        return connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, "no\n")
    if request.path == "/token" and request.headers.get("token") != "s3cret":
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n")
    return None


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server in a thread of its own; its path "/fragile" has a fault."""

    def bot(connection: ServerConnection) -> EchoBot:
        path = connection.request.path if connection.request is not None else ""
        return (Fragile if path == "/fragile" else EchoBot)(connection)

    with own_loop() as loop:
        stack = AsyncExitStack()
        serving = stack.enter_async_context(serving_bot(bot, process_request=answer))
        try:
            yield asyncio.run_coroutine_threadsafe(serving, loop).result(5)
        finally:
            asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(5)


@pytest.fixture(autouse=True)
def no_time_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(*, reply_s: float) -> Timing:
        return Timing(speech_s=0.3, greeting_s=0.05, reply_s=min(reply_s, 0.5), quiet_s=0.2, settle_s=0.1)

    monkeypatch.setattr(check, "Timing", quick)


@pytest.fixture
def wav(tmp_path: Path) -> str:
    path = tmp_path / "loud.wav"
    with WavWriter(str(path), 16000) as file:
        file.write((b"\x00\x20" * 16 + b"\x00\xe0" * 16) * 150)
    return str(path)


def test_without_a_terminal_there_is_a_line_for_each_check(url: str, wav: str, capsys: Capture) -> None:
    assert main(["check", url, "--wav", wav, *QUICK]) == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    by_name = {line.split()[1]: line for line in lines}
    assert by_name["upgrade/in-time"].startswith("pass  upgrade/in-time")
    assert by_name["clear/barge-in"].startswith("skip")
    assert by_name["clear/barge-in"].endswith("there is nothing to interrupt")
    assert len(lines) == 3
    assert verdict.startswith("2 passed, 0 failed, 1 skipped in ")


def test_a_fault_is_status_1_and_says_what_to_do(url: str, wav: str, capsys: Capture) -> None:
    assert main(["check", f"{url}/fragile", "--wav", wav, *QUICK]) == 1
    shown = capsys.readouterr().out
    assert "fail  odd-inputs/empty-audio" in shown
    assert "closed by the server with 1003; expected that the call goes on; ignore" in shown
    assert shown.endswith("failed: odd-inputs/empty-audio\n")


def test_json_is_the_only_output_and_complete(url: str, wav: str, capsys: Capture) -> None:
    assert main(["check", f"{url}/fragile", "--wav", wav, *QUICK, "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["url"], shown["is_conformant"]) == (f"{url}/fragile", False)
    assert (shown["passed"], shown["failed"], shown["skipped"]) == (1, 1, 1)
    assert [check["status"] for check in shown["checks"]] == ["pass", "skip", "fail"]
    assert shown["checks"][2]["protocol"] == ["4.6"]
    assert set(shown["checks"][0]) == {
        "group",
        "name",
        "status",
        "reason",
        "does",
        "why",
        "protocol",
        "duration_s",
    }


def test_on_a_terminal_there_is_a_table(
    url: str, wav: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["check", f"{url}/fragile", "--wav", wav, "--only", "clear", *QUICK]) == 1
    shown = capsys.readouterr().out
    assert "checking" in shown
    assert "✗" in shown
    assert "Zero bytes are no end of the call" in shown
    assert shown.count("there is nothing to interrupt") == 1
    assert "the same" in shown


def test_headers_and_rate_are_used(url: str, wav: str, capsys: Capture) -> None:
    arguments = ["check", f"{url}/token", "--wav", wav, "--only", "framing/8-khz", "--rate", "8000"]
    assert main([*arguments, "-H", "token=s3cret"]) == 0
    assert "messages of 320 bytes" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "HTTP 401" in capsys.readouterr().err


def test_checks_can_be_left_out(url: str, capsys: Capture) -> None:
    assert main(["check", "--list", "--only", "closing", "--skip", "closing/reset"]) == 0
    shown = capsys.readouterr().out
    assert "closing/goodbye" in shown
    assert "closing/reset" not in shown
    assert main(["check", url, "--only", "closing", "--skip", "closing"]) == 2
    assert "--skip leaves no check over" in capsys.readouterr().err


def test_the_list_has_every_check(capsys: Capture) -> None:
    assert main(["check", "--list"]) == 0
    shown = capsys.readouterr().out
    assert [each.full_name for each in CHECKS if each.full_name not in shown] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{url}/500"], "HTTP 500"),
        (["htp://localhost"], "'htp://localhost' is not a WebSocket URL"),
        (["ws://127.0.0.1:1"], "cannot be reached"),
        ([], "which server?"),
        (["{url}", "--only", "barge-in"], "did you mean 'clear/barge-in'?"),
        (["{url}", "--skip", "everything"], "there is no check 'everything'"),
        (["{url}", "--wav", __file__], "is no WAV file"),
        (["{url}", "--wav", "/nowhere.wav"], "/nowhere.wav"),
        (["{url}", "--rate", "44100"], "--rate is 44100"),
        (["{url}", "--header", "x"], "--header 'x': expected NAME=VALUE"),
        (["{url}", "--timeout", "0"], "--timeout"),
    ],
)
def test_bad_input_is_status_2_and_one_line(
    arguments: list[str], text: str, url: str, capsys: Capture
) -> None:
    assert main(["check", *(argument.replace("{url}", url) for argument in arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert text in shown.err
    assert shown.err.startswith("audio-connector: ")
    assert shown.err.count("\n") == 1


def test_what_is_no_websocket_is_status_2(capsys: Capture) -> None:
    async def shut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        writer.close()

    with own_loop() as loop:
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(shut, "127.0.0.1", 0), loop).result(5)
        port = server.sockets[0].getsockname()[1]
        assert main(["check", f"ws://127.0.0.1:{port}"]) == 2
        loop.call_soon_threadsafe(server.close)
    shown = capsys.readouterr()
    assert shown.err.startswith(f"audio-connector: ws://127.0.0.1:{port}")
    assert shown.err.count("\n") == 1
