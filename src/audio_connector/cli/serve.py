# SPDX-License-Identifier: Apache-2.0
"""``audio-connector serve``: an application as a service; what its code leaves open is told from outside."""

from __future__ import annotations

import inspect
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final, get_args

import typer

from audio_connector import AudioConnectorServerConfig, ConnectionLogFilter, Tls
from audio_connector.cli import hangups
from audio_connector.cli.settings import (
    SECRET,
    ServeSettings,
    gather,
    group_of,
    is_hidden,
    of_group,
    unknown_variables,
)
from audio_connector.cli.sockets import Taken, taken
from audio_connector.cli.tokens import signed_token
from audio_connector.cluster.plan import Plan
from audio_connector.cluster.run import supervise
from audio_connector.errors import UsageError, VideoError
from audio_connector.intake.log_fields import NAMES
from audio_connector.port.host import can_start_process
from audio_connector.server.loading import load_application
from audio_connector.server.run import configuration_of, isolated, print_line, serve_configured
from audio_connector.validation import told_in
from audio_connector.validation.places import describe

EXAMPLES = """[bold]Examples[/bold]

audio-connector serve bot:on_connect

audio-connector serve bot:on_connect --host "" --port 443 --certfile chain.pem --keyfile key.pem

audio-connector serve bot:on_connect --workers 4 --io-processes 2

audio-connector serve bot:on_connect --max-connections 300 --upgrades-per-second-per-address 20

audio-connector serve bot:on_connect --admin-port 9090 --log-format json

audio-connector serve bot:on_connect --reload

audio-connector serve bot:on_connect --fd 3

audio-connector serve bot:on_connect --token-keys-file /run/secrets/bot-keys --token-one-time

AUDIO_CONNECTOR_PORT=9000 audio-connector serve bot:make_config --config serve.toml --print-config

[bold]Exit status[/bold]: 0 ended by a signal, after every call was heard to its end; 1 some were cut short, at the \
deadline or by a second signal; 2 bad input, or it cannot listen."""

CUT: Final = 1
"""The exit status where calls were cut short."""

logger = logging.getLogger("audio_connector.serve")

OF_WORKERS: Final = ("io_processes", "worker_memory_mb", "calls", "move_s")
"""The settings that say how there are workers, not whether."""

TEXT_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON: time (UTC), level, logger, message; the fields of the call, and the traceback.

    The last two are there where the record has them, see `ConnectionLogFilter`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write one."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        values: dict[str, object] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in NAMES:
            if (value := getattr(record, name, None)) is not None:
                values[name] = value
        traceback = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        if traceback:
            values["traceback"] = traceback
        return json.dumps(values, default=str)


def serve(
    app: str,
    *,
    config: Path | None = None,
    print_config: bool = False,
    **flags: Any,  # noqa: ANN401 - of `ServeSettings`
) -> int:
    """Serve an application until SIGTERM or Ctrl-C, and then let every call be heard to its end.

    MODULE:APP is an on_connect, a configuration, or a function without parameters that returns one.

    What is told here goes before what its configuration says: a flag before the environment, that before the file.

    The variables are named after the flags: AUDIO_CONNECTOR_DRAIN_S is --drain-s.
    """
    settings, origins = gather(flags, config)
    is_supervised = _has_workers(settings)
    with taken(settings, origins) as given:
        if print_config:
            _warn_of_unknown_variables()
            _print_config(configuration_for(app, settings, given.sockets), settings, origins, given)
            return 0
        say = logger.info if settings.log_format == "json" else print_line
        if is_supervised:
            configure_logging(settings)
            _warn_of_unknown_variables()
            watched = Path.cwd() if settings.reload else None
            return 0 if supervise(plan_of(app, settings), say, given.sockets, watched=watched) else CUT
        hangups.release()
        made = configuration_for(app, settings, given.sockets)
        configure_logging(settings)
        _warn_of_unknown_variables()
        return 0 if serve_configured(made, say) else CUT


