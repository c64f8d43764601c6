# SPDX-License-Identifier: Apache-2.0
"""A whole main program around a server: it listens, says so, and stops in good order at a signal."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeAlias

from audio_connector.call.settings import Timeouts
from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.port.host import can_start_process
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.garbage import loaded_is_kept
from audio_connector.server.log_output import finish as finish_log
from audio_connector.server.log_output import has_room, logged_aside
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle
from audio_connector.server.service_manager import tell_ready, tell_stopping
from audio_connector.validation import told_in
from audio_connector.validation.handlers import takes
from audio_connector.wire.descriptors import open_closed

logger = logging.getLogger("audio_connector.server")

App: TypeAlias = "Callable[..., Any] | AudioConnectorServerConfig | Mapping[str, Any]"
"""An on_connect, a configuration, a mapping of its fields, or a function of nothing that returns one of them."""

HOST, PORT = "localhost", 8765
"""Where an application listens that does not say where."""

PATIENT_S = 1.0
"""Whoever has pressed Ctrl-C hears after so long what the program waits for."""

LEAVE_S = 1.0
"""For what goes on after the server has stopped."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class EndedAsItStarted(KeyboardInterrupt):
    """A signal has ended the start: no call was there, and ``on_stop`` was called."""


_is_importing: contextvars.ContextVar[bool] = contextvars.ContextVar("is_importing", default=False)


@contextlib.contextmanager
def importing_an_application() -> Iterator[None]:
    """For who imports an application to serve it: meanwhile `run` is refused, which would serve it by itself."""
    token = _is_importing.set(True)
    try:
        yield
    finally:
        _is_importing.reset(token)


def run(
    app: App, *, host: str | None = None, port: int | None = None, say: Callable[[str], None] | None = None
) -> None:
    """Serve until Ctrl-C or SIGTERM; the whole main program of a bot: ``run(on_connect, port=8765)``.

    At the first signal the server is drained: every call is heard to its end, for ``Timeouts.drain_s`` at most, see
    `AudioConnectorServerHandle.drain`. At a second one every call is closed with 1001 at once, and its handlers come
    to their end within ``Timeouts.stop_s``; one more does not wait for that. While ``on_start`` runs, the first
    signal cancels it, and ``on_stop`` is called; a second one does not wait.

    Where systemd has started the program (``Type=notify``), it is told when it listens and ``on_start`` has run,
    and when it drains.

    The sockets run in a process of their own, as by ``isolation="process"``, so that nothing that the application
    does makes anyone stutter. Where the configuration says an isolation, that holds; with an ``ssl`` context, on
    Windows and in a frozen program they run in a thread.

    What is loaded when it listens is left out of Python's garbage collections until the end (``gc.freeze``), which
    would otherwise stop the application for 40 ms and more now and then. Of what comes later, whole collections are
    ten times rarer than by Python's default; who makes them rarer still by ``gc.set_threshold`` keeps that.

    What is logged to stderr or stdout by then is written by a thread of its own, so that whoever reads the log, and
    stops doing so, stops no call. What does not fit is counted, and said once there is room.

    Args:
        app: An on_connect, an `AudioConnectorServerConfig`, a mapping of its fields, or a function without parameters
            that returns one of them.
        host: Where to listen; None takes that of the configuration, or else localhost.
        port: Likewise, or else 8765; 0 takes a free one.
        say: Given a line when it listens and one when it has stopped; None prints them.

    Raises:
        UsageError: ``app`` is nothing of these, or the module that calls this is being imported to be served.
        AudioConnectorConfigError: A value of the configuration is wrong.
        AudioConnectorStartServerError: It cannot listen.
    """
    if _is_importing.get():
        raise UsageError(
            'run() is called when the module is imported; put it under if __name__ == "__main__":'
        )
    open_closed()
    config = isolated(configuration_of(app, host=host, port=port))
    serve_configured(config, print_line if say is None else say)


def serve_configured(config: AudioConnectorServerConfig, say: Callable[[str], None]) -> bool:
    """Do what `run` does; True where every call had come to its end before the program ended."""
    ended = False
    try:
        with logged_aside():
            ended = asyncio.run(_serve(config, say))
    except EndedAsItStarted:
        ended = True
    except KeyboardInterrupt:  # the second Ctrl-C, or the first where no handler can be set
        pass
    except AudioConnectorStartServerError as error:
        # The text says all. What lies between is the library's; an error of the application's on_start stays in view.
        raise error.with_traceback(None) from error.__cause__
    say("stopped")
    return ended


def isolated(config: AudioConnectorServerConfig) -> AudioConnectorServerConfig:
    """Have the sockets run in a process of their own, where that can be and the application does not say."""
    if "isolation" in config.model_fields_set or config.ssl is not None or not can_start_process():
        return config
    return config.model_copy(update={"isolation": "process"})


def is_factory(app: object) -> bool:
    """Whether it is a function of nothing, which returns the application."""
    return callable(app) and takes(app, 0) and not takes(app, 1)


