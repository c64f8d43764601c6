# SPDX-License-Identifier: Apache-2.0
"""``audio-connector demo``: a real server with a parrot on it, a simulated router, what a session hears."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from audio_connector import AudioConnectorConnection, AudioConnectorServer, AudioConnectorServerConfig
from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES
from audio_connector.audio.wav import WavWriter
from audio_connector.cli.common import check_rate, refreshing, run_async
from audio_connector.cli.plot import check_plot, save_plot
from audio_connector.cli.stage import Stage, Tap, compare
from audio_connector.cli.view import show_summary, stage_view
from audio_connector.playground.parrot import parrot
from audio_connector.simulator import SAMPLES, CallReport, LiveCall, Router, RouterCall, sample_speech

PAUSE_S = 4.2
"""Silence after the first sentence: its answer, 2.9 s, and what the parrot waits to be sure of its end."""

TAIL_S = 9.0
"""At most this long after the last sentence; the call ends earlier when the answer was heard."""

GOODBYE_S = 0.3
"""Silence between the end of the last answer and the end of the call."""

EXAMPLES = """[bold]Examples[/bold]

audio-connector demo

audio-connector demo --rate 24000 --out /tmp/parrot --save-plot parrot.png

audio-connector demo --quick

[bold]Exit status[/bold]: 0 every sample came back, 1 something was lost or changed, 2 bad input."""


def demo(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for spoken.wav and heard.wav.", show_default=True)
    ] = Path("audio-connector-demo"),
    rate: Annotated[int, typer.Option("--rate", "-r", help="Sample rate: 8000, 16000 or 24000.")] = 16000,
    save_plot_to: Annotated[
        Path | None,
        typer.Option("--save-plot", metavar="FILE.png", help="Draw both sides of the call over time."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One sentence instead of two.")] = False,
) -> int:
    """Run a server with a parrot on it, speak to it as the media router does, and check what comes back.

    Nothing leaves this machine, and no account is needed. The caller's two sentences are real speech; the
    parrot says each one back. Every sample is compared.
    """
    check_rate(rate)
    if save_plot_to is not None:
        check_plot(save_plot_to)
    out.mkdir(parents=True, exist_ok=True)
    files = (out / "spoken.wav", out / "heard.wav")
    console = Console()
    with WavWriter(str(files[0]), rate) as spoken, WavWriter(str(files[1]), rate) as heard:
        stage = Stage(Tap(spoken, rate), Tap(heard, rate))
        report = run_async(_run(stage, rate, SAMPLES[:1] if quick else SAMPLES, console))
    expected = 1 if quick else len(SAMPLES)
    problems = compare(bytes(stage.spoken.pcm), bytes(stage.heard.pcm), stage.sentences, expected)
    show_summary(console, [report], files)
    for problem in problems:
        console.print(Text(f"  ✗ {problem}", style="red"))
    if not problems:
        samples = stage.answers_bytes // SAMPLE_BYTES
        console.print(Text(f"  ✓ the parrot's {samples:,} samples came back bit for bit", style="green"))
    if save_plot_to is not None:
        save_plot(save_plot_to, stage)
        console.print(Text(f"  drawn: {save_plot_to}"), soft_wrap=True)
    return 1 if problems or not report.is_clean else 0


async def _run(stage: Stage, rate_hz: int, names: tuple[str, ...], console: Console) -> CallReport:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await parrot(client, stage.hear)

    speech = sample_speech(names, rate_hz=rate_hz, pauses_s=[PAUSE_S])
    config = AudioConnectorServerConfig(host="127.0.0.1", port=0, on_connect=on_connect)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AudioConnectorServer(config))
        router = await stack.enter_async_context(Router())
        stage.address = server.get_address()
        show = _show_on(console, stage, stack)
        director = _Director(stage, len(names))

        def refresh() -> None:
            director.direct()
            show()

        await stack.enter_async_context(refreshing(refresh))
        call = RouterCall(
            url=stage.address,
            speech=speech,
            rate_hz=rate_hz,
            tail_s=TAIL_S,
            echo_notify=True,
            heard=stage.heard.write,
            spoken=stage.spoken.write,
        )
        return await router.run(call, on_start=director.start)


def _show_on(console: Console, stage: Stage, stack: AsyncExitStack) -> Callable[[], None]:
    """Return what draws the stage: a live picture on a terminal, a line per event elsewhere."""
    if not console.is_terminal:
        stage.tell = lambda at_s, text: console.print(Text(f"{at_s:6.2f} s  {text}"), soft_wrap=True)
        return _nothing
    screen = stack.enter_context(Live(console=console, auto_refresh=False))
    return lambda: screen.update(stage_view(stage), refresh=True)


def _nothing() -> None:
    """Lines are printed when something happens, not when the picture is refreshed."""


class _Director:
    """Notes what happens in the call, and ends it when the last answer was heard."""

    def __init__(self, stage: Stage, sentences: int) -> None:
        self._stage = stage
        self._sentences = sentences
        self._call: LiveCall | None = None
        self._answers_told = 0
        self._heard_all_at_s: float | None = None

    def start(self, call: LiveCall) -> None:
        self._call = call
        self._stage.planned_s = call.planned_s
        self._stage.note(f"the router is connected to {self._stage.address}")

    def direct(self) -> None:
        call, stage = self._call, self._stage
        if call is None or not call.is_open:
            return
        playout = call.report(with_trace=False).playout
        stage.depths.append((stage.spoken.seconds, float(playout.buffered_frames * FRAME_MS)))
        said_bytes = playout.played_frames * call.call.audio_format.frame_bytes
        if self._answers_told < len(stage.sentences) and said_bytes >= stage.answers_bytes:
            self._answers_told = len(stage.sentences)
            stage.note(f"the session has heard answer {self._answers_told}")
        if self._answers_told == self._sentences:
            now_s = stage.spoken.seconds
            if self._heard_all_at_s is None:
                self._heard_all_at_s = now_s
            elif now_s - self._heard_all_at_s >= GOODBYE_S:
                stage.note("the router hangs up")
                call.hang_up()
