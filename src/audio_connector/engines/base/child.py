# SPDX-License-Identifier: Apache-2.0
"""An engine in a process of its own, asked over its pipes.

For an engine that would hold the interpreter's lock, that may crash, or whose licence asks for a distance. Used by
the thread of a `work.Worker`, one request at a time.

To the process goes a line of JSON for each request, ``{"id": 7, ...}``, and ``{"stop": 7}`` where nobody waits for
the rest. Back come frames: kind, number of the request, length, content. What comes for another request than the
present one is dropped, so that nothing of a stopped one is taken for the next. The process ends with its standard
input, that is, at the latest with ours.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, Final

from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.work import Stop

_HEAD: Final = struct.Struct("<cII")
_READY, _PIECE, _END, _ERROR = b"R", b"P", b"E", b"X"

_CODE: Final = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {module} import main; main(*sys.argv[1:])"
)
"""What the process runs; by text, since -m would take modules of the current folder for the standard library's."""

SILENCE_S: Final = 30.0
"""How long a process may say nothing to a request before it counts as hung; the slowest first piece of a voice on a
laptop's one busy core was below 2 s."""

LAST_S: Final = 10.0
"""For a process that says nothing more to end by itself, so that it is known how it did."""

COMPLAINTS_BYTES: Final = 1 << 20
"""How much of what it writes to standard error is kept, about: its last words are in the error where it dies, and a
library that warns of each sentence would fill the disk within weeks."""

LOAD_S: Final = 120.0
"""How long it may take to load: from a cold disk, some hundred megabytes."""


class Child:
    """A process that is started where it is needed, and anew where it has died.

    Args:
        name: The engine's, for errors.
        module: A module with ``main(*arguments)``, which calls `serve`.
        arguments: What it is given, as texts.
    """

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        self._name = name
        self._module = module
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._requests = 0
        self.greeting: dict[str, Any] = {}
        """What the process said of itself when it was ready."""

    @property
    def pid(self) -> int | None:
        """Its number, where it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and wait until it has loaded, where it does not run.

        Raises:
            EngineError: It cannot be started, or says that it cannot load.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        code = _CODE.format(module=self._module)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, "\n".join(sys.path), *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                start_new_session=True,  # Ctrl-C in a terminal is for us, who then end it
            )
        except OSError as error:
            raise EngineError(f"{self._name}: its process cannot be started: {error}") from error
        kind, _, content = self._read(LOAD_S)
        if kind != _READY:
            self.close()
            raise EngineError(f"{self._name} cannot be loaded: {content.decode(errors='replace')}")
        self.greeting = json.loads(content)

    def ask(self, request: dict[str, Any], stop: Stop) -> Iterator[bytes]:
        """Give what the process answers to a request, piece by piece; in the thread of a worker.

        Raises:
            EngineError: The process says so, has died or hangs. The next request starts another one.
        """
        self.start()
        self._forget_complaints()
        self._requests += 1
        number = self._requests
        self._write({**request, "id": number})
        stop.then(lambda: self._write({"stop": number}))
        while True:
            kind, of, content = self._read(SILENCE_S)
            if of != number:
                continue
            if kind == _END:
                return
            if kind == _ERROR:
                raise EngineError(f"{self._name}: {content.decode(errors='replace')}")
            yield content

    def close(self) -> None:
        """End the process; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was not written yet is for nobody
                        pipe.close()
            with suppress(OSError):
                process.kill()
            process.wait()
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _write(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError, ValueError):  # it has died, which reading tells
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()

    def _read(self, within_s: float) -> tuple[bytes, int, bytes]:
        """Read one frame; where the process ends or says nothing for so long, it is no more."""
        process = self._process
        if process is None or process.stdout is None:
            raise EngineError(f"{self._name}: its process does not run")
        # A pipe has no time-out of its own that works on every system.
        hung = threading.Event()

        def end() -> None:
            hung.set()
            process.kill()

        watchdog = threading.Timer(within_s, end)
        watchdog.daemon = True
        watchdog.start()
        try:
            head = process.stdout.read(_HEAD.size)
            content = b""
            if len(head) == _HEAD.size:
                kind, number, length = _HEAD.unpack(head)
                content = process.stdout.read(length)
                if len(content) == length:
                    return kind, number, content
        finally:
            watchdog.cancel()
        raise self._died(process, within_s if hung.is_set() else None)

    def _died(self, process: subprocess.Popen[bytes], silent_s: float | None) -> EngineError:
        try:
            status = process.wait(LAST_S)
        except subprocess.TimeoutExpired:  # it has closed its end of the pipe, and hangs on its way out
            process.kill()
            status = process.wait()
        words = self._last_words()
        self.close()
        how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        why = how if silent_s is None else f"said nothing for {silent_s:g} s and was ended"
        return EngineError(f"{self._name}: its process {why}{words}; the next call starts another one")

    def _forget_complaints(self) -> None:
        file = self._complaints
        if file is not None and os.fstat(file.fileno()).st_size > COMPLAINTS_BYTES:
            # The process writes where this is: the place in the file is shared.
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            os.ftruncate(file.fileno(), 0)

    def _last_words(self) -> str:
        if self._complaints is None:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()[:200]})" if lines else ""


def serve(load: Callable[[], tuple[dict[str, Any], Callable[[dict[str, Any]], Iterable[bytes]]]]) -> None:
    """Be the process: load, say so, and answer one request after the other until standard input ends.

    Args:
        load: Returns what to say of oneself, and what answers a request, piece by piece.
    """
    # Libraries print; what they print must not get between the frames.
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    try:
        greeting, answer = load()
    except Exception as error:  # noqa: BLE001 - told to whoever asked, who knows what to do
        _send(out, _ERROR, 0, f"{type(error).__name__}: {error}".encode())
        return
    _send(out, _READY, 0, json.dumps(greeting).encode())
    requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    stopped: set[int] = set()
    threading.Thread(target=_listen, args=(requests, stopped), daemon=True).start()
    while (request := requests.get()) is not None:
        number = request["id"]
        try:
            for piece in answer(request):
                if number in stopped:
                    break
                _send(out, _PIECE, number, piece)
            _send(out, _END, number, b"")
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - likewise
            _send(out, _ERROR, number, f"{type(error).__name__}: {error}".encode())
        stopped.discard(number)


def _listen(requests: queue.SimpleQueue[dict[str, Any] | None], stopped: set[int]) -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "stop" in message:
            stopped.add(message["stop"])
        else:
            requests.put(message)
    requests.put(None)


def _send(out: IO[bytes], kind: bytes, number: int, content: bytes) -> None:
    out.write(_HEAD.pack(kind, number, len(content)) + content)
    out.flush()
