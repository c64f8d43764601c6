# SPDX-License-Identifier: Apache-2.0
"""``audio-connector simulate``: call a server as the media router does, and tell what was heard."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from audio_connector.cli.common import Headers, Insecure, context_of, parse_headers, refreshing, run_async
from audio_connector.cli.plan import Plan, check_unused, plan_calls, plan_persona, plan_scenario
from audio_connector.cli.tokens import CARRIER, LIFETIME_S, TokenCarrier, TokenKey, credentials
from audio_connector.cli.view import progress_view, show_summary
from audio_connector.errors import UsageError
from audio_connector.server.program import BAD_INPUT
from audio_connector.simulator import (
    PROFILES,
    CallReport,
    Expect,
    LiveCall,
    RouterCall,
    failures,
    figures,
    figures_in_sum,
    parse_condition,
    render_page,
    run_calls,
)
from audio_connector.simulator.summary import counted
from audio_connector.simulator.talk.words import folded
from audio_connector.testing.talk import open_talk
from audio_connector.wire.quoting import without_secrets

TRACED_CALLS = 20
"""Up to so many calls are kept over time without being asked for; it costs a few microseconds per frame."""

EXAMPLES = """[bold]Examples[/bold]

audio-connector simulate ws://localhost:8765

audio-connector simulate ws://localhost:8765/room/7 --wav question.wav --record answer.wav

audio-connector simulate ws://localhost:8765 --scenario barge-in.yaml --html report.html

audio-connector simulate ws://localhost:8765 --profile wsbridge --fail-on 'underrun_ms>0' --fail-on 'turns<2'

audio-connector simulate wss://bot.example.org --header caller=Ann --calls 100 --duration 60 --json

audio-connector simulate ws://localhost:8765 --persona guest.yaml --seed 7 --html report.html

audio-connector simulate ws://localhost:8765 --wav question.wav --said 'opening hours' --never-said 'as an AI'

