# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from hypothesis import strategies as st

from audio_connector.audio.format import SUPPORTED_RATES_HZ, AudioFormat
from audio_connector.wire.messages import (
    ClearCommand,
    Cleared,
    ClearForm,
    Command,
    Connected,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    Notified,
    NotifyCommand,
    OtherCommand,
)

ROOT = Path(__file__).parents[3]
DEEP = 100_000  # brackets: far beyond any recursion limit

# --- What texts, values and messages there are ----------------------------------------------------

texts = st.text(st.characters(exclude_categories=()))  # lone surrogates included
finite = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, finite, max_size=5)
known_names = st.sampled_from(
    [
        "websocket:connected",
        "websocket:media:update",
        "websocket:disconnected",
        "websocket:cleared",
        "websocket:notify",
        "websocket:dtmf",
        "clearAudio",
        "clear",
        "notify",
    ]
)
known_keys = st.sampled_from(
    ["content-type", "method", "active", "payload", "digit", "duration", "dtmf", "action"]
)
content_types = st.sampled_from(SUPPORTED_RATES_HZ).map(lambda rate_hz: AudioFormat(rate_hz).content_type)
near_misses = st.builds(
    lambda name, rest: json.dumps({"event": name, **rest}),
    known_names | finite,
    st.dictionaries(known_keys, finite | content_types | st.integers(-9, 999), max_size=5),
)
headers = objects.map(lambda values: {k: v for k, v in values.items() if k not in ("event", "content-type")})
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        lambda content_type, values: Connected(
            format=AudioFormat.from_content_type(content_type), content_type=content_type, headers=values
        ),
        content_types,
        headers,
    ),
    st.builds(Connected, format=st.none(), content_type=st.none() | st.just("audio/opus"), headers=headers),
    st.builds(MediaUpdate, st.booleans()),
    st.just(Disconnected()),
    st.just(Cleared()),
    st.builds(Notified, finite),
    st.builds(Dtmf, texts.filter(bool), st.none() | st.integers(min_value=0)),
)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(ClearCommand, st.sampled_from(get_args(ClearForm))),
    st.builds(NotifyCommand, finite),
    st.just(OtherCommand('{"event":"websocket:connected"}')),
)
