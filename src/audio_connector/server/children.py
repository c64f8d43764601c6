# SPDX-License-Identifier: Apache-2.0
"""Processes of this library's own: how one is started with this interpreter, and how it ends."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from audio_connector._version import __version__
from audio_connector.port import words
from audio_connector.port.codec import VERSION
from audio_connector.port.framing import SERIAL_BITS
from audio_connector.port.stream import stream_pair
from audio_connector.server.authentication import Verifier, ask_application
from audio_connector.server.config import AudioConnectorServerConfig

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Between two processes that die soon."""

LIVED_S = 10.0
"""A process that lived for so long did not die of how it was started."""

CODE = "import sys; sys.path[:] = sys.argv[1].split('\\n'); from {module} import main; main()"
"""What a child runs; by text, since -m would take modules of the current folder for the standard library's."""

IO_MODULE = "audio_connector.server.io_child"

CROSSING = (
    "host",
    "port",
    "tls",
    "audio_transport",
    "playback",
    "intake",
    "limits",
    "timeouts",
    "monitoring",
)
"""The fields of the configuration that concern the I/O side."""


def start(module: str, arguments: Sequence[object], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start ``main()`` of a module, without a main guard, and with the modules that this process finds.

    It is in a session of its own: Ctrl-C in a terminal does not reach it.

    Raises:
        OSError: It cannot be started.
    """
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    code = CODE.format(module=module)
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code, "\n".join(sys.path), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
    )


class ChildProcess:
    """A process that talks to this one over a stream; ``sock`` is our end of it."""

    def __init__(
        self, module: str, arguments: Sequence[object] = (), descriptors: Sequence[int] = ()
    ) -> None:
        ours, theirs = stream_pair()
        with theirs:
            try:
                handed = (theirs.fileno(), os.getpid(), *arguments)
                self._process = start(module, handed, (theirs.fileno(), *descriptors))
            except BaseException:
                ours.close()
                raise
        self.sock = ours

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, at once."""
        self._process.kill()

    def reap(self, timeout_s: float) -> str:
        """Wait for its end for so long, and then kill it; says how it ended."""
        try:
            status = self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"status {status}"


class IoChildProcess(ChildProcess):
    """An I/O process, which is given listening sockets, and perhaps one over which applications are handed to it.

    ``crossing`` is its configuration, see `crossing_of`; it is told by `start_word`.
    """

    def __init__(
        self, crossing: str, sockets: Sequence[socket.socket], broker: socket.socket | None = None
    ) -> None:
        descriptors = [sock.fileno() for sock in sockets]
        if broker is not None:
            descriptors.append(broker.fileno())
        by = json.loads(crossing).get("authenticate") or {}
        super().__init__(by.get("module", IO_MODULE), (), descriptors)


def crossing_of(config: AudioConnectorServerConfig) -> str:
    """What of a configuration concerns the I/O side, as JSON; with the keys of a verifier: not to be shown."""
    values = config.model_dump(mode="json", include=set(CROSSING))
    by = config.authenticate
    if isinstance(by, Verifier):
        kind = type(by).__name__
        values["authenticate"] = {"module": by.io_module, "kind": kind, "values": by.crossing()}
    elif by is not None:
        values["authenticate"] = {"kind": None}
    return json.dumps(values)


def from_crossing(
    crossing: str, verifiers: Mapping[str, Callable[..., Verifier]] | None = None
) -> AudioConnectorServerConfig:
    """Make a configuration of `crossing_of`; without ``verifiers``, found by their kind, nobody is judged."""
    values: dict[str, Any] = json.loads(crossing)
    by = values.pop("authenticate", None)
    if by is not None and verifiers is not None:
        kind = by["kind"]
        values["authenticate"] = ask_application if kind is None else verifiers[kind](**by["values"])
    return AudioConnectorServerConfig(**values)


def start_word(
    crossing: str,
    sockets: Sequence[socket.socket],
    *,
    serial: int,
    are_lent: bool = False,
    takes_calls: bool = True,
    broker: socket.socket | None = None,
    id_prefix: str = "",
    is_admin: bool = True,
) -> words.Start:
    """What an I/O process is told first; ``serial`` is another one for each."""
    return words.Start(
        version=VERSION,
        library=__version__,
        config=crossing,
        sockets=tuple(sock.fileno() for sock in sockets),
        are_lent=are_lent,
        broker=None if broker is None else broker.fileno(),
        first_link=(serial << SERIAL_BITS) + 1,
        takes_calls=takes_calls,
        log_level=min(logging.INFO, logging.getLogger("audio_connector.wire").getEffectiveLevel()),
        id_prefix=id_prefix,
        is_admin=is_admin,
    )


class BackOff:
    """How long to wait before a process is started again: not at all where the one before has lived."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started_at = clock()
        self._pause_s = 0.0

    def pause_s(self) -> float:
        """It has ended; returns how long to wait, and counts from then on."""
        now = self._clock()
        if now - self._started_at > LIVED_S:
            self._pause_s = 0.0
        pause_s, self._pause_s = self._pause_s, min(LONGEST_PAUSE_S, 2 * self._pause_s or FIRST_PAUSE_S)
        self._started_at = now + pause_s
        return pause_s
