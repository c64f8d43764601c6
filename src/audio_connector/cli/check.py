# SPDX-License-Identifier: Apache-2.0
"""``audio-connector check``: does a server keep what a media router relies on? A table of pass, fail and why."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from audio_connector.cli.check_view import Progress, result_line, show_list, show_results, show_verdict
from audio_connector.cli.common import (
    Headers,
    Insecure,
    check_rate,
    context_of,
    parse_headers,
    refreshing,
    run_async,
)
from audio_connector.cli.tokens import CARRIER, TokenCarrier, TokenKey, key_of
from audio_connector.errors import UsageError
from audio_connector.testing.conformance import (
    CHECKS,
    Check,
    Result,
    Speech,
    Target,
    Timing,
    run_checks,
    select,
)
from audio_connector.wire.quoting import without_secrets

EXAMPLES = """[bold]Examples[/bold]

audio-connector check ws://localhost:8765

audio-connector check wss://bot.example.org/room/7 --header token=s3cret --wav question.wav

audio-connector check ws://localhost:8765 --only framing --only clear/barge-in

audio-connector check ws://localhost:8765 --skip framing/24-khz --json > check.json

audio-connector check wss://bot.example.org --token-key BOT_KEY --only gate

audio-connector check --list

[bold]Exit status[/bold]: 0 nothing failed, 1 something did, 2 bad input or unreachable server."""


def check(  # noqa: PLR0913 - each one is an option of the command line
    url: Annotated[
        str | None, typer.Argument(help="The server: ws://host:port/path or wss.", show_default=False)
    ] = None,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Run this check, or this group; may be repeated."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="NAME", help="Leave this check or group out; may be repeated."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Tell what is checked, and why, and exit.")] = False,
    wav: Annotated[
        Path | None,
        typer.Option(
            "--wav",
            "-w",
            help="What gets the bot talking: a 16-bit WAV, 10 s at most; packaged speech if not given.",
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", "-r", help="Sample rate where it is not checked: 8000, 16000 or 24000.")
    ] = 16000,
    header: Headers = None,
    token_key: TokenKey = None,
    token_carrier: TokenCarrier = CARRIER,
    insecure: Insecure = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", "-t", min=0.1, max=600, help="Seconds in which the bot begins to answer."),
    ] = 6.0,
    json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")
    ] = False,
) -> int:
    """Check any Audio Connector server: framing, pacing, clear, events, odd inputs, closing; with a key, its gate.

    It calls the server as a media router does, well behaved and otherwise.
    Of each check it says what was seen, what was expected, and what to do.
    With a bot that answers it takes about 40 seconds.
    """
    left_out = select(skip or ())
    wanted = select(only) if only else [each for each in CHECKS if show or token_key or each.group != "gate"]
    checks = [each for each in wanted if each not in left_out]
    console = Console()
    if show:
        show_list(console, checks)
        return 0
    if url is None:
        raise UsageError("which server? Expected audio-connector check ws://host:port/path")
    if not checks:
        raise UsageError("--skip leaves no check over; give another --only")
    check_rate(rate)
    target = Target(
        url=url,
        headers=parse_headers(header),
        token_key=None if token_key is None else key_of(token_key),
        token_carrier=token_carrier,
        rate_hz=rate,
        speech=Speech.packaged() if wav is None else Speech.from_wav(str(wav)),
        ssl_context=context_of(insecure=insecure),
    )
    began_at = time.monotonic()
    results = run_async(_run(target, checks, Timing(reply_s=timeout), None if json else console))
    failed = sum(result.status == "fail" for result in results)
    if json:
        print(json_module.dumps(_to_dict(target, results, time.monotonic() - began_at)))
    else:
        if console.is_terminal:
            show_results(console, results)
        show_verdict(console, results, time.monotonic() - began_at)
    return 1 if failed else 0


async def _run(
    target: Target, checks: Sequence[Check], timing: Timing, console: Console | None
) -> list[Result]:
    if console is None:
        return await run_checks(target, checks, timing=timing)
    if not console.is_terminal:
        return await run_checks(target, checks, timing=timing, on_result=_line_on(console))
    progress = Progress(without_secrets(target.url), len(checks))
    with Live(console=console, transient=True, auto_refresh=False) as screen:
        async with refreshing(lambda: screen.update(progress.view(), refresh=True)):
            return await run_checks(
                target, checks, timing=timing, on_start=progress.start, on_result=progress.take
            )


def _line_on(console: Console) -> Callable[[Result], None]:
    return lambda result: console.print(result_line(result), soft_wrap=True)


def _to_dict(target: Target, results: Sequence[Result], duration_s: float) -> dict[str, object]:
    counts = {
        f"{status}ed" if status != "skip" else "skipped": sum(result.status == status for result in results)
        for status in ("pass", "fail", "skip")
    }
    return {
        "url": without_secrets(target.url),
        "is_conformant": counts["failed"] == 0,
        **counts,
        "duration_s": round(duration_s, 3),
        "checks": [result.to_dict() for result in results],
    }
