# SPDX-License-Identifier: Apache-2.0
"""The main program of an I/O process that may be told to judge by what is in this package."""

from __future__ import annotations

from audio_connector.auth.signed import SignedToken
from audio_connector.auth.vonage import VonageSignature
from audio_connector.server import io_child


def main() -> None:
    """Run, see `server.io_child.main`."""
    kinds = (SignedToken, VonageSignature)
    io_child.main({kind.__name__: kind.crossed for kind in kinds})
