# SPDX-License-Identifier: Apache-2.0
"""``audio-connector simulate``: call a server as the media router does, and tell what was heard."""

from __future__ import annotations

import json as json_module
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from audio_connector.cli import BAD_INPUT
from audio_connector.cli.common import check_rate, refreshing, run_async
from audio_connector.cli.view import progress_view, show_summary
from audio_connector.errors import UsageError
from audio_connector.simulator import CallReport, LiveCall, RouterCall, run_calls, sample_speech

RAMP_S_PER_CALL = 0.005
"""Time between the beginnings of two calls: a server is not asked for 300 handshakes in one instant."""

EXAMPLES = """[bold]Examples[/bold]

audio-connector simulate ws://localhost:8765

audio-connector simulate ws://localhost:8765/room/7 --wav question.wav --record answer.wav

audio-connector simulate wss://bot.example.org --header caller=Ann --tail 10

audio-connector simulate ws://localhost:8765 --calls 100 --duration 60 --json

[bold]Exit status[/bold]: 0 clean, 1 something was lost, 2 bad input or unreachable server."""


def simulate(  # noqa: PLR0913 - each one is an option of the command line
    url: Annotated[str, typer.Argument(help="The server: ws://host:port/path or wss.", show_default=False)],
    *,
    wav: Annotated[
        Path | None,
        typer.Option(
            "--wav", "-w", help="What the caller says: a 16-bit WAV; a packaged recording if not given."
        ),
    ] = None,
    rate: Annotated[int, typer.Option("--rate", "-r", help="Sample rate: 8000, 16000 or 24000.")] = 16000,
    calls: Annotated[int, typer.Option("--calls", "-n", min=1, help="Calls at once.")] = 1,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="K=V", help="A custom header; may be repeated."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", "-o", help="Record what is heard: a .wav file, or a folder for both sides."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", "-d", min=0, help="Speak for this many seconds: the speech is repeated or cut."
        ),
    ] = None,
    tail: Annotated[
        float, typer.Option("--tail", "-t", min=0, help="Listen for this many seconds after it.")
    ] = 2.0,
    insecure: Annotated[bool, typer.Option("--insecure", "-k", help="wss: accept any certificate.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
) -> int:
    """Call a server as the Vonage media router does, and report what a session would have heard."""
    check_rate(rate)
    speech = sample_speech(rate_hz=rate) if wav is None else wav
    headers = parse_headers(header or ())
    recordings = _recordings(record, calls)
    planned = [
        RouterCall(
            url=url,
            speech=speech,
            rate_hz=rate,
            headers=headers,
            duration_s=duration,
            tail_s=tail,
            heard=heard,
            spoken=spoken,
            ssl_context=_accept_any_certificate() if insecure else None,
        )
        for heard, spoken in recordings
    ]
    console = Console()
    reports = run_async(_run(planned, console if console.is_terminal and not json else None))
    if all(report.error is not None for report in reports):
        typer.echo(f"audio-connector: {reports[0].error}", err=True)
        return BAD_INPUT
    is_clean = all(report.is_clean for report in reports)
    if json:
        print(json_module.dumps({"is_clean": is_clean, "calls": [report.to_dict() for report in reports]}))
    else:
        show_summary(console, reports, [path for pair in recordings for path in pair if path is not None])
    return 0 if is_clean else 1


def parse_headers(texts: Sequence[str]) -> dict[str, str]:
    """Read ``name=value`` texts.

    Raises:
        UsageError: One has no equal sign or no name, or a name comes twice.
    """
    headers: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--header {text!r}: expected NAME=VALUE")
        if name.lower() in map(str.lower, headers):
            raise UsageError(f"--header {text!r}: {name} was given before")
        headers[name] = value
    return headers


async def _run(calls: Sequence[RouterCall], console: Console | None) -> list[CallReport]:
    live_calls: list[LiveCall] = []
    ramp_s = RAMP_S_PER_CALL * len(calls)
    if console is None:
        return await run_calls(calls, ramp_s=ramp_s, on_start=live_calls.append)
    with Live(console=console, transient=True, auto_refresh=False) as screen:

        def refresh() -> None:
            screen.update(progress_view(live_calls, len(calls)), refresh=True)

        async with refreshing(refresh):
            return await run_calls(calls, ramp_s=ramp_s, on_start=live_calls.append)


def _recordings(record: Path | None, calls: int) -> list[tuple[Path | None, Path | None]]:
    """Return the files for what is heard and what is spoken, per call."""
    if record is None:
        return [(None, None)] * calls
    if record.suffix.lower() == ".wav":
        if calls > 1:
            raise UsageError(f"--record {record}: {calls} calls do not fit into one file; give a folder")
        return [(record, None)]
    record.mkdir(parents=True, exist_ok=True)
    if calls == 1:
        return [(record / "heard.wav", record / "spoken.wav")]
    width = len(str(calls))
    return [
        (record / f"{number:0{width}}-heard.wav", record / f"{number:0{width}}-spoken.wav")
        for number in range(1, calls + 1)
    ]


def _accept_any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
