# SPDX-License-Identifier: Apache-2.0
"""What a supervisor is told."""

from __future__ import annotations

from dataclasses import dataclass

from audio_connector.call.settings import Timeouts
from audio_connector.server.config import AudioConnectorServerConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be served, and how.

    Attributes:
        app: The application, as ``words.Serve`` says it to a worker.
        settings: Its settings, likewise.
        worker_module: The module whose ``main()`` is a worker.
        workers: How many of them.
        io_processes: How many I/O processes share the port.
        memory_mb: A worker that takes more is replaced; None for any.
        move_s: A call of a worker that retires goes to another one while nothing is said, at the latest after so
            long; None: it stays to its end.
        drain_s: For all calls to come to their end; None takes the application's ``Timeouts.drain_s``.
    """

    app: str
    settings: str
    worker_module: str
    workers: int = 2
    io_processes: int = 1
    memory_mb: float | None = None
    move_s: float | None = 10.0
    drain_s: float | None = None

    def drain_within_s(self, config: AudioConnectorServerConfig | None) -> float:
        """How long a drain may take; ``config`` is the application's, once it is loaded."""
        said = Timeouts() if config is None else config.timeouts
        return said.drain_s if self.drain_s is None else self.drain_s
