# SPDX-License-Identifier: Apache-2.0
"""The import paths of the vendor's Audio Connector Server SDK; every name is the one of ``audio_connector``.

Programs written for the vendor's SDK run through this package unchanged. New programs import
``audio_connector``; nothing in this project imports these modules.
"""

from __future__ import annotations

from audio_connector import __version__

__all__ = ["__version__"]