[bold]Exit status[/bold]: 0 clean, or every condition held; 1 something was lost, the bot said nothing or \
hung up, steps were left out, a condition failed, words were not as expected, or a persona did not reach its goal; \
2 bad input, an engine that is missing, or an unreachable server."""


def simulate(  # noqa: PLR0913 - each one is an option of the command line
    url: Annotated[
        str | None,
        typer.Argument(
            help="The server: ws://host:port/path or wss. A scenario may name it.", show_default=False
        ),
    ] = None,
    *,
    scenario: Annotated[
        Path | None,
        typer.Option(
            "--scenario", "-s", metavar="FILE.yaml", help="Who says and does what, when, over which network."
        ),
    ] = None,
    persona: Annotated[
        Path | None,
        typer.Option("--persona", metavar="FILE.yaml", help="A caller with a goal, who listens and answers."),
    ] = None,
    wav: Annotated[
        Path | None,
        typer.Option(
            "--wav", "-w", help="What the caller says: a 16-bit WAV; a packaged recording if not given."
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help=f"Which router: {', '.join(PROFILES)}.", show_default="video"),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option("--rate", "-r", help="Sample rate: 8000, 16000 or 24000.", show_default="16000"),
    ] = None,
    calls: Annotated[
        int | None, typer.Option("--calls", "-n", min=1, help="Calls at once.", show_default="1")
    ] = None,
    header: Headers = None,
    token_key: TokenKey = None,
    token_carrier: TokenCarrier = CARRIER,
    json_audio: Annotated[
        bool, typer.Option("--json-audio", help="Audio as base64 in JSON, instead of binary messages.")
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", "-d", min=0, help="Speak for this many seconds: the speech is repeated or cut."
        ),
    ] = None,
    tail: Annotated[
        float | None,
        typer.Option("--tail", "-t", min=0, help="Listen for this many seconds after it.", show_default="2"),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", "-o", help="Record what is heard: a .wav file, or a folder for both sides."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE.html", help="Write the report as a page with pictures."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="CONDITION",
            help="Fail where this is true of a call, such as 'underrun_ms>0'; may be repeated.",
        ),
    ] = None,
    said: Annotated[
        list[str] | None,
        typer.Option("--said", metavar="WORDS", help="Fail where the bot never says this; may be repeated."),
    ] = None,
    never_said: Annotated[
        list[str] | None,
        typer.Option("--never-said", metavar="WORDS", help="Fail where the bot says this; may be repeated."),
    ] = None,
    transcript: Annotated[
        bool, typer.Option("--transcript", help="Write down what the bot says, in the report.")
    ] = False,
    voice: Annotated[
        str | None,
        typer.Option(
            "--voice",
            metavar="VOICE",
            help="Who speaks texts: piper, espeak, elevenlabs, ..., or one with its voice, piper:NAME.",
            show_default="piper",
        ),
    ] = None,
    recogniser: Annotated[
        str | None,
        typer.Option(
            "--recogniser",
            metavar="NAME",
            help="Who understands the bot: whisper, deepgram, ..., or one with its model, whisper:MODEL.",
            show_default="whisper",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="Of a persona's interruptions: the same seed, the same call.", show_default="0"
        ),
    ] = None,
    allow_silence: Annotated[
        bool, typer.Option("--allow-silence", help="Do not fail where the bot says nothing: it only listens.")
    ] = False,
    allow_hangup: Annotated[
        bool, typer.Option("--allow-hangup", help="Do not fail where the server ends the call by itself.")
    ] = False,
    insecure: Insecure = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
) -> int:
    """Call a server as the Vonage media router does, and report what a session would have heard."""
    conditions = [parse_condition(text) for text in fail_on or ()]
    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(f"--html {html}: there is no folder {html.absolute().parent}")
    if seed is not None and persona is None:
        raise UsageError("--seed goes with --persona; a scenario has impairments.seed")
    headers = parse_headers(header)
    ssl_context = context_of(insecure=insecure)
    if scenario is not None:
        of_one_call = {
            "wav": wav,
            "profile": profile,
            "rate": rate,
            "calls": calls,
            "duration": duration,
            "tail": tail,
        }
        check_unused({**of_one_call, "json-audio": json_audio or None})
        check_unused({"persona": persona})
        plan = plan_scenario(scenario, url, headers=headers, ssl_context=ssl_context)
    elif persona is not None:
        check_unused({"wav": wav, "duration": duration, "tail": tail}, by="persona")
        plan = plan_persona(
            persona,
            url,
            calls or 1,
            profile=profile or "video",
            rate_hz=16000 if rate is None else rate,
            headers=headers,
            json_audio=json_audio,
            seed=seed or 0,
            ssl_context=ssl_context,
        )
    else:
        plan = plan_calls(
            url,
            calls or 1,
            wav=wav,
            profile=profile or "video",
            rate_hz=16000 if rate is None else rate,
            headers=headers,
            json_audio=json_audio,
            duration_s=duration,
            tail_s=2.0 if tail is None else tail,
            ssl_context=ssl_context,
        )
    conditions += plan.conditions
    if token_key is not None:
        plan = carrying(plan, token_key, token_carrier)
    recordings = _recordings(record, len(plan.calls))
    is_traced = html is not None or len(plan.calls) <= TRACED_CALLS
    planned = [
        replace(
            call,
            heard=heard,
            spoken=spoken,
            trace=is_traced,
            allow_silence=allow_silence or call.allow_silence,
            allow_hangup=allow_hangup or call.allow_hangup,
            expect=_expecting(call.expect, said or (), never_said or ()),
            transcribe=transcript,
        )
        for call, (heard, spoken) in zip(plan.calls, recordings, strict=True)
    ]
    console = Console()
    screen = console if console.is_terminal and not json else None
    reports = run_async(_run(planned, plan.ramp_s, screen, voice=voice, recogniser=recogniser))
    if all(report.error is not None for report in reports):
        typer.echo(f"audio-connector: {reports[0].error}", err=True)
        return BAD_INPUT
    expected = dict.fromkeys(text for call in planned for text in call.expect.texts)
    checked = [*map(str, conditions), *expected]
    failed = failures(conditions, reports) if checked else []
    if html is not None:
        page = render_page(
            reports, title=plan.title, conditions=checked, conditions_failed=failed, scenario=plan.text
        )
        _write(html, page)
    if json:
        print(json_module.dumps(_as_json(reports, checked, failed)))
    else:
        files = [path for pair in recordings for path in pair if path is not None]
        show_summary(console, reports, files, conditions=checked, conditions_failed=failed)
        if html is not None:
            console.print(f"  report: {html}", highlight=False, soft_wrap=True)
    return 0 if _is_good(reports, checked, failed) else 1


def carrying(plan: Plan, key: str, carrier: str) -> Plan:
    """The plan with a token for each call, which does not expire before that is made."""
    wait_s = plan.ramp_s + max((call.dial_after_s for call in plan.calls), default=0.0)
    with_token = credentials(key, carrier, lifetime_s=LIFETIME_S + wait_s)
    return (
        plan if with_token is None else replace(plan, calls=[with_token.put_on(call) for call in plan.calls])
    )


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html {path}: cannot be written: {error.strerror}") from error


def _is_good(reports: Sequence[CallReport], conditions: Sequence[str], failed: Sequence[str]) -> bool:
    return not failed if conditions else all(report.is_clean for report in reports)


def _as_json(reports: Sequence[CallReport], conditions: Sequence[str], failed: Sequence[str]) -> object:
    values = {
        "is_clean": all(report.is_clean for report in reports),
        "passed": _is_good(reports, conditions, failed),
        "conditions": list(conditions),
        "conditions_failed": list(failed),
        "in_sum": figures_in_sum(reports),
        "calls": [{**report.to_dict(), "figures": figures(report)} for report in reports],
    }
    return _rounded(values)


def _rounded(value: object, digits: int = 6) -> object:
    """Numbers without the noise of floats: a microsecond is more than is measured here."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, dict):
        return {key: _rounded(each, 3 if str(key).endswith("_ms") else 6) for key, each in value.items()}
    return [_rounded(each, digits) for each in value] if isinstance(value, list | tuple) else value


