# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: its subcommands, and how every failure becomes one line and an exit status.

A subcommand is imported when it is used: the simulator and numpy, which those need that call a server, take longer to
be loaded than most of the others to do their work, and 25 MB of a server that `serve` runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, Final

import typer

from audio_connector import VideoError, __version__
from audio_connector.server.program import BAD_INPUT, INTERRUPTED

COMMANDS: Final[Mapping[str, Callable[[], ModuleType]]] = {
    "serve": lambda: import_module("audio_connector.cli.serve"),
    "simulate": lambda: import_module("audio_connector.cli.simulate"),
    "report": lambda: import_module("audio_connector.cli.report"),
    "demo": lambda: import_module("audio_connector.cli.demo"),
    "new": lambda: import_module("audio_connector.cli.new"),
    "check": lambda: import_module("audio_connector.cli.check"),
    "playground": lambda: import_module("audio_connector.cli.playground"),
    "top": lambda: import_module("audio_connector.cli.top"),
    "engines": lambda: import_module("audio_connector.cli.engines"),
    "token": lambda: import_module("audio_connector.cli.tokens"),
}
"""By name, in the order of the help, what imports it: a module with a function of that name, and ``EXAMPLES``."""


def app_of(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Return the command line with these subcommands."""
    app = typer.Typer(
        name="audio-connector",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in names:
        module = COMMANDS[name]()
        app.command(name, epilog=module.EXAMPLES)(getattr(module, name))
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"audio-connector {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Servers for the Vonage Audio Connector: try them without an account."""


def run(argv: list[str]) -> int:
    """Run the command line; every failure that a user can cause is one line on stderr."""
    try:
        status = _command(argv)(argv, prog_name="audio-connector", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except VideoError as error:
        return _fail(str(error), BAD_INPUT)
    except OSError as error:
        # A full disk, a folder that cannot be written: the system's own words and the file are what helps.
        return _fail(f"{error.filename or 'system error'}: {error.strerror or error}", BAD_INPUT)
    except Exception as error:
        # typer's own errors (an unknown option, a word where a number belongs) have no public base class.
        text = getattr(error, "format_message", None)
        if text is None:
            raise
        # Of the subcommand whose option it was.
        path = getattr(getattr(error, "ctx", None), "command_path", "audio-connector")
        return _fail(f"{text().rstrip('.')}; see {path} --help", BAD_INPUT) if text() else BAD_INPUT
    if status == INTERRUPTED:  # typer's own answer to an interrupt, which it does not tell
        return _fail("interrupted", INTERRUPTED)
    return status if isinstance(status, int) else 0


def _command(argv: list[str]) -> Any:  # noqa: ANN401 - typer's own command has no public class
    """The commands, whose flags are shown as flags: typer's help puts ``<bool>`` behind each, as if it took one."""
    # All of them for the help, and for who mistypes one.
    command = typer.main.get_command(app_of(argv[:1] if argv and argv[0] in COMMANDS else COMMANDS))
    for each in (command, *getattr(command, "commands", {}).values()):
        own_help = each.get_help_option(each.context_class(each, **each.context_settings))
        for option in (*each.params, own_help):
            if getattr(option, "is_flag", False):
                option.metavar = ""
    return command


def _fail(text: str, status: int) -> int:
    print(f"audio-connector: {' '.join(text.split())}", file=sys.stderr)
    return status
