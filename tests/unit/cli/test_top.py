# SPDX-License-Identifier: Apache-2.0
"""``audio-connector top``: what it shows of a server, at which width, and what it says where there is none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.ports import refusing
from support.top_sample import picture

from audio_connector.cli import main, top
from audio_connector.cli.top_view import SORTS, Sample, clock_of, duration_of, figures_of, view
from audio_connector.port.meters import Found, Meters, Snapshot

Capture = pytest.CaptureFixture[str]

CALL: dict[str, Any] = {
    "number": 1,
    "worker": 2,
    "state": "open",
    "remote": "203.0.113.9",
    "path": "/",
    "id": "ann",
    "session": "2_MX4xMDB-fg",
    "rate_hz": 16000,
    "age_s": 3723.0,
    "is_active": True,
    "received_s": 3700.0,
    "sent_s": 61.0,
    "queued_ms": 240.0,
    "in_flight_ms": 200.0,
    "played_ms": 1.0,
    "underruns": 0,
    "dropped_ms": 0.0,
    "age_peak_ms": 0.0,
    "round_trip_ms": 31.4,
}
COUNTED: Snapshot = [
    ("calls", (), 1.0),
    ("calls_opened", (), 7.0),
    ("ready", (), 1.0),
    ("io_processes", (), 1.0),
    ("workers", (), 1.0),
    ("upgrades", ("101",), 7.0),
    ("upgrades", ("429",), 2.0),
    ("upgrades", ("probe",), 50.0),
    ("process_cpu_seconds", ("io-1",), 10.0),
    ("process_resident_bytes", ("io-1",), 64.0 * (1 << 20)),
]


def sample(*calls: dict[str, Any], at: float = 0.0, more: Snapshot | None = None) -> Sample:
    return Sample(at, "1.2.3", Found([*COUNTED, *(more or [])], calls))


def drawn(*calls: dict[str, Any], width: int = 140, **options: Any) -> list[str]:
    """The lines of a picture."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        now = sample(*calls)
        console.print(view(now, now, "http://127.0.0.1:9090", width=width, **options))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_call_is_a_line() -> None:
    lines = drawn(CALL)
    assert lines[0].startswith("calls 1   ready 1/1   workers 1   lag -   cpu - %   mem 64 MiB")
    assert lines[1].startswith("so far: opened 7, refused 2, underruns 0, dropped 0.0 s, errors 0")
    titles = "id remote session worker rate age state in out queue delay underruns dropped round trip"
    assert " ".join(lines[3].split()) == titles
    assert lines[4].split() == [
        *("ann", "203.0.113.9", "2_MX4xMDB-fg", "2", "16", "kHz", "1:02:03", "open", "1:01:40", "01:01"),
        *("240", "ms", "440", "ms", "0", "0", "ms", "31", "ms"),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [8, 20, 60, 80, 100, 140, 200])
def test_it_fits_and_what_matters_most_stays(width: int) -> None:
    lines = drawn(
        {**CALL, "remote": "2001:db8:1234:5678:9abc:def0:1234:5678", "session": "s" * 500}, width=width
    )
    assert max(map(len, lines)) <= width
    assert lines[3].split()[0] == "id"
    if width >= 80:
        for title in ("age", "state", "queue", "delay", "underruns", "dropped", "remote"):
            assert title in lines[3]
        assert all(len(line) <= width for line in lines)
    assert len(lines) == 5, "no line is wrapped"


def test_the_figures_of_a_busy_server_fit_into_80_columns() -> None:
    lag = [0.0, 5.0, *[0.0] * 11, 0.1]
    busy: Snapshot = [
        *[("calls", (), 120.0), ("ready", (), 2.0), ("io_processes", (), 2.0), ("workers", (), 4.0)],
        *[("loop_lag_seconds", (side,), lag) for side in ("sockets", "application")],
        ("process_resident_bytes", ("worker-1",), 248.0 * (1 << 20)),
    ]  # fmt: skip
    shown = {width: _figures(busy, width) for width in (100, 80, 60, 10)}
    assert shown[100] == "calls 120   ready 2/2   workers 4   lag ≤2 ms   app ≤2 ms   cpu 138 %   mem 312 MiB"
    assert shown[80] == shown[100].replace("   ", "  ")
    assert shown[60] == "calls 120  ready 2/2  workers 4  lag ≤2 ms  app ≤2 ms", "whole figures, or none"
    assert shown[10] == "calls 120"


def _figures(more: Snapshot, width: int) -> str:
    console = Console(width=width, color_system=None)
    before = Sample(-1.0, "1.2.3", Found([("process_cpu_seconds", ("io-1",), 8.62)], ()))
    with console.capture() as capture:
        console.print(view(before, sample(more=more), "http://127.0.0.1:9090", width=width))
    return capture.get().splitlines()[0].rstrip()