def _has_workers(settings: ServeSettings) -> bool:
    if settings.workers is None and not settings.reload:
        for name in OF_WORKERS:
            if (value := getattr(settings, name)) is not None:
                raise UsageError(f"got {name}={value} without workers; expected --workers as well")
        return False
    if settings.isolation == "thread":
        raise UsageError("got workers and isolation=thread; expected one of them: workers share a process")
    if not can_start_process():
        name = "reload" if settings.workers is None else "workers"
        raise UsageError(f"got {name} where no processes can be started, as on Windows; serve without it")
    return True


def _warn_of_unknown_variables() -> None:
    for line in unknown_variables():
        logger.warning(line)


def configuration_for(
    app: str, settings: ServeSettings, sockets: tuple[socket.socket, ...] = ()
) -> AudioConnectorServerConfig:
    """Load the application, and make its configuration with what was told."""
    return configured(_configuration_of(app, load_application(app)), settings, sockets)


def plan_of(app: str, settings: ServeSettings) -> Plan:
    """What a supervisor is told."""
    return Plan(
        app=app,
        settings=settings.model_dump_json(),
        worker_module="audio_connector.cli.worker",
        workers=settings.workers or 1,
        io_processes=settings.io_processes or 1,
        memory_mb=settings.worker_memory_mb,
        move_s=None if settings.calls == "stay" else settings.move_s or 10.0,
        drain_s=settings.drain_s,
    )


def _configuration_of(label: str, app: Any) -> AudioConnectorServerConfig:  # noqa: ANN401 - whatever was imported
    try:
        return configuration_of(app)
    except VideoError:
        raise
    except Exception as error:
        raise UsageError(f"{label} failed: {describe(error)}") from error


def configured(
    config: AudioConnectorServerConfig, settings: ServeSettings, sockets: tuple[socket.socket, ...] = ()
) -> AudioConnectorServerConfig:
    """Return the application's configuration with what was told.

    Args:
        config: Of the application.
        settings: What was told.
        sockets: Those that were given, none as a rule.

    Raises:
        UsageError: Two of the values do not go together.
    """
    values: dict[str, Any] = told_in(config) | _values_told(config, settings)
    if sockets or settings.host is not None or settings.port is not None:
        values["sockets"] = sockets  # also none, in place of the application's
    if settings.certfile is not None:
        values["ssl"] = None
        values["tls"] = Tls(
            certfile=settings.certfile, keyfile=settings.keyfile, client_ca=settings.client_ca
        )
    elif settings.keyfile is not None or settings.client_ca is not None:
        raise UsageError("got a keyfile or client_ca without a certfile; expected --certfile as well")
    if (signed := signed_token(settings)) is not None:
        values["authenticate"] = signed
    if getattr(values.get("authenticate"), "one_time", False) and (settings.io_processes or 1) > 1:
        raise UsageError(
            f"got tokens for one time and io_processes={settings.io_processes}; expected one I/O process, since each "
            "remembers for itself which tokens were used"
        )
    return isolated(AudioConnectorServerConfig(**values))


def configure_logging(settings: ServeSettings) -> None:
    """Log as was told. That goes before what the application sets up; where nothing was told, that stays."""
    handler = logging.StreamHandler()
    handler.addFilter(ConnectionLogFilter())
    is_json = settings.log_format == "json"
    handler.setFormatter(JsonFormatter() if is_json else logging.Formatter(TEXT_FORMAT))
    is_told = settings.log_level is not None or settings.log_format is not None
    logging.basicConfig(level=(settings.log_level or "info").upper(), handlers=[handler], force=is_told)
    if is_json:
        _log_what_python_prints()


