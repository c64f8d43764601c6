# SPDX-License-Identifier: Apache-2.0
"""``audio-connector engines``: which speech engines are here, what they cost, what is missing and how to get it."""

from __future__ import annotations

import json as json_module
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from audio_connector.cli.engine_costs import MEASURED, Costs, measure
from audio_connector.engines.base.catalogue import OFFERS, Offer
from audio_connector.engines.base.models import install, models_folder
from audio_connector.errors import UsageError, VideoError

_WIDTH = 20
"""Of the longest name."""

EXAMPLES = """[bold]Examples[/bold]

audio-connector engines

audio-connector engines --measure

audio-connector engines piper minilm --measure --json

audio-connector engines --get whisper-small

audio-connector engines --get piper-en_GB-alba-medium

[bold]Exit status[/bold]: 0, or 2 for bad input and for a model that could not be fetched."""


def engines(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Of these alone.", show_default=False)
    ] = None,
    *,
    measure_them: Annotated[
        bool, typer.Option("--measure", "-m", help="Measure what is here: some seconds for each engine.")
    ] = False,
    get: Annotated[
        str | None,
        typer.Option(
            "--get",
            metavar="MODEL",
            help="Fetch a model from where its engine has them: whisper-SIZE or piper-VOICE.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON, and nothing else.")] = False,
) -> int:
    """Show the speech engines: what is here, what it costs here, what is missing and the command that gets it.

    Nothing is loaded to tell, and nothing is fetched without --get.
    """
    if get is not None:
        return _get(get, Console(stderr=True))
    known = {offer.name: offer for offer in OFFERS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise UsageError(f"no engine {', '.join(unknown)}; expected some of {', '.join(known)}")
    console = Console()
    shown = []
    for offer in [known[name] for name in names] if names else OFFERS:
        costs = _measured(offer) if measure_them else None
        shown.append(_to_dict(offer, costs))
        if not json:
            for line in _lines(offer, costs):
                console.print(line, soft_wrap=True)
    if json:
        print(json_module.dumps({"models_folder": str(models_folder()), "engines": shown}))
    elif not measure_them:
        console.print("What they cost here: audio-connector engines --measure", soft_wrap=True)
    return 0


def _measured(offer: Offer) -> Costs | VideoError | None:
    if offer.name not in MEASURED or offer.missing():
        return None
    try:
        return measure(offer.name)
    except VideoError as error:
        return error


def _lines(offer: Offer, costs: Costs | VideoError | None) -> list[Text]:
    missing = offer.missing()
    state = Text("missing", style="yellow") if missing else Text("here   ", style="green")
    lines = [Text(f"{offer.name:<{_WIDTH}} ").append_text(state).append(f" {offer.job} ({offer.licence})")]
    if offer.setting:
        lines.append(Text(f"{'':<{_WIDTH}} {offer.setting}", style="dim"))
    lines += [Text(f"{'':<{_WIDTH}} {need.what}: {need.mend}") for need in missing]
    if isinstance(costs, Costs):
        words = f"{costs.work}; loads in {costs.load_s:.1f} s, takes {costs.memory_mb:.0f} MB"
        lines.append(Text(f"{'':<{_WIDTH}} {words}", style="dim"))
    elif costs is not None:
        lines.append(Text(f"{'':<{_WIDTH}} cannot be measured: {costs}", style="red"))
    return lines


def _to_dict(offer: Offer, costs: Costs | VideoError | None) -> dict[str, Any]:
    missing = offer.missing()
    shown: dict[str, Any] = {
        "name": offer.name,
        "job": offer.job,
        "adapter": f"audio_connector.engines.{offer.adapter}",
        "licence": offer.licence,
        "setting": offer.setting,
        "is_local": offer.is_local,
        "is_here": not missing,
        "missing": [{"what": need.what, "mend": need.mend} for need in missing],
    }
    if isinstance(costs, Costs):
        shown["costs"] = {
            "load_s": costs.load_s,
            "memory_mb": costs.memory_mb,
            "work": costs.work,
            "work_ms": costs.work_ms,
        }
    elif costs is not None:
        shown["error"] = str(costs)
    return shown


def _get(model: str, console: Console) -> int:
    kind, _, name = model.partition("-")
    fetch = _fetcher(kind, name)
    if fetch is None:
        raise UsageError(
            f"cannot fetch {model!r}; expected whisper-SIZE, as whisper-small, or piper-VOICE, as "
            "piper-en_GB-alba-medium"
        )
    folder = _watched(model, fetch, console)
    console.print(f"{model} is in {folder}", soft_wrap=True)
    return 0


def _fetcher(kind: str, name: str) -> Callable[[Path], None] | None:
    # Imported here: a list of engines needs neither of them.
    if kind == "whisper" and name:
        from audio_connector.engines import faster_whisper  # noqa: PLC0415

        return lambda folder: faster_whisper.fetch(name, folder)
    if kind == "piper" and name:
        from audio_connector.engines import piper  # noqa: PLC0415

        return lambda folder: piper.fetch(name, folder)
    return None


def _watched(model: str, fetch: Callable[[Path], None], console: Console) -> Path:
    """Fetch a model, and say meanwhile how much of it is there: neither engine's own download tells."""
    folders: list[Path] = []
    results: list[Path | BaseException] = []

    def noted(folder: Path) -> None:
        folders.append(folder)
        fetch(folder)

    def work() -> None:
        try:
            results.append(install(model, noted))
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked
            results.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    with console.status(f"fetching {model}") as status:
        while thread.is_alive():
            thread.join(0.2)
            size_mb = sum(map(_size, folders)) / 1e6
            status.update(f"fetching {model}: {size_mb:.1f} MB")
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result


def _size(folder: Path) -> int:
    """How much is in a folder that may vanish, or be moved, meanwhile: os.walk() passes over that."""
    size_bytes = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it was there a moment ago
                size_bytes += (Path(root) / name).stat().st_size
    return size_bytes