def configuration_of(
    app: App, *, host: str | None = None, port: int | None = None
) -> AudioConnectorServerConfig:
    """Make a configuration of whatever an application is, see `run`; what it does not say is not set either."""
    source = "to run"
    if callable(app) and is_factory(app):
        app, source = app(), "of a function without parameters, and an on_connect takes the connection"
        if inspect.iscoroutine(app):
            app.close()
            raise UsageError(
                f"{app.__name__} is a coroutine function without parameters; an on_connect takes the connection: "
                "async def on_connect(client), and what makes the configuration is a plain function"
            )
    fields: dict[str, Any] = {"host": HOST, "port": PORT}
    if callable(app):
        fields["on_connect"] = app
    elif isinstance(app, AudioConnectorServerConfig):
        fields |= told_in(app)
    elif isinstance(app, Mapping):
        fields |= dict(app)
    else:
        raise UsageError(
            f"got {type(app).__name__} {app!r:.80} {source}; expected an on_connect, a configuration, or a function "
            "without parameters that returns one"
        )
    told = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if told:  # which goes before the configuration, also before the sockets that it has
        fields |= {**told, "sockets": ()}
    return AudioConnectorServerConfig.from_values(fields)


async def _serve(config: AudioConnectorServerConfig, say: Callable[[str], None]) -> bool:
    async with serving(config, say) as handle:
        with loaded_is_kept():
            await handle.wait_closed()
        ended = await handle.drain(0)  # it has ended: how?
    await _leave(say)
    return ended


@contextlib.asynccontextmanager
async def serving(
    config: AudioConnectorServerConfig, say: Callable[[str], None]
) -> AsyncIterator[AudioConnectorServerHandle]:
    """Have a server listen, and say so; inside the block a signal drains it, and a second one stops it.

    Raises:
        EndedAsItStarted: A signal has come before it listened.
        AudioConnectorStartServerError: It cannot listen.
    """
    loop = asyncio.get_running_loop()
    server = AudioConnectorServer()
    starting = loop.create_task(server.start_server(config))
    is_ending = False

    def served() -> AudioConnectorServerHandle | None:
        has_started = starting.done() and not starting.cancelled() and starting.exception() is None
        return starting.result() if has_started else None

    def is_over() -> bool:
        return is_ending or ((handle := served()) is not None and not handle.running)

    async def end() -> None:
        nonlocal is_ending
        if (handle := served()) is not None:
            await _drain(handle, config.timeouts, say)
        else:
            is_ending = starting.cancel()

    try:
        with _signals_end(loop, is_over, end, server.stop):
            try:
                handle = await starting
            except asyncio.CancelledError:
                if not is_ending:
                    raise
            if is_ending:  # also where on_start goes on although it was cancelled
                raise EndedAsItStarted
            say(listens := f"listening on {handle.get_address()}")
            tell_ready(listens)
            yield handle
    finally:
        await server.stop()


async def _drain(handle: AudioConnectorServerHandle, timeouts: Timeouts, say: Callable[[str], None]) -> None:
    drain_s = timeouts.drain_s
    text = f"draining, for {drain_s:g} s at most; calls: {len(handle.connections)}"
    tell_stopping(text, within_s=drain_s + 2 * timeouts.stop_s + 2 * LEAVE_S)
    draining = asyncio.ensure_future(handle.drain(drain_s))
    await asyncio.wait((draining,), timeout=PATIENT_S)
    if not draining.done() and (count := len(handle.connections)):
        calls = f"{count} calls are" if count > 1 else "a call is"
        say(f"{calls} heard to the end, for {drain_s:g} s at most; a second signal ends it now")
    await draining


async def _leave(say: Callable[[str], None]) -> None:
    """End what the application has left running. What ignores that would keep the program alive for ever."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    left = (await asyncio.wait(tasks, timeout=LEAVE_S))[1] if tasks else set()
    if left and threading.current_thread() is threading.main_thread():
        names = ", ".join(sorted(getattr(task.get_coro(), "__qualname__", task.get_name()) for task in left))
        logger.error("the program ends although %s go on: they ignore that they are cancelled", names)
        say("stopped")
        finish_log()
        logging.shutdown()
        os._exit(1)


@contextlib.contextmanager
def _signals_end(
    loop: asyncio.AbstractEventLoop,
    is_over: Callable[[], bool],
    *ways: Callable[[], Coroutine[Any, Any, None]],
) -> Iterator[None]:
    """At each signal end the server in the next of these ways; once it is over, a signal ends the program."""
    # In another thread none arrives: whoever has started that stops the server.
    numbers = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    ending: list[asyncio.Task[None]] = []

    def on_signal(number: int, frame: object) -> None:
        # At once, since a handler may block the loop. That of asyncio for SIGINT waits for what it cancels.
        use(before | {signal.SIGINT: signal.default_int_handler})
        if is_over():
            signal.raise_signal(number)
        else:
            loop.call_soon_threadsafe(end)

    def end() -> None:
        ending.append(loop.create_task(ways[min(len(ending), len(ways) - 1)]()))
        use(dict.fromkeys(numbers, on_signal))  # the loop runs, so that it can be asked again

    def use(handlers: dict[int, Any]) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    # Not loop.add_signal_handler, which Windows lacks; the self-pipe of the loop is written to either way.
    use(dict.fromkeys(numbers, on_signal))
    try:
        yield
    finally:
        use(before)


def print_line(text: str) -> None:
    """Print a line, although nobody may read it."""
    with contextlib.suppress(OSError, ValueError):
        if has_room(sys.stdout, LEAVE_S):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
