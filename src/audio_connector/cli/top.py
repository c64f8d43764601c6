# SPDX-License-Identifier: Apache-2.0
"""``audio-connector top``: the live calls of a server, over its admin port."""

from __future__ import annotations

import contextlib
import http.client
import json as json_module
import time
import urllib.error
import urllib.request
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.live import Live

from audio_connector.cli.top_view import SORTS, Sample, figures_of, view
from audio_connector.errors import UsageError
from audio_connector.port.meters import found_of
from audio_connector.wire.quoting import quoted

EXAMPLES = """[bold]Examples[/bold]

audio-connector serve bot:on_connect --admin-port 9090
audio-connector top

audio-connector top 10.0.0.7:9090 --sort underruns

audio-connector top --once

audio-connector top --json | jq '.calls[] | select(.underruns > 0)'

[bold]Exit status[/bold]: 0 shown; 2 no answer, or not one of audio-connector."""

ANSWER_S: Final = 5.0
"""For an answer: a server gathers it within a second."""

MAX_ANSWER_BYTES: Final = 64 << 20
"""Of a hundred thousand calls; more is something else."""

SECOND_LOOK_S: Final = 0.5
"""Between two looks where one picture is wanted: CPU and lag are of a time in between."""

WHERE: Final = (
    "expected the admin port of a server: audio-connector serve --admin-port 9090, "
    "or Monitoring(admin_port=9090) in its configuration"
)


def top(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The admin port: host:port, or a URL.")
    ] = "127.0.0.1:9090",
    *,
    sort: Annotated[
        str, typer.Option("--sort", "-s", metavar="NAME", help=f"Most first, by {', '.join(SORTS)}.")
    ] = "age",
    every: Annotated[
        float, typer.Option("--every", "-n", min=0.2, max=3600, help="Seconds from one look to the next.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print the table once.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the same as JSON, once.")] = False,
) -> int:
    """Show the live calls of a server, as long as they last; Ctrl-C ends it.

    Where there is no terminal, or one that cannot move its cursor (TERM=dumb), the table is printed once.
    """
    if sort not in SORTS:
        raise UsageError(f"--sort is {quoted(sort)}; expected one of {', '.join(SORTS)}")
    url = _url_of(address)
    console = Console()
    sample = look(url)
    if once or json or not console.is_terminal or console.is_dumb_terminal:
        time.sleep(SECOND_LOOK_S)
        before, sample = sample, look(url)
        if json:
            figures = figures_of(before, sample)
            print(json_module.dumps({"figures": figures, "calls": list(sample.found.calls)}))
        else:
            console.print(view(before, sample, url, sort=sort, width=console.width))
        return 0
    with contextlib.suppress(KeyboardInterrupt):  # the way out
        _keep_looking(console, url, sample, every, sort)
    return 0


def _keep_looking(console: Console, url: str, first: Sample, every_s: float, sort: str) -> None:
    before, sample, trouble = first, first, ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            picture = view(
                before, sample, url, sort=sort, width=console.width, height=console.height, trouble=trouble
            )
            live.update(picture, refresh=True)
            time.sleep(every_s)
            try:
                before, sample, trouble = sample, look(url), ""
            except UsageError as error:  # it may be started anew
                trouble = f"for {time.monotonic() - sample.at:.0f} s: {error}"


def look(url: str) -> Sample:
    """Ask a server for its calls and figures.

    Raises:
        UsageError: There is no answer, or it is of something else.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is a machine of one's own
    try:
        with opener.open(f"{url}/calls", timeout=ANSWER_S) as answer:
            body = answer.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            first_line = error.read(200).partition(b"\n")[0].decode(errors="replace")
        raise UsageError(f"{url} answered {error.code} {quoted(first_line)}; {WHERE}") from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise UsageError(f"nothing answers at {url} ({reason}); {WHERE}") from error
    except TimeoutError as error:
        raise UsageError(f"{url} has not answered within {ANSWER_S:g} s; {WHERE}") from error
    except (OSError, http.client.HTTPException) as error:
        raise UsageError(f"{url} does not answer with HTTP ({type(error).__name__}); {WHERE}") from error
    sample = _read(body)
    if sample is None:
        first_line = body[:200].partition(b"\n")[0].decode(errors="replace")
        raise UsageError(f"what answers at {url} is no audio-connector ({quoted(first_line)}); {WHERE}")
    return sample


def _read(body: bytes) -> Sample | None:
    try:
        page = json_module.loads(body)
    except ValueError:
        return None
    if not isinstance(page, dict) or page.get("server") != "audio-connector":
        return None
    found = found_of([page.get("snapshot"), page.get("calls")])
    return None if found is None else Sample(time.monotonic(), str(page.get("version")), found)


def _url_of(address: str) -> str:
    """The address without a path.

    Raises:
        UsageError: It is none.
    """
    text = f"127.0.0.1:{address}" if address.isdecimal() else address
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        has_port = parts.port is not None
    except ValueError:
        parts, has_port = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise UsageError(f"got the address {quoted(address)}; expected host:port, such as 127.0.0.1:9090")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
