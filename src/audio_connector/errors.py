# SPDX-License-Identifier: Apache-2.0
"""Every error of the library, in one tree, split first by whose fault it is.

::

    VideoError                            everything below; the vendor's root name
    ├── UsageError (ValueError)           the call was wrong: fix the program
    │   ├── AudioConnectorConfigError     a configuration value
    │   ├── AudioFormatError              a sample rate or content type
    │   ├── AudioDataError                audio that is not 16-bit PCM or cannot become it
    │   ├── AudioFileError                a file that cannot be read as audio
    │   ├── MessageError                  a text that is not valid JSON
    │   └── HandlerError (TypeError)      a handler that cannot be called
    ├── AudioConnectorStartServerError    the server could not start: address, port, certificate
    ├── DialError                         a WebSocket server could not be reached (simulator)
    ├── ConnectionClosed (ValueError)     the connection is over; ``code``, ``reason``
    ├── SpeechInterrupted                 this utterance is over: it was flushed, or the call ended
    ├── ProtocolError                     the router sent what the protocol does not allow
    ├── LimitError                        a bound was reached and something was given up
    │   ├── IntakeOverflow                the application was slower than the audio; oldest audio dropped
    │   └── PlaybackOverflow              audio would have been heard too late; oldest audio dropped
    └── DeadlineError (TimeoutError)      a wait ran out
        └── RouterStalled                 the router stopped reading

Messages say what was got, what was expected and what to do. Texts that are sent to a peer are fixed
phrases of this library and never come from an exception.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple


class VideoError(Exception):
    """The root of all errors of this library."""


class Fault(NamedTuple):
    """One thing that is wrong with values given as data.

    Attributes:
        loc: The way to it: names of fields, and numbers of items counted from 0.
        text: What was got and what was expected; names the last field of ``loc`` itself.
    """

    loc: tuple[str | int, ...]
    text: str


class UsageError(VideoError, ValueError):
    """A call with wrong arguments; nothing was changed by it.

    Attributes:
        faults: For values given as data, such as a configuration or a scenario, each thing that is wrong and its
            place; else empty. The text has all of them.
    """

    faults: tuple[Fault, ...] = ()


class AudioConnectorConfigError(UsageError):
    """A configuration value of the wrong type or range; the text names field, value and what is allowed."""


class AudioFormatError(UsageError):
    """A sample rate or content type that the protocol does not have."""


class AudioDataError(UsageError):
    """Audio that is not 16-bit PCM and cannot be made so without guessing."""


class AudioFileError(UsageError):
    """A file that cannot be read as audio."""


class MessageError(UsageError):
    """A text message that is not valid JSON."""


class HandlerError(UsageError, TypeError):
    """A handler that is not callable, or that cannot take its argument."""


class AudioConnectorStartServerError(VideoError):
    """The server could not start; the text says which address or certificate and what to do."""


class DialError(VideoError):
    """A WebSocket server could not be reached.

    Attributes:
        status: The HTTP status it answered with instead of 101, or None where there was no answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionClosed(VideoError, ValueError):
    """The connection is closed, and what was asked needs an open one.

    A ``ValueError`` as well, because programs written for the vendor's SDK expect one of every failed send.

    Attributes:
        code: The WebSocket close code; 1006 where the connection ended without a close frame.
        reason: The text that came with it, possibly empty.
    """

    def __init__(self, message: str, *, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        # Whole where it crosses to another process, as from a pool: the default way knows no keyword.
        return functools.partial(type(self), code=self.code, reason=self.reason), self.args


class SpeechInterrupted(VideoError):
    """The utterance was ended by a flush or by the end of the connection; later writes are refused.

    Attributes:
        played_ms: How much of the utterance had been heard.
        discarded_ms: How much of what was written was never heard.
    """

    def __init__(self, message: str, *, played_ms: float = 0.0, discarded_ms: float = 0.0) -> None:
        super().__init__(message)
        self.played_ms = played_ms
        self.discarded_ms = discarded_ms


class ProtocolError(VideoError):
    """The router sent something that the protocol does not allow."""


class LimitError(VideoError):
    """A bound was reached, and something had to be given up to keep it."""


class IntakeOverflow(LimitError):
    """The application took audio more slowly than it came, so the oldest was dropped.

    Reported once per episode, when the first frame is dropped.
    """


class PlaybackOverflow(LimitError):
    """What was written would have been heard later than ``Playback.max_delay_ms``, so the oldest was left out.

    Reported once per call.
    """


class DeadlineError(VideoError, TimeoutError):
    """Something did not happen in the time that it was given."""


class RouterStalled(DeadlineError):
    """The router stopped reading for longer than ``Timeouts.stall_s``; the connection was ended."""
