# SPDX-License-Identifier: Apache-2.0
"""The kinds of router that public material describes, as values: what each does with what a server sends.

Three generations are mixed in public material (PROTOCOL 0). A server that is clean with all three profiles is
safe with any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from audio_connector.errors import UsageError
from audio_connector.wire.messages import ClearForm

LongMessages: TypeAlias = Literal["cut", "end"]
ShortMessages: TypeAlias = Literal["drop", "append", "end"]
Silence: TypeAlias = Literal["frames", "none"]
Close: TypeAlias = Literal["announce", "goodbye", "abrupt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a router behaves.

    Attributes:
        name: Its name.
        text: What it is, in a sentence.
        long_messages: A message longer than a frame: "cut" to its first frame, or the "end" of the call.
        short_messages: A shorter one: "drop" it, "append" its bytes to what came before, or the "end" of the
            call.
        max_buffer_frames: Frames that may wait to be played; what comes beyond is dropped.
        clear_forms: The clear commands that it obeys; none where it reads no text at all.
        echo_notify: Whether it answers notify when the audio before it was played.
        read_interval_ms: It reads one message per so many milliseconds; 0 reads whatever is there.
        silence: What it sends while nobody speaks: "frames" of zeros, or "none" at all.
        close: How it ends a call: "announce" says ``websocket:disconnected`` and closes with 1000; "goodbye"
            says it and drops the TCP connection, so that the server sees 1006; "abrupt" drops it without a
            word.
        sends_identity: Whether the upgrade has the three ``x-opentok-ws`` headers.
        upgrade_headers: Further headers of the upgrade.
    """

    name: str
    text: str
    long_messages: LongMessages = "cut"
    short_messages: ShortMessages = "drop"
    max_buffer_frames: int = 3000
    clear_forms: tuple[ClearForm, ...] = ("action", "event", "legacy")
    echo_notify: bool = False
    read_interval_ms: float = 0.0
    silence: Silence = "frames"
    close: Close = "announce"
    sends_identity: bool = True
    upgrade_headers: tuple[tuple[str, str], ...] = ()

    @property
    def reads_text(self) -> bool:
        """Whether it reads texts of the server."""
        return bool(self.clear_forms)


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                name="video",
                text="today's Video router: 60 s of buffer, every form of clear, no notify",
                max_buffer_frames=3000,  # 60 s (PROTOCOL 4.12)
            ),
            Profile(
                name="wsbridge",
                text="its public ancestor of 2022: reads one message per 10 ms, and no text at all",
                short_messages="append",  # PROTOCOL 4.7
                max_buffer_frames=1024,  # PROTOCOL 4.12
                clear_forms=(),  # PROTOCOL 3.4
                read_interval_ms=10.0,  # PROTOCOL 4.14
                silence="none",  # PROTOCOL 2.8
                close="goodbye",  # PROTOCOL 1.22
                sends_identity=False,  # PROTOCOL 1.9
                upgrade_headers=(("Sec-WebSocket-Protocol", "WSBRIDGE"),),  # PROTOCOL 1.8
            ),
            Profile(
                name="voice",
                text="the Voice API's router: a wrong frame size ends the call, notifies are answered",
                long_messages="end",  # PROTOCOL 4.8
                short_messages="end",
                max_buffer_frames=3072,  # PROTOCOL 4.12
                clear_forms=("action",),  # PROTOCOL 3.3
                echo_notify=True,  # PROTOCOL 3.6
                sends_identity=False,
            ),
        )
    }
)
"""Every profile by its name."""


def profile_named(name: str) -> Profile:
    """Return a profile.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in PROFILES:
        raise UsageError(f"profile is {name!r}; expected one of {', '.join(map(repr, PROFILES))}")
    return PROFILES[name]
