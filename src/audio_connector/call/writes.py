# SPDX-License-Identifier: Apache-2.0
"""What a call has written to its socket."""

from __future__ import annotations

from typing import NamedTuple

from audio_connector.call import asks


class Ping(NamedTuple):
    """A ping is to be sent."""


class Abort(NamedTuple):
    """The connection is to be ended at once."""


Write = bytes | str | Ping | asks.Close | Abort
"""What goes to the wire: a frame of audio, a text, or a word about the connection itself."""
