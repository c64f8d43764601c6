# SPDX-License-Identifier: Apache-2.0
"""The vendor's ``audio_connector_sdk.vonage_video``: the entry point, ``Video``."""

from __future__ import annotations

from audio_connector import Video

__all__ = ["Video"]
