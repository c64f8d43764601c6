# SPDX-License-Identifier: Apache-2.0
"""What can be configured, validated, with units in the names; and the documented value types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from audio_connector.errors import AudioConnectorConfigError, MessageError
from audio_connector.intake.handlers import check_handler
from audio_connector.validation import FrozenValues, Values
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.codec import CLEAR_FORMS, encode_json

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


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
        clear_commands: JSON texts sent on a flush. Three forms are in use (PROTOCOL 3.3); unknown ones are
            harmless, so the default sends the two that Vonage's own code sends.
    """

    lead_ms: Annotated[float, Field(ge=40, le=60_000)] = 200
    prime_ms: Annotated[float, Field(ge=0, le=10_000)] = 100
    pause_ms: Annotated[float, Field(ge=20, le=60_000)] = 400
    max_buffer_s: Annotated[float, Field(ge=0.1, le=3600)] = 30
    clear_commands: tuple[str, ...] = (CLEAR_FORMS["action"], CLEAR_FORMS["event"])

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
    """

    max_buffer_ms: Annotated[float, Field(ge=20, le=600_000)] = 10_000
    max_texts: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    window_messages: Annotated[int, Field(ge=2, le=10_000)] = 24


class Limits(FrozenValues):
    """Bounds of what a peer may send.

    Attributes:
        max_message_bytes: A longer message is closed with 1009.
    """

    max_message_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 1 << 20


class Timeouts(FrozenValues):
    """Deadlines, in seconds.

    Attributes:
        handshake_s: From the connection to the whole upgrade request; the router gives 6 s (PROTOCOL 1.1).
        first_message_s: Playing waits at most this long for the message that says the sample rate.
        ping_interval_s: Between pings; None sends none.
        ping_timeout_s: A router that sends nothing for this long after a ping is gone; audio that it still holds
            is allowed for (PROTOCOL 1.25). None never gives up.
        stall_s: A router that does not read for this long is given up.
        close_s: For the answer to a close frame.
        handler_s: After the end of a connection, how long one handler call may still take before it is cancelled.
        stop_s: For everything that ``stop`` does; on_stop may take as long again.
    """

    handshake_s: Seconds = 5.0
    first_message_s: Seconds = 0.25
    ping_interval_s: Seconds | None = 20.0
    ping_timeout_s: Seconds | None = 20.0
    stall_s: Seconds = 10.0
    close_s: Seconds = 2.0
    handler_s: Seconds = 5.0
    stop_s: Seconds = 1.8


Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class AudioConnectorServerConfig(Values):
    """The configuration of a server.

    Attributes:
        host: Name or address to listen on: "localhost", "0.0.0.0", "::" for every address.
        port: TCP port, 0 to 65535; 0 takes a free one, which `AudioConnectorServerHandle.port` tells.
        ssl: A server-side context with its certificate loaded, for ``wss``; None for ``ws``.
        on_start: Called without arguments once the server listens. A function or a coroutine function, as all.
        on_stop: Called without arguments once it has stopped.
        on_connect: Called with each new `AudioConnectorConnection`.
        audio_transport: How audio crosses the wire: None or "binary", "json", an `AudioTransport`, or a mapping as
            in the REST call's ``audioTransport``. It has to be the one of the REST call.
        playback: See `Playback`.
        intake: See `Intake`.
        limits: See `Limits`.
        timeouts: See `Timeouts`.

    Raises:
        AudioConnectorConfigError: A value of the wrong type or range; the text names field, value and what is
            allowed. It is a ``ValueError`` too.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    host: Host
    port: Annotated[int, Field(ge=0, le=65535)]
    ssl: SSLContext | None = None
    on_start: Callable[..., Any] | None = None
    on_stop: Callable[..., Any] | None = None
    on_connect: Callable[..., Any] | None = None
    audio_transport: AudioTransport | Literal["binary", "json"] | Mapping[str, Any] | None = AudioTransport()
    playback: Playback = Playback()
    intake: Intake = Intake()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_bool(cls, port: object) -> object:
        if isinstance(port, bool):
            raise ValueError("expected a whole number from 0 to 65535")
        return port

    @field_validator("audio_transport", mode="before")
    @classmethod
    def _is_audio_transport(cls, value: object) -> AudioTransport:
        return AudioTransport.of(value)

    @field_validator("on_start", "on_stop")
    @classmethod
    def _takes_nothing(
        cls, handler: Callable[..., Any] | None, info: ValidationInfo
    ) -> Callable[..., Any] | None:
        return check_handler(info.field_name or "handler", handler, None)

    @field_validator("on_connect")
    @classmethod
    def _takes_a_connection(cls, handler: Callable[..., Any] | None) -> Callable[..., Any] | None:
        return check_handler("on_connect", handler, "connection")


class AudioConnectorConnectionData(BaseModel):
    """What is known of a connection, under the documented names.

    Attributes:
        sessionId: The session, from ``x-opentok-ws-sessionid`` or the first message.
        conferenceId: The conference, likewise.
        uri: Path and query of the request.
        connectionId: The connector's connection in the session, likewise.
        customHeaders: Every header of the upgrade, names in lower case, repeated values joined with ", ".
        id: Never empty: the bare ``connectionId`` header, the ``x-opentok`` one, or else made here.
    """

    sessionId: str | None = None  # noqa: N815 - the documented name
    conferenceId: str | None = None  # noqa: N815
    uri: str | None = None
    connectionId: str | None = None  # noqa: N815
    customHeaders: dict[str, str] | None = None  # noqa: N815
    id: str | None = None


def config_from(values: object) -> AudioConnectorServerConfig:
    """Take a configuration, or a mapping of its fields.

    Raises:
        AudioConnectorConfigError: It is neither, or a value is wrong.
    """
    if isinstance(values, AudioConnectorServerConfig):
        # Fields may have been assigned since; check the values as they are now.
        return AudioConnectorServerConfig(
            **{name: getattr(values, name) for name in type(values).model_fields}
        )
    if isinstance(values, dict) or hasattr(values, "keys"):
        fields = dict(values)  # type: ignore[call-overload]  # anything with keys() is a mapping to dict
        if not all(isinstance(name, str) for name in fields):
            raise AudioConnectorConfigError(f"got the field names {list(fields)!r}; expected texts")
        return AudioConnectorServerConfig(**fields)
    raise AudioConnectorConfigError(
        f"got {type(values).__name__} {values!r}; expected an AudioConnectorServerConfig or a mapping of its fields"
    )
