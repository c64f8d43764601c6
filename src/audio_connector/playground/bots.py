# SPDX-License-Identifier: Apache-2.0
"""Whom the page calls: the parrot, an application from the current folder, or a server that runs already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from audio_connector import AudioConnectorConnection, AudioConnectorServerConfig
from audio_connector.errors import UsageError
from audio_connector.playground.parrot import parrot
from audio_connector.server.loading import APPLICATION, load_application
from audio_connector.server.run import configuration_of, is_factory
from audio_connector.validation import told_in
from audio_connector.validation.places import describe
from audio_connector.wire.quoting import without_secrets

Configure: TypeAlias = Callable[[], Awaitable[AudioConnectorServerConfig]]
"""Makes an application's configuration, on the loop that will run it."""


@dataclass(frozen=True, slots=True)
class Bot:
    """Whom to call.

    Attributes:
        label: How the page names it.
        url: The server's address; None for an application that has to be served first.
        configure: Makes the application's configuration; None for a server that runs already.
    """

    label: str
    url: str | None = None
    configure: Configure | None = None


def find_bot(argument: str | None) -> Bot:
    """Understand the command's argument, and import the application that it names.

    Args:
        argument: ``ws://…``, ``module:app``, or None for the parrot.

    Raises:
        UsageError: It is none of the three, or the application cannot be imported; the text says why and where.
    """
    if argument is None:

        async def on_connect(client: AudioConnectorConnection) -> None:
            await parrot(client)

        return Bot("the packaged parrot", configure=configure_with("parrot", on_connect))
    if "://" in argument:
        return Bot(without_secrets(argument), url=argument)
    if APPLICATION.fullmatch(argument) is None:
        raise UsageError(
            f"{argument!r} is neither a server, such as ws://localhost:8765, nor an application, such as "
            "bot:on_connect"
        )
    return Bot(argument, configure=configure_with(argument, load_application(argument)))


def configure_with(label: str, app: object) -> Configure:
    """Return what makes an application's configuration; what can be told at once is checked at once.

    Args:
        label: How errors name the application.
        app: What it is, see `find_bot`.

    Raises:
        UsageError: It is nothing that can be served.
    """
    if callable(app) and is_factory(app):

        async def call() -> AudioConnectorServerConfig:
            try:
                made = app()
                if isinstance(made, Awaitable):
                    made = await made
            except Exception as error:
                raise UsageError(f"{label} failed: {describe(error)}") from error
            return _config_of(f"what {label} returned", made)

        return call
    config = _config_of(label, app)

    async def give() -> AudioConnectorServerConfig:
        return config

    return give


def _config_of(label: str, app: Any) -> AudioConnectorServerConfig:  # noqa: ANN401 - whatever was imported
    """Return the configuration of an application, on a free port of this machine only, without TLS."""
    try:
        config = configuration_of(app, host="127.0.0.1", port=0)
    except UsageError as error:
        raise UsageError(f"{label}: {error}") from error
    return AudioConnectorServerConfig.from_values({**told_in(config), "ssl": None, "tls": None})