def test_what_a_peer_wrote_does_nothing_to_the_terminal() -> None:
    evil = "\x1b[2J\x07\u202e\r\n[red]"
    text = "\n".join(drawn({**CALL, "id": evil, "session": evil, "remote": evil, "state": evil}, width=200))
    assert not any(sign in text for sign in "\x1b\x07\u202e\r")
    assert "[red]" in text
    assert len(text.splitlines()) == 5
    text = "\n".join(drawn(CALL, trouble=evil))
    assert "\\x1b[2J" in text


def test_calls_without_a_name_are_told_apart_by_their_number() -> None:
    lines = drawn({**CALL, "id": None, "number": (1 << 40) + 5}, {**CALL, "id": "x" * 30 + "42"})
    assert lines[4].split()[0] == "010000000005", "as in the log"
    assert lines[5].split()[0] == "…" + "x" * 9 + "42"


def test_more_calls_than_lines() -> None:
    calls = [{**CALL, "number": at, "id": f"c{at}", "age_s": float(at)} for at in range(100)]
    lines = drawn(*calls, height=24)
    assert len(lines) == 24
    assert lines[4].split()[0] == "c99"
    assert lines[-1] == "and 81 more calls"
    assert len(drawn(*calls)) == 104
    assert drawn()[-1] == "no call is open"


@pytest.mark.parametrize("sort", SORTS)
def test_the_most_is_first(sort: str) -> None:
    key = {"delay": "in_flight_ms"}.get(sort, SORTS[sort])
    calls = [{**CALL, "id": name, key: value} for name, value in (("less", 1), ("most", 9e6), ("none", None))]
    assert [line.split()[0] for line in drawn(*calls, sort=sort)[4:]] == ["most", "less", "none"]


@pytest.mark.parametrize(
    "call",
    [
        {},
        {
            "state": None,
            "number": "x",
            "worker": [],
            "underruns": "many",
            "is_active": 0,
            "age_s": float("nan"),
        },
    ],
)
def test_a_call_of_another_version(call: dict[str, Any]) -> None:
    assert len(drawn(call)) == 5


def test_a_muted_call_and_a_lost_one() -> None:
    assert " muted " in drawn({**CALL, "is_active": False})[4]
    assert " lost " in drawn({**CALL, "is_active": False, "state": "lost"})[4]


def test_lag_and_cpu_are_those_of_the_time_between() -> None:
    meters = Meters()
    meters.observe("loop_lag_seconds", 9.0, "sockets")
    before = sample(more=meters.snapshot())
    meters.observe("loop_lag_seconds", 0.004, "sockets")
    meters.observe("loop_lag_seconds", 0.3, "application")
    now = sample(at=2.0, more=[*meters.snapshot(), ("process_cpu_seconds", ("worker-9",), 77.0)])
    rows = [
        ("process_cpu_seconds", ("io-1",), 10.5)
        if row[0] == "process_cpu_seconds" and row[2] == 10.0
        else row
        for row in now.found.snapshot
    ]
    figures = figures_of(before, now._replace(found=Found(rows)))
    assert (figures["lag_sockets_s"], figures["lag_application_s"]) == (0.005, 0.5)
    assert figures["cpu_percent"] == pytest.approx(25.0), "a process that is new is not counted with its past"
    assert figures["refused"] == 2


def test_a_lag_beyond_all_bounds_is_told_and_is_json() -> None:
    meters = Meters()
    before = sample(more=meters.snapshot())
    meters.observe("loop_lag_seconds", 99.0, "sockets")
    now = sample(at=1.0, more=meters.snapshot())
    assert json.loads(json.dumps(figures_of(before, now), allow_nan=False))["lag_sockets_s"] == 10.0
    console = Console(width=140, color_system=None)
    with console.capture() as capture:
        console.print(view(before, now, "", width=140))
    assert " lag over 2.5 s " in capture.get()


def test_times_keep_to_their_columns() -> None:
    assert [duration_of(ms) for ms in (0.4, 9999.4, 10_000, 86_400_000)] == [
        "0 ms",
        "9999 ms",
        "10 s",
        "86400 s",
    ]
    assert [clock_of(s) for s in (0, 59.9, 3599, 3600, 86_399)] == [
        "00:00",
        "00:59",
        "59:59",
        "1:00:00",
        "23:59:59",
    ]


