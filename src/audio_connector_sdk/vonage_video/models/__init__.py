# SPDX-License-Identifier: Apache-2.0
"""The vendor's ``audio_connector_sdk.vonage_video.models``."""

from __future__ import annotations

from audio_connector import (
    AudioConnectorConnectionData,
    AudioConnectorServerConfig,
    AudioConnectorServerHandle,
)

__all__ = ["AudioConnectorConnectionData", "AudioConnectorServerConfig", "AudioConnectorServerHandle"]
