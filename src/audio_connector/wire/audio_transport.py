# SPDX-License-Identifier: Apache-2.0
"""How audio crosses the wire, as the REST call says it: in binary messages, or in JSON (PROTOCOL 4b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from audio_connector.errors import MessageError
from audio_connector.validation import FrozenValues
from audio_connector.wire.codec import encode_json

EVENT_PREFIX = "websocket:"
"""What the names of the router's events begin with; audio has no such name (PROTOCOL 4.35)."""

FieldName = Annotated[str, Field(min_length=1)]


class AudioTransport(FrozenValues):
    """How audio crosses the wire; the same names as in ``audioTransport`` of the REST call (PROTOCOL 4.30).

    The names are those that the router sees, as the documentation has them (PROTOCOL 4.32):

        AudioTransport(transport="json", audio_field="payload", static_fields={"kind": "audio"})

    Attributes:
        transport: "binary", one frame in each binary message; or "json", one in each text message.
        encoding: Of the audio in JSON; there is "base64" only.
        audio_field: The key of the audio that the router sends. Not "event", which marks what is no audio.
        receive_audio_field: The key of the audio that the router receives; None means the same.
        static_fields: Further keys of every message that the router sends, of what JSON can hold.

    Raises:
        AudioConnectorConfigError: A value is wrong; or a static field has the name of an audio field, or makes an
            event of what should be audio.
    """

    transport: Literal["binary", "json"] = "binary"
    encoding: Literal["base64"] = "base64"
    audio_field: FieldName = "audio"
    receive_audio_field: FieldName | None = None
    static_fields: dict[str, Any] = Field(default_factory=dict)

    @field_validator("audio_field", "receive_audio_field")
    @classmethod
    def _is_no_event(cls, name: str | None) -> str | None:
        if name == "event":
            raise ValueError("the router's events have this key; take another name")
        return name

    @field_validator("static_fields")
    @classmethod
    def _is_json(cls, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            encode_json(fields)
        except MessageError as error:
            raise ValueError(str(error)) from error
        event = fields.get("event")
        if isinstance(event, str) and event.startswith(EVENT_PREFIX):
            raise ValueError(
                f"every message with this event counts as one of the router's, not as audio: {event!r}"
            )
        return fields

    @model_validator(mode="after")
    def _is_unambiguous(self) -> AudioTransport:
        for field, name in (("audio_field", self.audio_field), ("receive_audio_field", self.to_router_field)):
            if name in self.static_fields:
                raise ValueError(f"static_fields has the key {name!r}, which is {field}; rename one of them")
        return self

    @property
    def is_json(self) -> bool:
        """Whether audio is in JSON."""
        return self.transport == "json"

    @property
    def to_server_field(self) -> str:
        """The key of the audio that the router sends."""
        return self.audio_field

    @property
    def to_router_field(self) -> str:
        """The key of the audio that the router receives."""
        return self.receive_audio_field or self.audio_field

    @classmethod
    def of(cls, value: object) -> AudioTransport:
        """Take what a user may write for one.

        Args:
            value: None for binary, "binary", "json", a mapping as in the REST call, or an `AudioTransport`.

        Raises:
            AudioConnectorConfigError: A value of the mapping is wrong.
            ValueError: It is nothing of these.
        """
        if value is None:
            return cls()
        if isinstance(value, AudioTransport):
            return value
        fields = {"transport": value} if isinstance(value, str) else value
        if isinstance(fields, Mapping) and all(isinstance(name, str) for name in fields):
            return cls(**fields)
        raise ValueError("expected None, 'binary', 'json', an AudioTransport, or a mapping of its fields")
