# SPDX-License-Identifier: Apache-2.0
"""The page of a recording: what it is, its picture, and itself to listen to where it is short."""

from __future__ import annotations

import base64
from typing import Final

from audio_connector.simulator.page import tables
from audio_connector.simulator.page.picture import draw_call
from audio_connector.simulator.page.shell import render_shell
from audio_connector.simulator.page.text import shown
from audio_connector.simulator.recorded import RecordedCall

MAX_AUDIO_BYTES: Final = 8 << 20
"""Of a recording that is put into its page, which becomes a third longer by it: two minutes at 16 kHz."""

_COLUMNS: Final = 2400
_KEYS: Final = (
    ("answer", "end of speech to the first sound of the answer"),
    ("speech", "barge-in: speech to flush"),
    ("silence", "flush to silence"),
    ("fault", "underrun"),
)


def render_recorded(call: RecordedCall, *, wav: bytes | None = None) -> str:
    """Render a recording as one HTML page that asks for nothing else.

    Args:
        call: The recording.
        wav: The file itself, to be listened to in the page; None, or one that is too long, is left out.

    Returns:
        The whole file; written as UTF-8.
    """
    has_audio = wav is not None and len(wav) <= MAX_AUDIO_BYTES
    player = ""
    if wav is not None and has_audio:
        source = f"data:audio/wav;base64,{base64.b64encode(wav).decode()}"
        player = f'<audio controls preload="metadata" aria-label="the recording" src="{source}"></audio>'
    facts = " · ".join(f"{name} <code>{shown(value, 200)}</code>" for name, value in call.facts if value)
    picture = draw_call(call, call.trace, label=call.title, columns=_COLUMNS, is_recorded=True)
    parts = [
        f"<figure>{picture}<figcaption>{_legend(call)}</figcaption></figure>",
        player,
        tables.answers(call.turns),
        tables.barge_ins(call.barge_ins, is_recorded=True),
        tables.events(call.trace, more="the recording itself has them"),
    ]
    note = (
        ""
        if call.is_whole
        else '<p class="none">It does not say what happened: its program was killed, or is another one.</p>'
    )
    return render_shell(
        call.title,
        f'<header class="record"><h1>{shown(call.title)}</h1><p class="what">{facts}</p>{note}</header>\n'
        f"<main><article>{''.join(parts)}</article></main>",
        has_audio=has_audio,
    )


def _legend(call: RecordedCall) -> str:
    seen = (bool(call.turns), bool(call.barge_ins), bool(call.barge_ins), bool(call.trace.holes))
    keys = (key for key, is_seen in zip(_KEYS, seen, strict=True) if is_seen)
    legend = "".join(f'<span class="key"><i class="{kind}"></i>{text}</span>' for kind, text in keys)
    return f'{legend}<span class="readout" aria-live="polite"></span>'
