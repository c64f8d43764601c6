# SPDX-License-Identifier: Apache-2.0
"""The vendor's ``audio_connector_sdk.vonage_video.core.audio_connector_connection``, which editors offer."""

from __future__ import annotations

from audio_connector import AudioConnectorConnection

__all__ = ["AudioConnectorConnection"]
