# SPDX-License-Identifier: Apache-2.0
"""The vendor's ``audio_connector_sdk.vonage_video.core.audio_connector_server``, which editors offer."""

from __future__ import annotations

from audio_connector import AudioConnectorServer

__all__ = ["AudioConnectorServer"]
