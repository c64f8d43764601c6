# SPDX-License-Identifier: Apache-2.0
"""A small engine in a process of its own, which does what its request says: what `Child` is tried with."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audio_connector.engines.base.child import serve


def main(how: str = "", note: str = "") -> None:
    if how == "silent":
        time.sleep(600)
    if how == "dies":
        sys.exit("no such voice\nthe last word")
    serve(lambda: _load(how, note))


def _load(how: str, note: str) -> tuple[dict[str, Any], Any]:
    os.write(1, b"what libraries print is no frame")
    if how == "fails":
        raise ValueError("a bad file")
    return {"pid": os.getpid()}, lambda request: _answer(request, note)


def _answer(request: dict[str, Any], note: str) -> Iterator[bytes]:
    os.write(1, b"nor is this")
    word = request["text"].encode()
    os.write(2, b"a warning\n" * request.get("warnings", 0))
    if word == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == b"fail":
        raise RuntimeError("cannot say that")
    if word == b"shut":
        os.closerange(3, 256)  # and with that its end of the pipe
        time.sleep(600)
    if word == b"hang":
        time.sleep(600)
    for number in range(request.get("pieces", 1)):
        yield word + str(number).encode()
        if note:
            Path(note).write_bytes(word + str(number).encode())
        time.sleep(request.get("pause_s", 0))
