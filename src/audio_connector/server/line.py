# SPDX-License-Identifier: Apache-2.0
"""The application's end of the way to one connection's I/O side: where to post, what is published, is it open."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from audio_connector.errors import ConnectionClosed
from audio_connector.server import mail
from audio_connector.wire.closing import ABNORMAL, NORMAL
from audio_connector.wire.messages import Disconnected


class Line:
    """Shared by all that the application holds of one connection; usable from any thread.

    Args:
        link_id: The connection's number on the I/O side.
        published: What the I/O side says about it.
        post: Hands a message to the I/O side.
        report: Hands an error to on_error.
    """

    def __init__(
        self,
        link_id: int,
        published: mail.Published,
        post: Callable[[mail.ToIo], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.link_id = link_id
        self.published = published
        self.post = post
        self.report = report
        self._is_closing = False

    @property
    def is_open(self) -> bool:
        """False from our own wish to close, or the end of the connection, on."""
        return not self._is_closing and self.published.closed is None

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; nothing can be sent afterwards."""
        self._is_closing = True
        self.post(mail.Close(self.link_id, code, reason))

    def check_open(self, what: str) -> None:
        """Refuse what needs an open connection.

        Args:
            what: What was asked, for the error.

        Raises:
            ConnectionClosed: It is over.
        """
        if not self.is_open:
            self.refuse(what)

    def refuse(self, what: str) -> NoReturn:
        """Raise ConnectionClosed."""
        closed = self.published.closed or Disconnected(code=NORMAL, reason="", closed_by="server")
        code = ABNORMAL if closed.code is None else closed.code
        reason = f" ({closed.reason})" if closed.reason else ""
        raise ConnectionClosed(
            f"cannot {what}: the connection was closed by the {closed.closed_by} with {code}{reason}; stop sending "
            "when on_disconnect is called",
            code=code,
            reason=closed.reason,
        )