def _log_what_python_prints() -> None:
    """Who collects lines of JSON can read nothing else: have warnings, and errors that nobody has taken, be such."""
    logging.captureWarnings(True)

    def of_program(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logger.critical("the program has ended by an error", exc_info=(kind, error, trace))

    def of_thread(told: threading.ExceptHookArgs) -> None:
        if not isinstance(told.exc_value, SystemExit | None):
            name = told.thread.name if told.thread else "unknown"
            error = told.exc_type, told.exc_value, told.exc_traceback
            logger.error("the thread %s has ended by an error", name, exc_info=error)

    def of_nobody(told: sys.UnraisableHookArgs) -> None:
        if told.exc_value is not None:
            error = told.exc_type, told.exc_value, told.exc_traceback
            text = told.err_msg or "an error that could not be raised, in"
            logger.error("%s: %r", text, told.object, exc_info=error)

    sys.excepthook, threading.excepthook, sys.unraisablehook = of_program, of_thread, of_nobody


def _values_told(config: AudioConnectorServerConfig, settings: ServeSettings) -> dict[str, Any]:
    """The fields of a configuration that the settings change."""
    values: dict[str, Any] = {}
    grouped: dict[str, dict[str, Any]] = {}  # made at the end: one value may be wrong without another
    for name, told in told_in(settings).items():
        of = of_group(name)
        if told is None:
            continue
        if of is not None:
            grouped.setdefault(of.group, {})[name] = of.value_of(told)
        elif name in AudioConnectorServerConfig.model_fields:
            values[name] = told
    for group, said in grouped.items():
        held = getattr(config, group)
        values[group] = type(held)(**{**told_in(held), **said})
    return values


def _print_config(
    config: AudioConnectorServerConfig, settings: ServeSettings, origins: Mapping[str, str], given: Taken
) -> None:
    """Show what holds, and where it is from."""
    tls = config.tls
    special: dict[str, object] = {
        "token_keys": SECRET if settings.token_keys and not settings.token_keys_file else None,
        "token_keys_file": settings.token_keys_file,
        "token_carrier": getattr(config.authenticate, "carrier", None),
        "token_one_time": getattr(config.authenticate, "one_time", None),
        "fd": ", ".join(map(str, given.numbers)) or None,
        "certfile": "(an ssl context of the application)" if config.ssl else tls and tls.certfile,
        "keyfile": tls and tls.keyfile,
        "client_ca": tls and tls.client_ca,
        "log_level": settings.log_level or "info",
        "log_format": settings.log_format or "text",
    }
    rows = [("setting", "value", "from")]
    for name in ServeSettings.model_fields:
        group = group_of(name)
        holder = getattr(config, group or "", config)
        value = special[name] if name in special else getattr(holder, name, getattr(settings, name))
        is_of_socket = name == "fd" or (bool(given.numbers) and name in ("host", "port"))
        origin = given.origin if is_of_socket else origins.get(name, "")
        if isinstance(value, tuple):
            value = ", ".join(value) or None
        if not origin and value is not None:
            origin = "the application, or the default"
        is_text = isinstance(value, str) and name != "fd"
        rows.append((name, "-" if value is None else repr(value) if is_text else str(value), origin))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, shown, origin in rows:
        print(f"{name:{widths[0]}}  {shown:{widths[1]}}  {origin}".rstrip())


def _parameters() -> list[inspect.Parameter]:
    """The command's parameters: a flag for each setting."""
    keyword, place = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    made = [
        inspect.Parameter("app", place, annotation=Annotated[str, typer.Argument(metavar="MODULE:APP")]),
    ]
    for name, field in ServeSettings.model_fields.items():
        if is_hidden(name):
            continue
        option = typer.Option(
            f"--{name.replace('_', '-')}",
            help=field.description,
            show_default=False,
        )
        kind = next((kind for kind in (bool, int, float) if kind in _leaves(field.annotation)), str)
        made.append(inspect.Parameter(name, keyword, default=None, annotation=Annotated[kind | None, option]))
    file = typer.Option("--config", help="A TOML file with the same names.", show_default=False)
    shown = typer.Option("--print-config", help="Show what holds and where it is from, and exit.")
    made += [
        inspect.Parameter("config", keyword, default=None, annotation=Annotated[Path | None, file]),
        inspect.Parameter("print_config", keyword, default=False, annotation=Annotated[bool, shown]),
    ]
    return made


def _leaves(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever a field may have
    """The plain types in an annotation."""
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for each in inner:
        yield from _leaves(each)


serve.__signature__ = inspect.Signature(_parameters(), return_annotation=int)  # type: ignore[attr-defined]
serve.__annotations__ = {}
