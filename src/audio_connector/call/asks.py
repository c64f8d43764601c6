# SPDX-License-Identifier: Apache-2.0
"""What the application asks of a call: plain values, in the order of asking, that could cross a network.

Plain bytes are an ask too, and the most frequent one: audio of the router's rate, written without a speech. A *lane*
is `playback.speech.PLAIN` or the number of a speech. A *token* is a number by which the asker knows the answer, a
`tells.Answered`, which comes exactly once. PCM is of any number of bytes; ``rate_hz`` is None for the router's rate.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Write(NamedTuple):
    """Audio that does not have to wait; with ``is_end`` the utterance ends with it."""

    lane: int
    pcm: bytes
    rate_hz: int | None
    is_end: bool


class StandInLine(NamedTuple):
    """Wait for room: True where a piece may be written, False where the utterance was cut.

    The asker alone can end the open speech ``behind``: `NO_ROOM` where it would have to end first.
    """

    lane: int
    token: int
    is_end: bool
    behind: int | None = None


class WriteGranted(NamedTuple):
    """A piece by who was granted one; with ``has_more`` another answer is awaited, and another piece follows it."""

    token: int
    pcm: bytes
    rate_hz: int | None
    has_more: bool


class Leave(NamedTuple):
    """Whoever waits for this token waits no more."""

    token: int


class BeginSpeech(NamedTuple):
    """An utterance with a lane of its own begins; a `tells.Finished` tells how it ends."""

    lane: int


class EndSpeech(NamedTuple):
    """It ends with what was asked to be written so far."""

    lane: int


class PauseSpeech(NamedTuple):
    """Hold a speech where it is heard; answered by the milliseconds of it that were heard, None where it is over."""

    lane: int
    token: int


class ResumeSpeech(NamedTuple):
    """It goes on from there."""

    lane: int


class AddBackground(NamedTuple):
    """A piece of what is played under all that is said, answered by True; with the last one it is played.

    ``volume`` is what it is multiplied by, ``duck`` what that is multiplied by while somebody speaks. Another
    ``number`` is another background, which takes the place of the one before.
    """

    number: int
    token: int
    pcm: bytes
    rate_hz: int
    volume: float
    duck: float
    is_last: bool


class SetBackground(NamedTuple):
    """How loud it is from now on."""

    number: int
    volume: float
    duck: float


class StopBackground(NamedTuple):
    """Fade it out; answered by True once nothing more of it is sent."""

    number: int
    token: int
    fade_s: float


class Flush(NamedTuple):
    """Cut all audio that was asked for so far; answered by a `Flushed`."""

    token: int


class WaitPlayed(NamedTuple):
    """Answered once all until now was heard or cut; what waits behind the open speech ``inside`` does not count.

    With ``to_end`` an open speech counts until it is over.
    """

    token: int
    inside: int | None = None
    to_end: bool = False


class SendText(NamedTuple):
    """A text, ahead of all audio that is queued; with the token of who stood in line for it."""

    text: str
    token: int | None


class StandInTextLine(NamedTuple):
    """Wait for room for a text: True."""

    token: int


class SetLead(NamedTuple):
    """How far ahead of the router's clock audio may be sent, in seconds."""

    lead_s: float


class Unread(NamedTuple):
    """So much audio was handed over and dropped, since an iterator was not read; ``is_first`` of an episode."""

    ms: float
    is_first: bool


class Want(NamedTuple):
    """What is taken, and how many further messages; once settled, what is not taken need not be kept."""

    audio: bool
    texts: bool
    credit: int
    is_settled: bool


class Close(NamedTuple):
    """Start the closing handshake."""

    code: int
    reason: str


TELL_S: Final = 0.5
"""Between two batches of a tape: what a recording is behind the call. Each is a wake-up, so not for every frame."""


class TapeOn(NamedTuple):
    """Keep what is heard, both ways, for ``keep_s``, and tell it as `call.tape` says, each ``tell_s``.

    With ``is_from_start`` the audio is in it that came before the application could ask for any.
    """

    token: int
    keep_s: float
    batches: int | None
    is_from_start: bool
    tell_s: float = TELL_S


class TapeMore(NamedTuple):
    """One more batch may be told."""

    token: int


class TakeTape(NamedTuple):
    """Tell what there is now; with ``is_last`` the tape ends with that."""

    token: int
    is_last: bool


class Traced(NamedTuple):
    """The trace that this application has of the call, a W3C ``traceparent``: whoever takes it over links to it."""

    traceparent: str


class Released(NamedTuple):
    """The answer to a `tells.Release`: all that was handed over has been handled, and nothing more is asked."""


class Judged(NamedTuple):
    """The answer to a `tells.Asked`: let in, with an identity; or not, with an HTTP status and why, for the log."""

    identity: Any
    status: int | None
    reason: str


Ask = (
    bytes | Write | StandInLine | WriteGranted | Leave | BeginSpeech | EndSpeech | Flush | WaitPlayed | SendText
    | StandInTextLine | SetLead | Want | Close | Traced | Released | Judged | TapeOn | TapeMore | TakeTape
    | PauseSpeech | ResumeSpeech | AddBackground | SetBackground | StopBackground | Unread
)  # fmt: skip
