# SPDX-License-Identifier: Apache-2.0
"""The vendor's ``audio_connector_sdk.vonage_video.core``."""

from __future__ import annotations

from audio_connector import AudioConnectorConnection, AudioConnectorServer

__all__ = ["AudioConnectorConnection", "AudioConnectorServer"]
