# SPDX-License-Identifier: Apache-2.0
"""What the application is told of a call that does not go as it should: errors of `audio_connector.errors`."""

from __future__ import annotations

from audio_connector.errors import DeadlineError, IntakeOverflow, LimitError, ProtocolError, RouterStalled
from audio_connector.wire.closing import TOO_BIG
from audio_connector.wire.quoting import quoted


def overflow(max_buffer_ms: float) -> IntakeOverflow:
    """Audio is being dropped."""
    return IntakeOverflow(
        f"more than {max_buffer_ms:g} ms of incoming audio waited for the application, so the oldest is being "
        "dropped: make the handlers faster, or raise Intake.max_buffer_ms. statistics() counts the rest"
    )


def too_many_texts(count: int, size_bytes: int, max_texts: int) -> LimitError:
    """Texts were not taken."""
    is_many = count >= max_texts
    return LimitError(
        f"{count} text messages{'' if is_many else f' of {size_bytes} bytes'} were not taken by the application, so "
        "the connection was closed with 1008: return sooner from on_message or on_event"
        f"{', or raise Intake.max_texts' if is_many else ''}"
    )


def silent(silent_s: float, *, may_resume: bool) -> DeadlineError:
    """The router is gone."""
    what = "dropped; it may dial again" if may_resume else "closed with 1011"
    return DeadlineError(
        f"the router answered no ping and sent nothing for {silent_s:.1f} s; the connection was {what}. "
        "Timeouts.ping_timeout_s sets the limit"
    )


def stalled(stall_s: float, queued_ms: float, *, may_resume: bool) -> RouterStalled:
    """The router does not read."""
    what = "dropped; it may dial again" if may_resume else "ended"
    return RouterStalled(
        f"the router read nothing for {stall_s:g} s while {queued_ms:.0f} ms of audio waited, so the connection was "
        f"{what}. Timeouts.stall_s sets the limit"
    )


def over_limit(code: int, reason: str) -> LimitError:
    """The socket was closed because the router sent more than it may."""
    advice = (
        "Limits.max_message_bytes sets the limit, and for texts Limits.max_text_bytes"
        if code == TOO_BIG
        else "a router has no reason for that; what sent it is none"
    )
    return LimitError(
        f"the router sent too much ({reason}), so the connection was closed with {code}. {advice}"
    )


def no_pcm(content_type: str) -> ProtocolError:
    """The first message says that the audio is something else than mono PCM."""
    return ProtocolError(
        f"the first message says content-type {quoted(content_type)}; expected audio/l16 with one channel. What "
        "follows would be played as noise, so the connection was closed with 1003"
    )


def too_old(name: str, seconds: float) -> tuple[int, str, DeadlineError]:
    """A call has met one of the bounds of `wire.ages`: how it is closed, and what the application is told."""
    code, reason, what = {
        "no_message_s": (1008, "no message came", "the peer sent no message at all"),
        "idle_s": (1001, "no message came for long", "the peer sent no message"),
        "session_s": (1001, "session length", "the call has gone on"),
    }[name]
    text = (
        f"{what} for {seconds:g} s, so the connection was closed with {code}. Timeouts.{name} sets the limit"
    )
    return code, reason, DeadlineError(text)


def unknown_format(content_type: str) -> ProtocolError:
    """The first message says another format than the protocol has."""
    return ProtocolError(
        f"the first message says content-type {quoted(content_type)}; expected audio/l16 with rate 8000, 16000 or "
        "24000. The size of its audio messages will tell, or else it is taken for 16000 Hz"
    )