def _expecting(expect: Expect, said: Sequence[str], never_said: Sequence[str]) -> Expect:
    """What a call expects, and what the options say beside it."""
    for option, texts in (("--said", said), ("--never-said", never_said)):
        for text in texts:
            if not folded(text):
                raise UsageError(
                    f"{option} {text!r}: it has no word in it; expected words that a bot can say"
                )
    more = Expect.from_values({"said": said, "never_said": never_said})
    return Expect(
        said=(*expect.said, *more.said),
        never_said=(*expect.never_said, *more.never_said),
        word_errors=expect.word_errors,
    )


def _tell(text: str) -> None:
    typer.echo(f"audio-connector: {text}", err=True)


async def _run(
    calls: Sequence[RouterCall],
    ramp_s: float,
    console: Console | None,
    *,
    voice: str | None,
    recogniser: str | None,
) -> list[CallReport]:
    live_calls: list[LiveCall] = []

    def tell_first(live: LiveCall) -> None:  # the log of a CI run would be silent until the end
        if not live_calls:
            _tell(f"connected to {without_secrets(live.call.url)}; {counted(len(calls), 'call')} ...")
        live_calls.append(live)

    async with open_talk(calls, voice=voice, recogniser=recogniser, tell=_tell) as talk:
        if console is None:
            return await run_calls(calls, ramp_s=ramp_s, on_start=tell_first, talk=talk)
        with Live(console=console, transient=True, auto_refresh=False) as screen:

            def refresh() -> None:
                screen.update(progress_view(live_calls, len(calls)), refresh=True)

            async with refreshing(refresh):
                return await run_calls(calls, ramp_s=ramp_s, on_start=live_calls.append, talk=talk)


def _recordings(record: Path | None, calls: int) -> list[tuple[Path | None, Path | None]]:
    """Return the files for what is heard and what is spoken, per call."""
    if record is None:
        return [(None, None)] * calls
    if record.suffix.lower() == ".wav":
        if calls > 1:
            raise UsageError(f"--record {record}: {calls} calls do not fit into one file; give a folder")
        return [(record, None)]
    if record.suffix and not record.is_dir():
        raise UsageError(f"--record {record}: expected a file that ends in .wav, or a folder")
    record.mkdir(parents=True, exist_ok=True)
    if calls == 1:
        return [(record / "heard.wav", record / "spoken.wav")]
    width = len(str(calls))
    return [
        (record / f"{number:0{width}}-heard.wav", record / f"{number:0{width}}-spoken.wav")
        for number in range(1, calls + 1)
    ]
