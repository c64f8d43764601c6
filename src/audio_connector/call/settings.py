# SPDX-License-Identifier: Apache-2.0
"""What can be set about a call, validated, with units in the names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator, model_validator

from audio_connector.errors import MessageError
from audio_connector.validation import FrozenValues
from audio_connector.wire.ages import Ages
from audio_connector.wire.codec import CLEAR_FORMS, encode_json
from audio_connector.wire.forwarded import Proxies
from audio_connector.wire.liveness import Liveness

if TYPE_CHECKING:
    from audio_connector.playback.queue import PlaybackQueue
    from audio_connector.playback.schedule import Schedule

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
LeadMs = Annotated[float, Field(ge=40, le=60_000)]
MaxDelayMs = Annotated[float, Field(ge=100, le=60_000)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
LagMs = Annotated[float, Field(ge=20, le=60_000)]
MemoryMb = Annotated[float, Field(ge=1, le=1 << 24)]
MOST_BYTES = 1 << 30
"""Of a message without a limit: what is longer is none that anybody sends."""

MaxMessageBytes = Annotated[int, Field(ge=1024, le=MOST_BYTES)]
MaxTextBytes = Annotated[int, Field(ge=1024, le=MOST_BYTES)]


class Playback(FrozenValues):
    """How audio is played into the session.

    Attributes:
        lead_ms: How far ahead of real time audio is sent, in milliseconds: what the router holds. More rides out
            longer stalls of network and machine; less leaves less to be heard after a flush at a router that
            ignores clear. 40 at least. Measured choice: docs/design/playback.md.
        prime_ms: How much audio is gathered before playing starts, or starts again after an underrun. It is the
            delay of an echo, and the jitter that a just-in-time source may have. No delay for a source that is
            faster than real time. 0 for none.
        pause_ms: In audio sent without saying where an utterance ends, a gap up to this long counts as an
            underrun, and a longer one as a pause of the speaker.
        max_buffer_s: Sending waits while more than this is queued.
        keeps_on_resume: Whether what waits to be sent is played once a router that was lost has dialled again
            (`Timeouts.resume_s`); else it is dropped then, as by a flush, what was written meanwhile too.
        max_delay_ms: Plain writes that would be heard later than this lose their oldest audio, blended at the cut,
            until the delay is half of it: for a relay, which otherwise stays late for ever once it was stopped. None
            plays everything.
        fade_ms: Where `Speech.pause` cuts, what would have been heard next dies away within so long, in a frame that
            follows the clear command; and what goes on comes up within so long. 10 ms are too short to be heard as
            a fade and long enough not to click. 0 for a plain cut, 20 at most.
        fade_on_flush: Whether a flush ends with such a frame too. A router that ignores clear then plays it behind
            all the rest; the vendor's programs send nothing behind a clear, and so it is not done unless asked for.
        clear_commands: JSON texts sent on a flush. Three forms are in use (PROTOCOL 3.3); unknown ones are
            harmless, so the default sends the two that Vonage's own code sends. Without any, a pause and a flush let
            be heard what the router has, and what follows is known to be heard behind that.
    """

    lead_ms: LeadMs = 200
    prime_ms: Annotated[float, Field(ge=0, le=10_000)] = 100
    pause_ms: Annotated[float, Field(ge=20, le=60_000)] = 400
    max_buffer_s: Annotated[float, Field(ge=0.1, le=3600)] = 30
    keeps_on_resume: bool = True
    max_delay_ms: MaxDelayMs | None = None
    fade_ms: Annotated[float, Field(ge=0, le=20)] = 10
    fade_on_flush: bool = False
    clear_commands: tuple[str, ...] = (CLEAR_FORMS["action"], CLEAR_FORMS["event"])

    def machines(self) -> tuple[Schedule, PlaybackQueue]:
        """What plays a call by these, and what waits for it; the bound of that is set with the format."""
        from audio_connector.playback.queue import PlaybackQueue  # noqa: PLC0415 - not at the import of the package
        from audio_connector.playback.schedule import Schedule  # noqa: PLC0415

        schedule = Schedule(
            lead_s=self.lead_ms / 1000, prime_s=self.prime_ms / 1000, pause_s=self.pause_ms / 1000
        )
        max_delay_s = None if self.max_delay_ms is None else self.max_delay_ms / 1000
        fade_s = self.fade_ms / 1000
        queue = PlaybackQueue(
            schedule,
            max_bytes=0,
            max_delay_s=max_delay_s,
            fade_s=fade_s,
            flush_fade_s=fade_s if self.fade_on_flush else 0.0,
            can_clear=bool(self.clear_commands),
        )
        return schedule, queue

    @model_validator(mode="after")
    def _can_be_kept(self) -> Playback:
        if self.max_delay_ms is not None and self.max_delay_ms <= self.lead_ms:
            raise ValueError(
                f"max_delay_ms={self.max_delay_ms:g}: expected more than lead_ms={self.lead_ms:g}, which is how much "
                "the router holds already"
            )
        return self

    @field_validator("clear_commands")
    @classmethod
    def _is_json(cls, commands: tuple[str, ...]) -> tuple[str, ...]:
        for command in commands:
            try:
                encode_json(command)
            except MessageError as error:
                raise ValueError(f"{command!r} is not valid JSON: {error.__cause__ or error}") from error
        return commands


class Intake(FrozenValues):
    """How incoming messages wait for the application.

    Attributes:
        max_buffer_ms: Audio kept while the application is slow or not ready; beyond it the oldest is dropped.
        max_texts: Text messages kept; beyond it the connection is closed with 1008, since none that somebody wants
            is dropped. Those that nobody wants end no call.
        window_messages: Messages handed over ahead of what was handled.
        replay_ms: Where another worker takes the call of one that has died, so much of the audio that came last is
            handed over again, and at least what was not handled.
    """

    max_buffer_ms: Annotated[float, Field(ge=20, le=600_000)] = 10_000
    max_texts: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    window_messages: Annotated[int, Field(ge=2, le=10_000)] = 24
    replay_ms: Annotated[float, Field(ge=0, le=60_000)] = 2000


class Limits(FrozenValues):
    """Bounds of what a peer may send, and of how many come; docs/limits.md has the reasons.

    None is without; of the sizes it is 1 GiB.

    Attributes:
        max_message_bytes: A longer message is closed with 1009. The router sends 20 ms in each (PROTOCOL 4.2, 4.6),
            960 bytes at most; the default has room for more than a second, for programs that stand in for it.
        max_text_bytes: The same of a text, where that is less. What is known of the protocol stays below 1 KiB
            (PROTOCOL 2.4, 2.10), and 20 ms of audio in JSON below 2 KiB; a text is decoded in one go, which takes
            less than a millisecond for the default.
        max_connections: Open at a time; more get 503. Of each I/O process, where there are several.
        max_connections_per_address: Of one address, or /64 of IPv6; more get 503. Half of all, so that no single peer
            can have them.
        max_connections_per_session: Of one session, by the header ``x-opentok-ws-sessionid``; more get 503.
        upgrades_per_second_per_address: So many at once, and then a second; more get 429.
        max_loop_lag_ms: While the I/O loop is that late, new upgrades get 503 and calls in progress go on. A call
            stutters once its ``Playback.lead_ms`` is used up.
        max_memory_mb: While the process that the sockets are in has more memory (MiB), new upgrades get 503. In a
            "thread" that is the application's too, hence no default.
        trusted_proxies: Addresses and networks of proxies, such as ("10.0.0.0/8",), or a text with commas: of
            connections from there the address is the one that they say in ``Forwarded`` or ``X-Forwarded-For``, for
            these limits, the log and ``remote_address``.
    """

    max_message_bytes: MaxMessageBytes = 1 << 16
    max_text_bytes: MaxTextBytes = 1 << 14
    max_connections: Count | None = 2000
    max_connections_per_address: Count | None = 1000
    max_connections_per_session: Count | None = None
    upgrades_per_second_per_address: Rate | None = 200.0
    max_loop_lag_ms: LagMs | None = 500.0
    max_memory_mb: MemoryMb | None = None
    trusted_proxies: tuple[str, ...] = ()

    @field_validator("max_message_bytes", "max_text_bytes", mode="before")
    @classmethod
    def _is_without(cls, value: object) -> object:
        return MOST_BYTES if value is None else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _is_split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        Proxies(networks)
        return networks


class Timeouts(FrozenValues):
    """Deadlines, in seconds.

    Attributes:
        handshake_s: From the connection to the whole upgrade request; the router gives 6 s (PROTOCOL 1.1).
        first_message_s: Playing waits at most this long for the message, or the audio, that says the sample rate.
            Silence for so long is harmless; the wrong rate is not (PROTOCOL 4.8).
        no_message_s: A peer that has sent no message at all for so long is closed with 1008: every router sends one
            at once. None waits for ever.
        idle_s: A peer that has sent no message for so long is closed with 1001. None waits for ever, since nothing
            comes while a stream is muted (PROTOCOL 2.7).
        session_s: A call is closed with 1001 after so long, whatever is being said. None for any length.
        ping_interval_s: Between pings; None sends none.
        ping_timeout_s: A router that sends nothing for this long after a ping is gone; audio that it still holds
            is allowed for (PROTOCOL 1.25). None never gives up.
        stall_s: A router that does not read for this long is given up.
        authenticate_s: For ``authenticate``, where that is a function of the application; an upgrade that it has not
            decided on by then gets 503. The router gives 6 s for everything (PROTOCOL 1.1).
        resume_s: A call whose connection broke off, without a close frame or a goodbye, goes on where the router
            dials again within this, with the same ids of session and connection in its headers. Where it dials sooner
            than we notice that, the old socket is dropped at once; and a router that is given up by
            ``ping_timeout_s`` or ``stall_s`` may dial again as well. None: each connection is a call of its own.
        close_s: For the answer to a close frame.
        handler_s: After the end of a connection, how long one handler call may still take before it is cancelled.
        drain_s: For every call to come to its end, when a signal drains what `run` serves.
        stop_s: For everything that ``stop`` does; on_stop may take as long again.
    """

    handshake_s: Seconds = 5.0
    first_message_s: Seconds = 1.0
    no_message_s: Seconds | None = 30.0
    idle_s: Seconds | None = None
    session_s: Seconds | None = None
    ping_interval_s: Seconds | None = 20.0
    ping_timeout_s: Seconds | None = 20.0
    stall_s: Seconds = 10.0
    authenticate_s: Seconds = 3.0
    resume_s: Seconds | None = None
    close_s: Seconds = 2.0
    handler_s: Seconds = 5.0
    drain_s: Seconds = 30.0
    stop_s: Seconds = 1.8

    def liveness(self) -> Liveness:
        """Make what watches a router by these."""
        ages = Ages(no_message_s=self.no_message_s, idle_s=self.idle_s, session_s=self.session_s)
        return Liveness(
            ping_interval_s=self.ping_interval_s,
            ping_timeout_s=self.ping_timeout_s,
            stall_s=self.stall_s,
            ages=ages,
        )
