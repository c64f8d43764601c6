# SPDX-License-Identifier: Apache-2.0
"""The documented entry point."""

from __future__ import annotations

from typing import Any

from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle


class Video:
    """Starts Audio Connector servers, under the name that the vendor's programs use."""

    async def start_audio_connector_server(
        self, options: AudioConnectorServerConfig | dict[str, Any]
    ) -> AudioConnectorServerHandle:
        """Start a server; returns when it listens and on_start has run.

        Args:
            options: The configuration, or a mapping of its fields.

        Raises:
            AudioConnectorConfigError: A value of the configuration is wrong.
            AudioConnectorStartServerError: The server could not start; the text says why and what to do.
        """
        return await AudioConnectorServer().start_server(options)
