# SPDX-License-Identifier: Apache-2.0
"""What can be configured, validated, with units in the names; and the documented value types."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from ssl import SSLContext
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from audio_connector.call.settings import Intake, Limits, Playback, Timeouts
from audio_connector.server.authentication import Verifier
from audio_connector.validation import FrozenValues, Values
from audio_connector.validation.fields import Host, Port
from audio_connector.validation.handlers import Handler, check_handler, takes
from audio_connector.wire.addresses import why_not_taken
from audio_connector.wire.audio_transport import AudioTransport


class Tls(FrozenValues):
    """TLS from files, as PEM: 1.2 at least; what changes in them is used for new connections.

    Attributes:
        certfile: The certificate of the server, and those that lead to the authority.
        keyfile: Its key, without a passphrase; None where it is in ``certfile``.
        client_ca: Authorities: whoever dials needs a certificate of theirs. None asks for none.
    """

    certfile: Path
    keyfile: Path | None = None
    client_ca: Path | None = None


class Monitoring(FrozenValues):
    """What a server tells of itself over HTTP, and where: pages for load balancers, and for who collects figures.

    Attributes:
        health: Where ``/healthz`` and ``/readyz`` are: on the "port" that routers dial, on the "admin" port only, or
            "off".
        metrics: Where ``/metrics`` is, likewise: figures for Prometheus (extra ``metrics``). They name no caller.
        admin_host: The name or address of the admin port. It has no authentication: keep it from the internet.
        admin_port: A port of its own for all of them, and for ``/calls``, which `audio-connector top` shows; 0 takes
            a free one. None for no such port.
        traces: Whether calls, speeches and barge-ins become spans of OpenTelemetry (extra ``otel``), by the tracer
            provider that the application has set up.
    """

    health: Literal["port", "admin", "off"] = "port"
    metrics: Literal["port", "admin", "off"] = "port"
    admin_host: Host = "127.0.0.1"
    admin_port: Port | None = None
    traces: bool = False

    @model_validator(mode="after")
    def _has_a_port(self) -> Monitoring:
        for name in ("health", "metrics"):
            if getattr(self, name) == "admin" and self.admin_port is None:
                raise ValueError(
                    f"got {name}='admin' without an admin_port; expected a port, 9090 for example"
                )
        return self


class FlightRecorder(FrozenValues):
    """Keeps the last seconds of each call, both ways, and writes them to a file where something goes wrong.

    Each file is a stereo WAV, as of a `Recorder`, with what happened; ``audio-connector report`` shows it.

    Attributes:
        folder: Where to; it is made where it is not there.
        keep_s: How many seconds. At 16 kHz each is 64 kB of memory for each call.
        on: At what a file is written: an "underrun" of ours, a "drop" of audio that the application was too slow for,
            an "abnormal_close" (another code than 1000, 1001 or none), a "handler_error". None of these:
            only `AudioConnectorConnection.dump` writes.
        max_files: So many of them are kept in the folder, the newest.
        min_interval_s: Between two of a server that nobody has asked for; what happens meanwhile is counted.
    """

    folder: Path
    keep_s: Annotated[float, Field(ge=1, le=60)] = 10
    on: tuple[Literal["underrun", "drop", "abnormal_close", "handler_error"], ...] = (
        "underrun",
        "drop",
        "abnormal_close",
        "handler_error",
    )
    max_files: Annotated[int, Field(ge=1, le=100_000)] = 100
    min_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 10


class AudioConnectorServerConfig(Values):
    """The configuration of a server.

    Attributes:
        host: Name or address to listen on: "localhost", "0.0.0.0", "::" or "" for every address.
        port: TCP port, 0 to 65535; 0 takes a free one, which `AudioConnectorServerHandle.port` tells.
        ssl: A server-side context with its certificate loaded, for ``wss``; None for ``ws``.
        tls: The same from files, see `Tls`; one of both at most.
        on_start: Called without arguments once the server listens. A function or a coroutine function, as all.
        on_stop: Called without arguments once it has stopped.
        on_connect: Called with each new `AudioConnectorConnection`.
        on_drain: Called when a drain begins, with each open connection, or once where it takes no argument.
        on_resume: Called in place of on_connect with a connection that another worker had before, see
            `AudioConnectorConnection.is_resumed`; None takes on_connect. Also called each time that the router has
            dialled again, see `Timeouts.resume_s`; None calls on_connect then, unless that still runs and goes on.
        authenticate: Who may dial: a value of `audio_connector.auth`, or a function, async or not, that is given an
            `UpgradeRequest`. What it returns is `AudioConnectorConnection.identity`, as JSON can hold it; it raises
            `Rejected`, or returns None or False, for who is not let in. None lets in whoever can reach the port.
        audio_transport: How audio crosses the wire: None or "binary", "json", an `AudioTransport`, or a mapping as
            in the REST call's ``audioTransport``. It has to be the one of the REST call.
        playback: See `Playback`.
        intake: See `Intake`.
        limits: See `Limits`.
        timeouts: See `Timeouts`.
        monitoring: See `Monitoring`.
        flight_recorder: See `FlightRecorder`; None keeps nothing.
        isolation: Where the sockets and the playback run: in a "thread" of this process, or in a "process" of their
            own, which nothing that the application does makes stutter. That one takes ``tls`` in place of ``ssl``.
        sockets: Listening TCP sockets that are taken in place of ``host`` and ``port``: those of systemd, or of a
            parent. They stay the caller's: what listens is a duplicate, and they listen on when the server has
            stopped. They are made non-blocking, and listen from the start of the server on where they did not.

    Raises:
        AudioConnectorConfigError: A value of the wrong type or range; the text names field, value and what is
            allowed. It is a ``ValueError`` too.
    """

    host: Host
    port: Port
    ssl: SSLContext | None = None
    tls: Tls | None = None
    on_start: Handler | None = None
    on_stop: Handler | None = None
    on_connect: Handler | None = None
    on_drain: Handler | None = None
    on_resume: Handler | None = None
    authenticate: Verifier | Handler | None = None
    audio_transport: AudioTransport | Literal["binary", "json"] | Mapping[str, Any] | None = Field(
        default_factory=AudioTransport
    )
    playback: Playback = Field(default_factory=Playback)
    intake: Intake = Field(default_factory=Intake)
    limits: Limits = Field(default_factory=Limits)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    flight_recorder: FlightRecorder | None = None
    isolation: Literal["thread", "process"] = "thread"
    sockets: tuple[socket.socket, ...] = ()

    @field_validator("authenticate", mode="plain")
    @classmethod
    def _can_decide(cls, authenticate: Any) -> Verifier | Handler | None:  # noqa: ANN401 - whatever was given
        if isinstance(authenticate, Verifier):
            return authenticate
        return check_handler("authenticate", authenticate, "upgrade request")

    @field_validator("audio_transport", mode="before")
    @classmethod
    def _is_audio_transport(cls, value: object) -> AudioTransport:
        return AudioTransport.of(value)

    @model_validator(mode="before")
    @classmethod
    def _is_where_its_sockets_are(cls, values: object) -> object:
        """Where it has sockets, host and port are those of the first, whatever was said of them."""
        sockets = values.get("sockets") if isinstance(values, dict) else None
        if not isinstance(values, dict) or not isinstance(sockets, list | tuple) or not sockets:
            return values
        first = sockets[0]
        if not isinstance(first, socket.socket) or why_not_taken(first) is not None:
            return {**values, "host": "", "port": 0}  # the sockets are what is wrong
        host, port = first.getsockname()[:2]
        return {**values, "host": host, "port": port}

    @field_validator("sockets")
    @classmethod
    def _can_be_taken(cls, sockets: tuple[socket.socket, ...]) -> tuple[socket.socket, ...]:
        for sock in sockets:
            if (why := why_not_taken(sock)) is not None:
                raise ValueError(f"got {why}; expected TCP sockets that listen, or are bound")
        return sockets

    @property
    def is_secure(self) -> bool:
        """Whether this server terminates TLS."""
        return self.ssl is not None or self.tls is not None

    @model_validator(mode="after")
    def _has_one_tls(self) -> AudioConnectorServerConfig:
        if self.ssl is not None and self.tls is not None:
            raise ValueError("got both ssl and tls; expected one of them, a context or files")
        if self.ssl is not None and self.isolation == "process":
            raise ValueError(
                "got an ssl context, which cannot cross to another process, and isolation='process'; give the files "
                "with tls=Tls(certfile=..., keyfile=...), or take isolation='thread'"
            )
        return self

    @field_validator("on_start", "on_stop", "on_connect", "on_drain", "on_resume")
    @classmethod
    def _can_be_called(cls, handler: Handler | None, info: ValidationInfo) -> Handler | None:
        name = str(info.field_name)
        takes_one = name in ("on_connect", "on_resume") or (
            name == "on_drain" and not (callable(handler) and takes(handler, 0))
        )
        return check_handler(name, handler, "connection" if takes_one else None)


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

    model_config = ConfigDict(defer_build=True)

    sessionId: str | None = None  # noqa: N815 - the documented name
    conferenceId: str | None = None  # noqa: N815
    uri: str | None = None
    connectionId: str | None = None  # noqa: N815
    customHeaders: dict[str, str] | None = None  # noqa: N815
    id: str | None = None
