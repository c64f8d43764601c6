# SPDX-License-Identifier: Apache-2.0
"""The vendor's ``audio_connector_sdk.vonage_video.errors``."""

from __future__ import annotations

from audio_connector import AudioConnectorConfigError, AudioConnectorStartServerError, VideoError

__all__ = ["AudioConnectorConfigError", "AudioConnectorStartServerError", "VideoError"]
