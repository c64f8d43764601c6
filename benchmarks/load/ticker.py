# SPDX-License-Identifier: Apache-2.0
"""A tick finer than the millisecond at which event loops time, so that a load can be spread evenly."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

# From <time.h> and <sys/timerfd.h>; os.timerfd_create only exists from Python 3.13 on.
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Ticker:
    """Calls back every `interval_us` microseconds on the running loop, less often where the machine is busy.

    On Linux this is a timerfd; elsewhere a timer of the loop, which means one millisecond.
    """

    def __init__(self, interval_us: int, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval_us = interval_us
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _timerfd(interval_us) if sys.platform == "linux" else None
        if self._fd is None:
            self._on_timer()
        else:
            self._loop.add_reader(self._fd, self._on_expiry)

    def stop(self) -> None:
        """Call back no more."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
        if self._timer is not None:
            self._timer.cancel()

    def _on_expiry(self) -> None:
        if self._fd is not None:
            os.read(self._fd, 8)
            self._callback()

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(max(0.001, self._interval_us / 1e6), self._on_timer)
        self._callback()


def _timerfd(interval_us: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
    seconds, microseconds = divmod(interval_us, 1_000_000)
    spec = _Itimerspec(seconds, microseconds * 1000, seconds, microseconds * 1000)
    if fd < 0 or libc.timerfd_settime(fd, 0, ctypes.byref(spec), None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"timerfd: {os.strerror(error)}")
    return fd
