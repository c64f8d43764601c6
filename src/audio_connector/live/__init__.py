# SPDX-License-Identifier: Apache-2.0
"""A page that shows in a browser what an application does while it does it; extra ``live``."""

from audio_connector.live.page import LivePage

__all__ = ["LivePage"]
