# SPDX-License-Identifier: Apache-2.0
"""What a call has written to its socket."""

from __future__ import annotations

from typing import NamedTuple

from audio_connector.call import asks
from audio_connector.playback.speech import Beside


class Ping(NamedTuple):
    """A ping is to be sent."""


class Abort(NamedTuple):
    """The connection is to be ended at once."""


Write = bytes | Beside | str | Ping | asks.Close | Abort
"""What goes to the wire: a frame of an utterance or beside them, a text, or a word about the connection itself."""
