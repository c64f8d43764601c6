# SPDX-License-Identifier: Apache-2.0
"""``audio-connector playground``: a local page that stands in for a session."""

from __future__ import annotations

import logging
import os
import sys
import threading
import webbrowser
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from audio_connector import AudioTransport
from audio_connector.cli.common import Headers, Insecure, check_rate, context_of, parse_headers, run_async
from audio_connector.cli.tokens import CARRIER, TokenCarrier, TokenKey, credentials
from audio_connector.errors import UsageError
from audio_connector.simulator import PROFILES
from audio_connector.wire.addresses import is_loopback

if TYPE_CHECKING:
    from audio_connector.playground.run import Address

PORT: Final = 8484
"""Not one of those that bots and their frameworks like to take: 8000, 8080, 8765."""

EXAMPLES = """[bold]Examples[/bold]

audio-connector playground

audio-connector playground ws://localhost:8765/room/7 --header caller=Ann

audio-connector playground bot:on_connect --port 0 --no-open

[bold]Exit status[/bold]: 0 ended by Ctrl-C, 2 bad input, a port in use, or a server that cannot be reached."""


def playground(  # noqa: PLR0913 - each one is an option of the command line
    bot: Annotated[
        str | None,
        typer.Argument(
            metavar="URL|MODULE:APP",
            help="A server, or an application from the current folder; a packaged parrot if not given.",
            show_default=False,
        ),
    ] = None,
    *,
    host: Annotated[str, typer.Option("--host", help="What to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="TCP port; 0 takes a free one.")
    ] = PORT,
    rate: Annotated[int, typer.Option("--rate", "-r", help="Sample rate: 8000, 16000 or 24000.")] = 16000,
    profile: Annotated[
        str, typer.Option("--profile", help=f"Which router: {', '.join(PROFILES)}.")
    ] = "video",
    header: Headers = None,
    token_key: TokenKey = None,
    token_carrier: TokenCarrier = CARRIER,
    json_audio: Annotated[
        bool,
        typer.Option(
            "--json-audio", help="For a URL: audio as base64 in JSON. An application's own setting is known."
        ),
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, where there is one.")
    ] = True,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Call a server once at the start, to see that it is there."),
    ] = True,
    insecure: Insecure = False,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be one that others can reach.")
    ] = False,
) -> int:
    """Speak to a bot in the browser, and see and hear what a session would.

    The page speaks with your microphone, or says a WAV that you drop on it.

    Everything stays on this machine, except what the bot itself sends elsewhere.
    """
    if find_spec("aiohttp") is None:
        raise UsageError(
            "aiohttp is not installed; the playground needs: pip install 'audio-connector[playground]'"
        )
    # Not above, because all of them need aiohttp, and the other commands do not.
    from audio_connector.playground.bots import find_bot  # noqa: PLC0415
    from audio_connector.playground.run import serve  # noqa: PLC0415
    from audio_connector.playground.session import Settings  # noqa: PLC0415

    check_rate(rate)
    if profile not in PROFILES:
        raise UsageError(f"--profile is {profile!r}; expected one of {', '.join(PROFILES)}")
    console = Console(stderr=True)
    if not is_loopback(host):
        if not allow_remote:
            raise UsageError(
                f"--host {host} can be reached by others, who could then speak to the bot and hear it; "
                "say --allow-remote where that is meant"
            )
        console.print(
            Text(
                f"warning: everybody who can reach {host}:{port} can speak to this bot and hear it; "
                "there is no password and no encryption, and browsers give no microphone to such a page",
                style="yellow",
            ),
            soft_wrap=True,
        )
    settings = Settings(
        url="",
        label="",
        rate_hz=rate,
        profile=profile,
        headers=parse_headers(header),
        audio_transport=AudioTransport(transport="json" if json_audio else "binary"),
        ssl_context=context_of(insecure=insecure),
        credentials=credentials(token_key, token_carrier),
    )
    found = find_bot(bot)
    # After the application was imported, whose own setting counts, and whose lines are to be seen here otherwise.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    def on_ready(address: Address) -> None:
        console.print(Text(f"{found.label} answers at {address.url}   (Ctrl-C ends it)"), soft_wrap=True)
        if open_browser and _has_display():
            _open(address)

    run_async(serve(found, settings, host=host, port=port, is_checked=check, on_ready=on_ready))
    return 0


def _open(address: Address) -> threading.Thread:
    """Open the page, on a thread of its own, because some browsers keep whoever starts them waiting."""
    thread = threading.Thread(target=webbrowser.open, args=(address.url,), daemon=True)
    thread.start()
    return thread


def _has_display() -> bool:
    """Whether a browser can be opened: a text browser would take the terminal, and there may be nobody to see one."""
    if sys.platform in {"win32", "darwin"}:
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
