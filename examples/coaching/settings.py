# SPDX-License-Identifier: Apache-2.0
"""What can be set: the tables of ``settings.toml``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qs

from pydantic import Field, StringConstraints, field_validator

from audio_connector import AudioConnectorConnection, UsageError
from audio_connector.live.settings import AppSettings, EngineTable
from audio_connector.validation import FrozenValues
from coaching.floor import AGENT, CUSTOMER, ROLES
from coaching.hints import Limits

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Item(FrozenValues):
    """A thing that the agent should say: its name, and some ways to say it."""

    error_class: ClassVar[type[UsageError]] = UsageError

    name: Annotated[str, Field(min_length=1, max_length=100)]
    phrases: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]


class Settings(AppSettings):
    """What can be set, beside what every application can be told.

    Attributes:
        recogniser: The engine that understands both sides.
        embedder: The one that tells what they mean.
        role_by: Where a connection says whose it is: the last part of its path, a header, or a key of its query.
        role_name: The name of that header or key.
        roles: What it says there, for ``agent`` and ``customer``.
        language: ISO 639-1.
        threshold: How near to a phrase a sentence has to be, by the embedder.
        hints: When hints are given.
        checklist: What the agent should say.
        upset: What customers say who are upset.
        closing: What people say when a call ends.
    """

    recogniser: EngineTable
    embedder: EngineTable
    role_by: Literal["path", "header", "query"] = "path"
    role_name: str = "role"
    roles: dict[str, Text] = Field(default_factory=lambda: {AGENT: AGENT, CUSTOMER: CUSTOMER})
    language: str | None = "en"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    hints: Limits = Limits()
    checklist: tuple[Item, ...] = ()
    upset: tuple[Text, ...] = ()
    closing: tuple[Text, ...] = ()

    @field_validator("roles")
    @classmethod
    def _are_both(cls, roles: dict[str, str]) -> dict[str, str]:
        if set(roles) != set(ROLES) or roles[AGENT] == roles[CUSTOMER]:
            raise ValueError(f"expected what {AGENT} and {CUSTOMER} say, two different texts")
        return roles

    @field_validator("checklist")
    @classmethod
    def _have_names_of_their_own(cls, items: tuple[Item, ...]) -> tuple[Item, ...]:
        if len({item.name for item in items}) < len(items):
            raise ValueError("two things have one name; expected another name for each")
        return items

    def role_of(self, client: AudioConnectorConnection) -> str | None:
        """Whose a connection is, or None where it does not say."""
        if self.role_by == "path":
            said = client.path.rstrip("/").rpartition("/")[2]
        elif self.role_by == "header":
            said = client.headers.get(self.role_name, "")
        else:
            said = parse_qs(client.query).get(self.role_name, [""])[0]
        return next((role for role in ROLES if self.roles.get(role) == said), None)
