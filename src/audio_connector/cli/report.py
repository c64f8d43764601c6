# SPDX-License-Identifier: Apache-2.0
"""``audio-connector report``: show a recording, or a flight record, as a page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, get_args

import typer

from audio_connector.audio.wav import open_wav
from audio_connector.errors import UsageError
from audio_connector.recording.notes import Notes, read_notes
from audio_connector.simulator import (
    RecordedCall,
    RecordingReader,
    TraceEvent,
    caller_loud_from,
    render_recorded,
)
from audio_connector.simulator.page.recorded import MAX_AUDIO_BYTES
from audio_connector.simulator.summary import counted
from audio_connector.simulator.trace import Source

EXAMPLES = """[bold]Examples[/bold]

audio-connector report call.wav --open

audio-connector report flights/20260802T101500Z-c1-underrun.wav -o underrun.html

[bold]Exit status[/bold]: 0 the page was written; 2 bad input."""

SIDES = 2
_BLOCK_SAMPLES = 65536


def report(
    file: Annotated[
        Path, typer.Argument(help="A WAV file of a Recorder or a flight recorder.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.html", help="Where to.", show_default="beside FILE, .html"
        ),
    ] = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> int:
    """Show a recording of a call as a page: both sides, answers, barge-ins, events."""
    page_path = output or file.with_suffix(".html")
    if page_path.absolute() == file.absolute():
        raise UsageError(
            f"--output {page_path} is the recording itself; expected another file, such as report.html"
        )
    if not page_path.absolute().parent.is_dir():
        raise UsageError(f"--output {page_path}: there is no folder {page_path.absolute().parent}")
    call = read_recording(file)
    wav = file.read_bytes() if file.stat().st_size <= MAX_AUDIO_BYTES else None
    page_path.write_text(render_recorded(call, wav=wav), encoding="utf-8")
    told = f"{counted(len(call.turns), 'answer')}, {counted(len(call.barge_ins), 'barge-in')}"
    print(f"{call.duration_s:.1f} s, {told}; report: {page_path}")
    if is_opened and not webbrowser.open(page_path.absolute().as_uri()):
        print(f"no browser was found; open {page_path} in one")
    return 0


def read_recording(path: Path) -> RecordedCall:
    """Read a recording.

    Raises:
        AudioFileError: It cannot be read.
        UsageError: It has not two sides.
    """
    with open_wav(path) as wav:
        if wav.channels != SIDES:
            raise UsageError(
                f"{path} has {counted(wav.channels, 'channel')}; expected a recording with two, the caller "
                "left and the server right, as Recorder and the flight recorder write them"
            )
        notes = read_notes(path)
        reader = RecordingReader(
            wav.rate_hz,
            [] if notes is None else _events(notes),
            caller_from=caller_loud_from(wav.rate_hz, wav.interleaved(_BLOCK_SAMPLES)),
        )
        for block in wav.interleaved(_BLOCK_SAMPLES):
            reader.read(block)
        facts = _facts(notes or Notes(), wav.rate_hz)
    events_lost = 0 if notes is None else notes.events_lost
    return reader.finish(title=path.name, facts=facts, events_lost=events_lost, is_whole=notes is not None)


def _events(notes: Notes) -> list[TraceEvent]:
    sources: tuple[Source, ...] = get_args(Source)
    return [
        TraceEvent(
            max(0.0, note.at_s),
            next((source for source in sources if source == note.source), "server"),
            note.name,
            note.detail.strip(),
            max(0.0, note.for_s),
        )
        for note in notes.events
    ]


def _facts(notes: Notes, rate_hz: int) -> list[tuple[str, str]]:
    """What it says of itself; what is nothing is left out."""
    return [
        (notes.kind, notes.why),
        ("connection", notes.connection),
        ("session", notes.session),
        ("since", notes.began_at),
        ("at", f"{rate_hz / 1000:g} kHz"),
        ("not recorded", f"{notes.lost_ms:.0f} ms" if notes.lost_ms else ""),
        (
            "no audio of the caller",
            f"{notes.gap_ms / 1000:.1f} s in {counted(notes.gaps, 'gap')}" if notes.gaps else "",
        ),
        ("moved to stay with the clock", counted(notes.slips, "time") if notes.slips else ""),
    ]