# The command.


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers[min(len(self.server.asked), len(self.server.answers)) - 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Site(HTTPServer):
    """Gives one answer after the other, and the last one again."""

    asked: list[str]
    answers: list[tuple[int, bytes]]


@contextmanager
def site(*answers: tuple[int, bytes]) -> Iterator[tuple[Site, str]]:
    with Site(("127.0.0.1", 0), Page) as server:
        server.asked, server.answers = [], list(answers)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server, f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def page(*calls: dict[str, Any], **more: Any) -> tuple[int, bytes]:
    values = {"server": "audio-connector", "version": "1.2.3", "calls": calls, "snapshot": COUNTED, **more}
    return 200, json.dumps(values).encode()


@pytest.fixture(autouse=True)
def no_time_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "SECOND_LOOK_S", 0.01)
    monkeypatch.setattr(top, "ANSWER_S", 0.3)


@pytest.mark.parametrize("flags", [(), ("--once",)])
def test_without_a_terminal_it_prints_the_table_once(
    flags: tuple[str, ...], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    with site(page(CALL)) as (server, address):
        assert main(["top", address, *flags]) == 0
    assert server.asked == ["/calls", "/calls"]
    out = capsys.readouterr().out
    assert "calls 1 " in out
    assert "203.0.113.9" in out


def test_on_a_terminal_that_cannot_be_drawn_on_it_prints_the_table_once(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing at all was shown there, of an editor for example, until Ctrl-C."""
    for name, value in {"TTY_COMPATIBLE": "1", "FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "140"}.items():
        monkeypatch.setenv(name, value)
    with site(page(CALL)) as (server, address):
        assert main(["top", address]) == 0
    assert server.asked == ["/calls", "/calls"]
    assert "203.0.113.9" in capsys.readouterr().out


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with site(page(CALL)) as (_, address):
        assert main(["top", f"http://{address}/", "--once"]) == 0


def test_json_for_programs(capsys: Capture) -> None:
    with site(page(CALL)) as (_, address):
        assert main(["top", address, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["calls"] == [CALL]
    assert (values["figures"]["calls"], values["figures"]["lag_sockets_s"]) == (1.0, None)


def test_live_it_goes_on_while_nothing_answers(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    looks = iter((None, None, None, KeyboardInterrupt))

    def sleep(_: float) -> None:
        if (end := next(looks)) is not None:
            raise end

    monkeypatch.setattr("audio_connector.cli.top.time.sleep", sleep)
    gone = (503, b"busy\n")
    with site(page(CALL), gone, page({**CALL, "id": "bob"})) as (server, address):
        assert main(["top", address, "--every", "0.2"]) == 0
    out = capsys.readouterr().out
    assert server.asked == ["/calls"] * 4
    assert out.index("ann") < out.index("no answer for 0 s") < out.index("bob")
    assert out.rindex("\x1b[?1049l") > out.index("bob"), "the screen is left as it was"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>\n"), ("no audio-connector ('<html>')", "--admin-port 9090")),
        ((200, b'{"calls": [], "snapshot": []}'), ("no audio-connector",)),
        (page(snapshot=7), ("no audio-connector",)),
        (
            (426, b"This speaks \x1b[2J WebSocket only\n"),
            ("answered 426 'This speaks \\x1b[2J WebSocket only'", "--admin-port 9090"),
        ),
        ((503, b"busy\n"), ("answered 503 'busy'",)),
    ],
)
def test_what_answers_is_something_else(
    answer: tuple[int, bytes], words: tuple[str, ...], capsys: Capture
) -> None:
    with site(answer) as (_, address):
        assert main(["top", address, "--once"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_nothing_listens_there(capsys: Capture) -> None:
    with refusing() as port:
        assert main(["top", str(port)]) == 2
    err = capsys.readouterr().err
    assert f"nothing answers at http://127.0.0.1:{port} (Connection refused)" in err
    assert "audio-connector serve --admin-port 9090" in err


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", None])
def test_what_does_not_speak_http(said: bytes | None, capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            sock, _ = listening.accept()
            with sock:
                if said is not None:
                    sock.sendall(said)
                sock.recv(1000)
                if said is None:
                    sock.settimeout(5)
                    sock.recv(1)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert main(["top", f"127.0.0.1:{listening.getsockname()[1]}"]) == 2
        thread.join(5)
    err = capsys.readouterr().err
    assert ("has not answered within 0.3 s" if said is None else "does not answer with HTTP") in err


@pytest.mark.parametrize("address", ["", "here", "ws://a:1", "a:b", "a:70000", "http://", "[::1:9"])
def test_an_address_that_is_none(address: str, capsys: Capture) -> None:
    assert main(["top", address]) == 2
    assert "expected host:port, such as 127.0.0.1:9090" in capsys.readouterr().err


def test_an_order_that_there_is_not(capsys: Capture) -> None:
    assert main(["top", "--sort", "name"]) == 2
    assert "expected one of age, in, out" in capsys.readouterr().err


def test_the_documentation_shows_what_is_shown() -> None:
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text()
    assert "$ audio-connector top\n" + "\n".join(picture()) + "\n```" in page
